//! The HTTP proxy by which a gateway in a closed network reaches its control plane: enrolment and stream go through it, by `CONNECT`.
//! What goes through stays encrypted for the control plane; the proxy sees names and amounts. Requests to upstreams do not use it.

use std::fmt;

use http::Uri;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use serde::Deserialize;

/// As in `http://proxy.example:3128` or `http://user:password@proxy.example:3128`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct EgressProxy(String);

/// The text names no proxy. It is not shown: it may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the address of an HTTP proxy, as in http://proxy.example:3128 or http://user:password@proxy.example:3128"
)]
pub struct InvalidProxy;

impl TryFrom<String> for EgressProxy {
    type Error = InvalidProxy;

    fn try_from(text: String) -> Result<Self, InvalidProxy> {
        let uri: Uri = text.parse().map_err(|_| InvalidProxy)?;
        let is_whole = uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty());
        let is_address = uri.path_and_query().is_none_or(|rest| rest == "/");
        if is_whole && is_address { Ok(Self(text)) } else { Err(InvalidProxy) }
    }
}

impl EgressProxy {
    /// Opens connections through the proxy.
    pub fn connector(&self) -> Result<Tunnel<HttpConnector>, InvalidProxy> {
        let matcher = Matcher::builder().all(self.0.clone()).build();
        // Any address: all go the same way.
        let way =
            matcher.intercept(&Uri::from_static("https://control-plane.invalid")).ok_or(InvalidProxy)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let tunnel = Tunnel::new(way.uri().clone(), tcp);
        Ok(match way.basic_auth() {
            Some(credentials) => tunnel.with_auth(credentials.clone()),
            None => tunnel,
        })
    }

    /// The same for an HTTP client.
    pub fn for_client(&self) -> Result<reqwest::Proxy, InvalidProxy> {
        reqwest::Proxy::all(&self.0).map_err(|_| InvalidProxy)
    }
}

/// Without the password that the address may have.
impl fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EgressProxy(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
        net::{TcpListener, TcpStream},
        sync::Mutex,
    };

    use super::*;

    /// An HTTP proxy that notes what it is asked for, and connects to `target` whatever that is.
    pub(crate) struct TestProxy {
        pub(crate) address: SocketAddr,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl TestProxy {
        pub(crate) async fn to(target: SocketAddr) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            let (address, asked) =
                (listener.local_addr().expect("bound"), Arc::<Mutex<Vec<String>>>::default());
            let heads = asked.clone();
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let heads = heads.clone();
                    tokio::spawn(async move {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            head.push(client.read_u8().await?);
                        }
                        heads.lock().await.push(String::from_utf8_lossy(&head).into_owned());
                        let mut upstream = TcpStream::connect(target).await?;
                        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                        copy_bidirectional(&mut client, &mut upstream).await
                    });
                }
            });
            Self { address, asked }
        }

        /// The heads of the requests that came.
        pub(crate) async fn asked(&self) -> Vec<String> {
            self.asked.lock().await.clone()
        }
    }

    #[test]
    fn only_the_address_of_a_proxy_is_one_and_no_password_is_shown() {
        for good in
            ["http://proxy.example:3128", "http://user:pass%40word@proxy:3128", "http://10.0.0.1:8080/"]
        {
            let proxy =
                EgressProxy::try_from(good.to_owned()).unwrap_or_else(|error| panic!("{good}: {error}"));
            proxy.connector().expect("a connector");
            proxy.for_client().expect("for a client");
            assert!(!format!("{proxy:?}").contains("proxy."), "{proxy:?}");
        }
        for wrong in [
            "proxy.example:3128",
            "https://proxy.example",
            "socks5://proxy",
            "http://",
            "http://proxy/path",
            "",
        ] {
            assert_eq!(EgressProxy::try_from(wrong.to_owned()), Err(InvalidProxy), "{wrong}");
        }
    }
}

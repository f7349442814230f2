//! A fixed number of kept-alive HTTP/1.1 connections to one address.
//!
//! Cheap, so that the generator does not become what is measured: no redirects, cookies or names, only hyper. A call
//! that finds all connections busy waits for one; whoever measures from a scheduled time has that in the latency.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    client::conn::http1::{SendRequest, handshake},
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore};

/// Header that carries a consumer's key.
pub const KEY_HEADER: &str = "apikey";

/// The headers of a request with a consumer's key.
pub fn with_key(key: &str) -> anyhow::Result<HeaderMap> {
    Ok([(HeaderName::from_static(KEY_HEADER), HeaderValue::from_str(key)?)].into_iter().collect())
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    host: HeaderValue,
    free: Semaphore,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

impl Connections {
    /// At most `count` connections to `address`, opened when needed.
    pub fn new(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let host = HeaderValue::from_str(&address.to_string())?;
        let (free, idle) = (Semaphore::new(count), Mutex::default());
        Ok(Self(Arc::new(Inner { address, host, free, idle })))
    }

    /// Sends a GET with these headers and reads the whole answer.
    pub async fn get(&self, path: &Uri, headers: &HeaderMap) -> anyhow::Result<StatusCode> {
        let _free = self.0.free.acquire().await.context("the pool is closed")?;
        let mut connection = self.connection().await?;
        let mut request = Request::get(path.clone()).body(Empty::new())?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(HOST, self.0.host.clone());
        let mut answer = connection.send_request(request).await?;
        while let Some(frame) = answer.frame().await {
            frame?;
        }
        // One that has failed is dropped, which closes it.
        self.idle().push(connection);
        Ok(answer.status())
    }

    async fn connection(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        loop {
            let Some(mut idle) = self.idle().pop() else { break };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let stream = TcpStream::connect(self.0.address)
            .await
            .with_context(|| format!("connect to {}", self.0.address))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        // Its errors reach whoever waits for an answer.
        tokio::spawn(driver);
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Empty<Bytes>>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream;

    #[tokio::test]
    async fn connections_are_kept_and_limited() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(upstream::accept(listener, upstream::Slow::default()));
        let connections = Connections::new(address, 2).expect("an address");
        for _ in 0..20 {
            let path = Uri::from_static("/a");
            let headers = HeaderMap::new();
            let calls = [(); 5].map(|()| connections.get(&path, &headers));
            let [a, b, c, d, e] = calls;
            let answers = tokio::try_join!(a, b, c, d, e).expect("answers");
            assert_eq!(answers.0, StatusCode::OK);
        }
        assert!(connections.idle().len() <= 2);
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let connections = Connections::new(address, 1).expect("an address");
        assert!(connections.get(&Uri::from_static("/"), &HeaderMap::new()).await.is_err());
    }
}

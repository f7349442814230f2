//! Opening a stream: TLS under the region's name, then the first message.

use std::time::Duration;

use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use hyper_util::client::legacy::connect::HttpConnector;
use proto::sync::v1::{NodeMessage, PlaneMessage, sync_client::SyncClient};
use sync::{identity::plane_name, limits::MESSAGE_BYTES_MAX};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};
use tower::ServiceExt as _;

use super::{StreamError, received};
use crate::{egress::EgressProxy, enrol::Credentials};

/// Address resolution, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the dial to the control plane's answer to the first message.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// HTTP/2 pings on an idle stream: a control plane that has vanished is noticed after interval plus timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that may wait between the session and the transport. Few, because a message that waits here is not sent yet.
const OUTBOUND_MESSAGES: usize = 4;

/// Both directions of one stream.
pub struct PlaneStream {
    /// Messages to the control plane. It is bounded, so that a slow connection slows down the session.
    pub outbound: mpsc::Sender<NodeMessage>,
    /// Messages from the control plane, in order.
    pub inbound: BoxStream<'static, Result<PlaneMessage, Status>>,
}

/// How control planes are reached: by [`Network`], or by what a simulation has in its place.
pub trait Dial: Send + Sync {
    /// Opens a stream to `endpoint` as the node of `credentials`, and sends `hello`.
    fn open<'a>(
        &'a self,
        endpoint: &'a str,
        credentials: &'a Credentials,
        hello: NodeMessage,
    ) -> BoxFuture<'a, Result<PlaneStream, StreamError>>;
}

/// Over TLS.
pub struct Network {
    /// By which the control plane is reached, if not directly.
    pub proxy: Option<EgressProxy>,
}

impl Dial for Network {
    fn open<'a>(
        &'a self,
        endpoint: &'a str,
        credentials: &'a Credentials,
        hello: NodeMessage,
    ) -> BoxFuture<'a, Result<PlaneStream, StreamError>> {
        Box::pin(open(endpoint, credentials, self.proxy.as_ref(), hello))
    }
}

/// Dials `endpoint`, `host:port` or an `https://` URL, through `proxy` if there is one, and sends `hello`.
async fn open(
    endpoint: &str,
    credentials: &Credentials,
    proxy: Option<&EgressProxy>,
    hello: NodeMessage,
) -> Result<PlaneStream, StreamError> {
    let unreachable = |error: &dyn std::error::Error| {
        let mut reason = chain(error);
        // What TLS says is that it does not know the issuer.
        if credentials.token.is_none() && reason.contains("fatal alert") {
            reason.push_str("; is this certificate pinned to the control plane?");
        }
        StreamError::Unreachable { endpoint: endpoint.to_owned(), reason }
    };
    let url =
        if endpoint.starts_with("https://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    let tls = ClientTlsConfig::new()
        .domain_name(plane_name(&credentials.identity.region))
        .ca_certificate(Certificate::from_pem(&credentials.ca_pem))
        .identity(Identity::from_pem(&credentials.certificate_pem, &credentials.key_pem));
    let dial = Endpoint::from_shared(url)
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| unreachable(&error))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let tunnel = proxy.map(EgressProxy::connector).transpose().map_err(|error| unreachable(&error))?;
    let open = async {
        let channel = match tunnel {
            Some(tunnel) => dial.connect_with_connector(tunnel.map_response(received::counted)).await,
            None => dial.connect_with_connector(direct().map_response(received::counted)).await,
        };
        let channel = channel.map_err(|error| unreachable(&error))?;
        let mut client = SyncClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
        // The control plane answers only after `hello`, so that must be on its way before the answer is awaited.
        let _ = outbound.send(hello).await;
        let response =
            client.follow(ReceiverStream::new(messages)).await.map_err(|status| unreachable(&status))?;
        Ok(PlaneStream { outbound, inbound: response.into_inner().boxed() })
    };
    timeout(OPEN_TIMEOUT, open).await.map_err(|elapsed| unreachable(&elapsed))?
}

/// Opens TCP connections, on which small messages do not wait for others.
fn direct() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

/// An error with its causes on one line. Transport errors say what matters in the last cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

//! The region's NATS, which carries wake-ups and revocations. A message that is lost costs time, never correctness: everything
//! that it tells is also found by polling the database.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, HeaderMap, Message, connection::State};
use ids::{Region, ServiceName, subject};
use pace::full_jitter;
use random::Random;
use settings::sections::Nats;

use crate::Identity;

const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before connecting again: drawn below a ceiling that doubles from the first to the last of these.
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(10);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Connects in the background, as a service of `region`, so that it also starts and serves while NATS is away.
pub async fn connect(
    settings: &Nats,
    identity: &Identity,
    (service, region): (ServiceName, &Region),
    random: Random,
) -> anyhow::Result<Client> {
    ConnectOptions::new()
        .name(service.as_str())
        .custom_inbox_prefix(subject::inbox(service, region))
        .require_tls(true)
        .tls_client_config(identity.client_config()?)
        .ping_interval(PING_INTERVAL)
        .retry_on_initial_connect()
        .reconnect_delay_callback(move |attempt| {
            let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
            full_jitter(attempt, RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX, random.number())
        })
        .connect(&settings.url)
        .await
        .with_context(|| format!("nats.url: {}", settings.url))
}

/// A check for readiness: whether the client is connected.
pub fn is_connected(nats: &Client) -> impl FnMut() -> Ready<Result<(), String>> + Send + use<> {
    let nats = nats.clone();
    move || match nats.connection_state() {
        State::Connected => ready(Ok(())),
        State::Pending | State::Disconnected => ready(Err("not connected".to_owned())),
    }
}

/// Headers that make a message part of the current trace.
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let traceparent = telemetry::traceparent();
    if !traceparent.is_empty() {
        headers.insert("traceparent", traceparent.as_str());
    }
    headers
}

/// Makes `span` part of the trace of `message`, if that has one.
pub fn adopt_trace(span: &tracing::Span, message: &Message) {
    let traceparent = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
    if let Some(traceparent) = traceparent {
        telemetry::adopt(span, traceparent.as_str());
    }
}

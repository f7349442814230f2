//! Follows another region's stream of the same service: an ordinary client of that region's NATS, with a connection of its
//! own. It starts at the stream's end, passes on what comes and keeps no place: what is missed is fetched.
//!
//! A connection on which neither message nor heartbeat comes for a second is given up and dialled anew. The client's own
//! reconnecting is not used: it would go on in the background on a connection that nobody reads any more.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::{
    Client, ConnectOptions,
    jetstream::consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;
use ids::{Region, subject};
use pace::full_jitter;
use replication::{Entry, Origin};
use settings::sections::PeerRegion;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    shared::Shared,
    stream::{context, read, reading, stream_name},
    trust::Refused,
};

/// The server sends a heartbeat when nothing else came for so long; two missing ones end the connection.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Longest time to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Messages asked for at once, and the bytes that they may have.
const PULL_MESSAGES: usize = 256;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// Pause before dialling again: drawn below a ceiling that doubles from the first to the last of these.
const REDIAL_DELAY_MIN: Duration = Duration::from_millis(50);
const REDIAL_DELAY_MAX: Duration = Duration::from_secs(1);
/// A connection that has lasted so long was good: the next pause is short again.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Where one region's stream is, and who reads it.
pub struct Puller {
    /// The log of the region that is followed.
    origin: Origin,
    url: String,
    tls: rustls::ClientConfig,
    /// Where the server may send answers to: nothing else of its traffic is to be seen.
    inbox: String,
    name: String,
}

impl Puller {
    /// What reads the log of `own`'s service in `region`, at the NATS address of `peer`. Connects in [`Puller::run`].
    /// Fails if no TLS configuration can be made of `identity` and the peer's CA.
    pub fn new(
        own: &Origin,
        region: &Region,
        peer: &PeerRegion,
        identity: &service::Identity,
    ) -> anyhow::Result<Self> {
        let tls = service::peer_client_config(peer, identity)
            .with_context(|| format!("regions.{region}: no TLS to NATS"))?;
        Ok(Self {
            origin: own.in_region(region),
            url: peer.nats.clone(),
            tls,
            inbox: subject::inbox(own.service(), own.region()),
            name: own.to_string(),
        })
    }

    /// Passes entries on until `stop`.
    pub async fn run(
        self: Arc<Self>,
        shared: Arc<Shared>,
        received: mpsc::Sender<Entry>,
        stop: CancellationToken,
    ) {
        let region = self.origin.region().to_string();
        let mut attempt: u32 = 0;
        loop {
            let since = Instant::now();
            let ended = tokio::select! {
                Err(ended) = self.follow(&shared, &received) => ended,
                () = stop.cancelled() => return,
            };
            ::metrics::counter!(metrics::REDIALS, "region" => region.clone()).increment(1);
            let lasted = since.elapsed();
            attempt = if lasted >= GOOD_AFTER { 0 } else { attempt.saturating_add(1) };
            let delay = full_jitter(attempt, REDIAL_DELAY_MIN, REDIAL_DELAY_MAX, shared.random.number());
            let error = format!("{ended:#}");
            if attempt <= 1 {
                tracing::warn!(%region, %error, "that region's stream is not followed; dialling again");
            } else {
                tracing::debug!(%region, %error, attempt, "that region's stream is still not followed");
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Ends with a failure only.
    async fn follow(
        &self,
        shared: &Shared,
        received: &mpsc::Sender<Entry>,
    ) -> anyhow::Result<std::convert::Infallible> {
        let client = self.connect().await.context("connect")?;
        let consumer: async_nats::jetstream::consumer::Consumer<pull::Config> = context(client)
            .create_consumer_on_stream(reading(DeliverPolicy::New, &shared.random), stream_name(&self.origin))
            .await
            .context("consumer")?;
        // What came between the last connection and this one is not in this stream.
        shared.links.ask(self.origin.region());
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .context("pull")?;
        tracing::debug!(origin = %self.origin, "following");
        let mut refused = 0;
        while let Some(message) = messages.next().await {
            match read(&message.context("message")?.payload, &self.origin, &shared.trust) {
                Ok(entry) => received.send(entry).await.context("the inbox is closed")?,
                Err(error) => not_believed(&self.origin, &error, &mut refused),
            }
        }
        anyhow::bail!("the subscription ended")
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let client = ConnectOptions::new()
            .name(&self.name)
            .require_tls(true)
            .tls_client_config(self.tls.clone())
            .custom_inbox_prefix(&self.inbox)
            // The region is reached where its operator says, not where its servers think they are.
            .ignore_discovered_servers()
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .max_reconnects(1)
            .connect(&self.url)
            .await?;
        Ok(client)
    }
}

/// A message that is no entry of the log. Whoever may publish there can send any number of them: one line says so.
fn not_believed(origin: &Origin, error: &Refused, refused: &mut u64) {
    ::metrics::counter!(metrics::NOT_BELIEVED, "region" => origin.region().to_string()).increment(1);
    *refused += 1;
    if *refused == 1 {
        tracing::error!(%origin, %error, "a message in the stream is not of its log; it is passed over, as are others like it");
    }
}

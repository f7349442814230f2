//! The stream of an origin in its own region's NATS: `LOG-<service>-<region>`, one message an entry. It is the fast path
//! to other regions and never the record: it may lose anything, and is made again when it is gone.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    jetstream::{
        Context,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{ContextBuilder, PublishAckFuture},
        message::PublishMessage,
        stream::{Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType},
    },
};
use futures::StreamExt as _;
use ids::subject;
use prost::Message as _;
use proto::replication::v1 as wire;
use random::Random;
use replication::{Entry, Origin, Position};

use crate::trust::{Refused, Trust};

/// Longest time of one request to JetStream, and for one message's acknowledgement.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages published and not yet acknowledged.
pub const IN_FLIGHT_MAX: usize = 64;
/// Messages are kept so long: what a region misses beyond that, it fetches.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// Messages are kept up to so many bytes.
const KEPT_BYTES_MAX: i64 = 256 * 1024 * 1024;
/// How far back the server tells a message published twice.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Consumers of the stream: each connection of a reader makes one, which goes away [`CONSUMER_IDLE`] after it.
const CONSUMERS_MAX: i32 = 256;
/// A consumer that nobody asks for so long is gone.
const CONSUMER_IDLE: Duration = Duration::from_secs(5);
/// Most entries that are read back of this region's stream.
pub const TAIL_MAX: usize = 10_000;

/// NATS did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("NATS: {0}")]
pub struct Away(String);

impl Away {
    /// Takes over the text of the client library's error.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Name of the JetStream stream with the entries of `origin`.
pub fn stream_name(origin: &Origin) -> String {
    subject::log_stream(origin.service(), origin.region())
}

/// NATS subject under which the entries of `origin` are published.
pub fn log_subject(origin: &Origin) -> String {
    subject::log(origin.service(), origin.region())
}

/// JetStream with deadlines of ours.
pub fn context(client: Client) -> Context {
    ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .ack_timeout(REQUEST_TIMEOUT)
        .max_ack_inflight(IN_FLIGHT_MAX)
        .build(client)
}

/// A consumer that is never acknowledged and goes away with its connection: what it misses is fetched elsewhere.
pub fn reading(deliver_policy: DeliverPolicy, random: &Random) -> pull::Config {
    pull::Config {
        deliver_policy,
        // Named, so that the server's permissions can name the stream.
        name: Some(format!("r{:016x}", random.number())),
        ack_policy: AckPolicy::None,
        inactive_threshold: CONSUMER_IDLE,
        memory_storage: true,
        num_replicas: 1,
        ..Default::default()
    }
}

/// The entry of `origin` in a message of its stream, if it is one: whoever may publish there can put in anything.
pub fn read(payload: &[u8], origin: &Origin, trust: &Trust) -> Result<Entry, Refused> {
    let message =
        wire::Operation::decode(payload).map_err(|error| Refused::Undecodable(error.to_string()))?;
    match trust.admit(message)? {
        entry if entry.origin == *origin => Ok(entry),
        entry => Err(Refused::Undecodable(format!("it is an entry of {}", entry.origin))),
    }
}

fn message_id(origin: &Origin, position: Position) -> String {
    format!("{origin}/{}/{}", position.epoch, position.seq)
}

/// This region's origin's stream. Cheap to clone.
#[derive(Clone)]
pub struct OwnStream {
    context: Context,
    origin: Origin,
    random: Random,
    trust: Arc<Trust>,
}

/// The stream's last message that is an entry.
pub struct Last {
    /// Of the message in the stream, not of the entry.
    sequence: u64,
    /// The entry that the message carries.
    pub entry: Entry,
}

impl OwnStream {
    /// The stream of `origin`, over `client`. Asks NATS nothing yet. `random` draws the names of its consumers.
    pub fn new(client: Client, origin: Origin, random: Random, trust: Arc<Trust>) -> Self {
        Self { context: context(client), origin, random, trust }
    }

    /// Makes the stream where it is missing, and brings it to this release's limits.
    pub async fn ensure(&self) -> Result<(), Away> {
        let config = Config {
            name: stream_name(&self.origin),
            subjects: vec![log_subject(&self.origin)],
            description: Some("Operations of one origin, for other regions. Disposable.".to_owned()),
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: 1,
            max_age: KEPT_FOR,
            max_bytes: KEPT_BYTES_MAX,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_message_size: -1,
            max_consumers: CONSUMERS_MAX,
            duplicate_window: DUPLICATE_WINDOW,
            ..Default::default()
        };
        match self.context.get_stream(stream_name(&self.origin)).await {
            Ok(stream) if is_as(&stream.cached_info().config, &config) => Ok(()),
            _ => self.context.create_or_update_stream(config).await.map(drop).map_err(Away::new),
        }
    }

    /// The last entry published; `None` for an empty stream or none. What somebody else put behind it is passed over, up to
    /// [`TAIL_MAX`] messages.
    pub async fn last(&self) -> Result<Option<Last>, Away> {
        let Some((sequence, payload)) = self.last_message().await? else { return Ok(None) };
        match read(&payload, &self.origin, &self.trust) {
            Ok(entry) => Ok(Some(Last { sequence, entry })),
            Err(error) => {
                tracing::warn!(%error, "the last message of this region's stream is not of its log");
                let messages = self.messages(sequence.saturating_sub(TAIL_MAX as u64)).await?;
                Ok(messages.into_iter().max_by_key(|last| last.entry.position))
            }
        }
    }

    async fn last_message(&self) -> Result<Option<(u64, bytes::Bytes)>, Away> {
        let stream = self.context.get_stream_no_info(stream_name(&self.origin)).await.map_err(Away::new)?;
        match stream.get_last_raw_message_by_subject(&log_subject(&self.origin)).await {
            Ok(message) => Ok(Some((message.sequence, message.payload))),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error) if is_no_stream(&error) => Ok(None),
                _ => Err(Away::new(error)),
            },
        }
    }

    /// Sends `entry`; the future that comes back ends with its acknowledgement. `None`: NATS takes no message so large.
    pub async fn publish(&self, entry: &Entry) -> Result<Option<PublishAckFuture>, Away> {
        use async_nats::jetstream::context::PublishErrorKind;
        let message = PublishMessage::build()
            .message_id(message_id(&self.origin, entry.position))
            .expected_stream(stream_name(&self.origin))
            .payload(entry.to_wire().encode_to_vec().into());
        match self.context.send_publish(log_subject(&self.origin), message).await {
            Ok(acknowledgement) => Ok(Some(acknowledgement)),
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Ok(None),
            Err(error) => Err(Away::new(error)),
        }
    }

    /// The entries after `after_seq`, as far as the stream holds them: at most [`TAIL_MAX`], in no order to rely on.
    pub async fn tail(&self, after_seq: u64) -> Result<Vec<Entry>, Away> {
        let Some(last) = self.last().await? else { return Ok(Vec::new()) };
        // A message an entry, in order, but for those that were published twice.
        let wanted = last.entry.position.seq.saturating_sub(after_seq).saturating_mul(2);
        let messages = self.messages(last.sequence.saturating_sub(wanted)).await?;
        let entries = messages.into_iter().map(|message| message.entry);
        Ok(entries.filter(|entry| entry.position.seq > after_seq).collect())
    }

    /// The entries in the messages from the sequence number `start` on, at most [`TAIL_MAX`] messages.
    async fn messages(&self, start: u64) -> Result<Vec<Last>, Away> {
        let policy = DeliverPolicy::ByStartSequence { start_sequence: start.max(1) };
        let name = stream_name(&self.origin);
        let consumer = self
            .context
            .create_consumer_on_stream(reading(policy, &self.random), name)
            .await
            .map_err(Away::new)?;
        let fetched = consumer.fetch().max_messages(TAIL_MAX).messages().await.map_err(Away::new)?;
        let mut entries = Vec::new();
        let mut fetched = std::pin::pin!(fetched.take(TAIL_MAX));
        while let Some(message) = fetched.next().await {
            let message = message.map_err(Away::new)?;
            let sequence = message.info().map_err(Away::new)?.stream_sequence;
            if let Ok(entry) = read(&message.payload, &self.origin, &self.trust) {
                entries.push(Last { sequence, entry });
            }
        }
        Ok(entries)
    }
}

fn is_no_stream(error: &async_nats::jetstream::Error) -> bool {
    error.error_code() == async_nats::jetstream::ErrorCode::STREAM_NOT_FOUND
}

/// Whether a stream has the limits that it should have; what else the server fills in is its own.
fn is_as(stream: &Config, wanted: &Config) -> bool {
    stream.subjects == wanted.subjects
        && stream.max_age == wanted.max_age
        && stream.max_bytes == wanted.max_bytes
        && stream.max_consumers == wanted.max_consumers
        && stream.duplicate_window == wanted.duplicate_window
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{chain, origin, trust};

    #[test]
    fn names_follow_the_origin_and_ids_tell_epochs_apart() {
        let us = origin("authz.us");
        assert_eq!(stream_name(&us), "LOG-authz-us");
        assert_eq!(log_subject(&us), "landbridge.log.authz.us");
        assert_eq!(message_id(&us, Position { epoch: 2, seq: 7 }), "authz.us/2/7");
    }

    #[test]
    fn only_an_entry_of_the_log_is_read() {
        let (us, eu) = (origin("authz.us"), origin("authz.eu"));
        let (trust, log) = (trust(), chain(&us, 1, 2));
        let message = log[1].to_wire().encode_to_vec();
        assert_eq!(read(&message, &us, &trust).expect("readable"), log[1]);
        assert!(read(&message, &eu, &trust).is_err(), "of another log");
        assert!(read(b"\xff\xff\xff", &us, &trust).is_err());
        assert!(read(b"", &us, &trust).is_err());
    }
}

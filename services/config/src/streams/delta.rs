//! One delta for one node.

use std::{sync::Arc, time::Duration};

use metrics::histogram;
use proto::sync::v1::{
    Applied, Delta as WireDelta, node_message::Message as FromNode, plane_message::Message as ToNode,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    end::{End, RETRY_AFTER, SEAT_LOST},
    session::Session,
    wire,
};
use crate::feed::Delta;

/// Whether the node says that it holds what the delta leads to. Its word that the digests are equal is not taken for that.
fn is_reached(applied: &Applied, delta: &Delta) -> bool {
    let (head, digest) = (delta.head, &delta.digest);
    applied.position.as_ref().is_some_and(|held| {
        (held.incarnation, held.version) == (head.incarnation, head.version)
            && held.digest[..] == digest.as_bytes()[..]
    })
}

impl Session {
    /// Sends a delta and waits until the node has applied it. The span continues the trace of the commit that made the
    /// delta's head, and the node's apply continues the span.
    pub async fn send_delta(&mut self, delta: &Arc<Delta>) -> Result<Applied, End> {
        let span = tracing::info_span!(
            "send delta", node = %self.node.node, base = delta.base, version = delta.head.version
        );
        telemetry::adopt(&span, &delta.traceparent);
        self.send_delta_traced(delta).instrument(span).await
    }

    async fn send_delta_traced(&mut self, delta: &Arc<Delta>) -> Result<Applied, End> {
        let sent = Instant::now();
        let traceparent = Some(telemetry::traceparent()).filter(|own| !own.is_empty());
        let (entities, packed) = delta.entities.fields(self.unpacks);
        self.send(ToNode::Delta(WireDelta {
            incarnation: delta.head.incarnation,
            base: delta.base,
            version: delta.head.version,
            digest: bytes::Bytes::copy_from_slice(delta.digest.as_bytes()),
            entities,
            packed,
            committed_at_ms: delta.committed_at_ms,
            settled_seq: delta.settled.seq,
            undone: delta.settled.undone.clone(),
            traceparent: traceparent.unwrap_or_else(|| delta.traceparent.clone()),
        }))
        .await?;
        let FromNode::Applied(mut applied) =
            self.reply(|message| matches!(message, FromNode::Applied(_))).await?
        else {
            return Err(End::Closed);
        };
        applied.digest_matches &= is_reached(&applied, delta);
        if !self.plane.registry.note_applied(&self.seat, wire::report(&applied)?).await? {
            return Err(End::refused(SEAT_LOST, RETRY_AFTER));
        }
        histogram!("landbridge_sync_apply_seconds").record(sent.elapsed().as_secs_f64());
        if applied.error.is_empty() && applied.digest_matches && delta.head.version > delta.base {
            let now =
                i64::try_from(self.plane.clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
            let lag = Duration::from_millis(u64::try_from(now - delta.committed_at_ms).unwrap_or(0));
            histogram!("landbridge_propagation_seconds").record(lag.as_secs_f64());
        }
        Ok(applied)
    }
}

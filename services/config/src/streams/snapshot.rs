//! A snapshot brings a node to the head when no delta can: a new node, a node whose version is older than the floor, and a node
//! that did not reach the version that it was sent.
//!
//! The node sends the digests of its buckets. The buckets that differ are sent in pages. Each page is read in a short
//! statement of its own and shared by all nodes that need the same. Entities may change in the meantime, so the snapshot
//! ends with a delta from the version at which it began. The digest of that delta decides whether the node is at the head.

use std::{sync::Arc, time::Duration};

use proto::sync::v1::{
    Applied, CompareBuckets, Page as WirePage, SnapshotEnd, node_message::Message as FromNode,
    plane_message::Message as ToNode,
};
use sync::BUCKETS;
use tokio::time::Instant;

use super::{end::End, session::Session};
use crate::feed::{Buckets, Head, Step};

/// How far a snapshot has come is shown in the list of nodes, and is as old as this at most.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

impl Session {
    /// Sends a snapshot and its delta. Returns the node's acknowledgement of the delta. Refuses the node if so much has changed
    /// meanwhile that no delta can end the snapshot.
    #[tracing::instrument(name = "send snapshot", skip_all, fields(node = %self.node.node, reason))]
    pub(super) async fn send_snapshot(&mut self, reason: &'static str) -> Result<Applied, End> {
        let id = self.node.control_plane;
        let ours = self.buckets().await?;
        let head = ours.head;
        self.same_history(head)?;
        let compare = CompareBuckets {
            incarnation: head.incarnation,
            buckets: BUCKETS.into(),
            reason: reason.to_owned(),
            base: head.version,
        };
        self.send(ToNode::CompareBuckets(compare)).await?;
        let FromNode::Buckets(theirs) = self.reply(|message| matches!(message, FromNode::Buckets(_))).await?
        else {
            return Err(End::Closed);
        };
        // Only now: a node that says nothing takes nobody's turn. Its messages are not read during this wait; its lease began with
        // its last one and goes on.
        let permit = self.plane.snapshots.acquire(self.organization, self.node.control_plane).await?;
        let differing = sync::differing(&ours.digests, &theirs.digests);
        let (base, missing) = self.unfinished(differing, &theirs.staged_at, head).await?;
        self.send_pages(missing.into(), head).await?;
        self.send(ToNode::SnapshotEnd(SnapshotEnd { incarnation: head.incarnation, base })).await?;
        drop(permit);
        let newest = Head { version: self.newest.borrow().head.version.max(head.version), ..head };
        match self.plane.feed.step(id, base, newest).await? {
            Step::Delta(delta) => self.send_delta(&delta).await,
            Step::TooFar(reason) => {
                self.plane.feed.forget_buckets(id, self.incarnation).await;
                let overtaken = format!("the snapshot could not be completed: {reason}");
                Err(End::refused(overtaken, Duration::from_secs(1)))
            }
        }
    }

    /// The digests that the node's are compared with. They may be a little old, but not for a node that takes each change whole: it would
    /// get the change as a delta.
    async fn buckets(&self) -> Result<Arc<Buckets>, End> {
        let (feed, id) = (&self.plane.feed, self.node.control_plane);
        let ours = feed.buckets(id, self.incarnation).await?;
        if !self.whole || ours.head >= self.newest.borrow().head {
            return Ok(ours);
        }
        feed.forget_buckets(id, self.incarnation).await;
        Ok(feed.buckets(id, self.incarnation).await?)
    }

    /// What is left to send of the buckets that differ, and the version from which a delta completes them. Less than all of them if
    /// the node has kept the others from an earlier stream, and a delta from then is still to be had.
    async fn unfinished(
        &self,
        differing: Vec<u8>,
        staged_at: &[u64],
        head: Head,
    ) -> Result<(u64, Vec<u8>), End> {
        if let Some((base, missing)) = sync::unfinished(&differing, staged_at, head.version) {
            match self.plane.feed.step(self.node.control_plane, base, head).await? {
                Step::Delta(_) => return Ok((base, missing)),
                Step::TooFar(reason) => {
                    tracing::info!(node = %self.node.node, reason, "a snapshot cannot go on where it stopped; what differs is sent again");
                }
            }
        }
        Ok((head.version, differing))
    }

    async fn send_pages(&mut self, buckets: Arc<[u8]>, head: Head) -> Result<(), End> {
        if buckets.is_empty() {
            return Ok(());
        }
        let (mut after, mut noted) = (None, None);
        loop {
            let page = self.plane.feed.page(self.node.control_plane, head, buckets.clone(), after).await?;
            let (entities, packed) = page.entities.fields(self.unpacks);
            let message = WirePage { begins: page.begins, entities, packed, left: page.left };
            self.send(ToNode::Page(message)).await?;
            self.reply(|message| matches!(message, FromNode::PageStaged(_))).await?;
            after = page.after;
            if after.is_none() {
                break;
            }
            // A snapshot of one page is over before anybody looks.
            if noted.is_none_or(|at: Instant| at.elapsed() >= PROGRESS_INTERVAL) {
                noted = Some(Instant::now());
                let staged = buckets.len().saturating_sub(page.left as usize);
                self.seat.note_snapshot(&self.plane.db, Some((staged, buckets.len()))).await?;
            }
        }
        if noted.is_some() {
            self.seat.note_snapshot(&self.plane.db, None).await?;
        }
        Ok(())
    }
}

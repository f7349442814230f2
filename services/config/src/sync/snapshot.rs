//! First contact, resync and return from beyond the floor: one mechanism. The node tells its bucket digests; buckets
//! that differ travel as pages, read in short statements and shared by nodes; the delta from the version before the
//! first page ends it, and its digest decides.

use std::sync::Arc;

use proto::sync::v1::{
    Applied, CompareBuckets, Page as WirePage, SnapshotEnd, node_message::Message as FromNode,
    plane_message::Message as ToNode,
};
use sync::BUCKETS;

use super::session::{End, Session};
use crate::feed::Step;

impl Session {
    /// Brings the node to the head by buckets; answers what it then says.
    pub(super) async fn send_snapshot(&mut self, reason: &'static str) -> Result<Applied, End> {
        // A node waits here for its turn; its lease runs from the last message, which it keeps up.
        let turn = self.plane.snapshots.clone().acquire_owned().await?;
        let head = *self.heads.borrow();
        let id = self.node.control_plane;
        let ours = self.plane.feed.buckets(id, head).await?;
        let compare =
            CompareBuckets { epoch: head.epoch, buckets: BUCKETS.into(), reason: reason.to_owned() };
        self.send(ToNode::CompareBuckets(compare)).await?;
        let FromNode::Buckets(theirs) = self.reply(|message| matches!(message, FromNode::Buckets(_))).await?
        else {
            return Err(End::Closed);
        };
        self.send_pages(sync::differing(&ours.digests, &theirs.digests).into(), ours.version).await?;
        self.send(ToNode::SnapshotEnd(SnapshotEnd { epoch: head.epoch, base: ours.version })).await?;
        drop(turn);
        let newest = self.heads.borrow().version.max(ours.version);
        match self.plane.feed.step(id, head.epoch, ours.version, newest).await? {
            Step::Delta(delta) => self.send_delta(&delta).await,
            Step::TooFar(reason) => Err(End::Refused(format!("the snapshot was overtaken: {reason}"), 1)),
        }
    }

    async fn send_pages(&mut self, buckets: Arc<[u8]>, version: u64) -> Result<(), End> {
        let mut after = None;
        loop {
            if buckets.is_empty() {
                return Ok(());
            }
            let page = self.plane.feed.page(self.node.control_plane, version, buckets.clone(), after).await?;
            self.send(ToNode::Page(WirePage { begins: page.begins, entities: page.entities })).await?;
            self.reply(|message| matches!(message, FromNode::PageStaged(_))).await?;
            match page.after {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

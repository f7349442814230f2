//! Which stream of a node is open in this process: at most one. The newer one ends the older one at once.
//!
//! The database says which stream has the node's seat, also of those at other replicas; a stream that has lost it to one of those
//! finds out when the node is next heard of. Here it need not wait for that, and a stream cannot live on by being silent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ids::{ControlPlaneId, NodeId};
use tokio_util::sync::CancellationToken;

type Node = (ControlPlaneId, NodeId);
/// What ends the stream that has the seat. Locked while the seat is taken in the database, so that both have one order.
type Place = tokio::sync::Mutex<CancellationToken>;

/// The seats of this process. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Node, Weak<Place>>>>);

/// A seat in this process, for as long as it lives and is not superseded.
pub(super) struct Seated {
    seats: Seats,
    node: Node,
    place: Arc<Place>,
    /// Cancelled when another stream of the node takes the seat.
    pub superseded: CancellationToken,
}

impl Seats {
    /// Takes the seat of `node` if `take` does. `take` answers `None` if this stream may not have it: then the stream that has it
    /// keeps it.
    pub async fn take<T, E>(
        &self,
        node: Node,
        take: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<Option<(Seated, T)>, E> {
        let seated = Seated {
            seats: self.clone(),
            node,
            place: self.place(node),
            superseded: CancellationToken::new(),
        };
        let place = Arc::clone(&seated.place);
        let mut holder = place.lock().await;
        let Some(taken) = take.await? else { return Ok(None) };
        std::mem::replace(&mut *holder, seated.superseded.clone()).cancel();
        Ok(Some((seated, taken)))
    }

    fn place(&self, node: Node) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&node).and_then(Weak::upgrade) {
            return place;
        }
        let place = Arc::default();
        places.insert(node, Arc::downgrade(&place));
        place
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut places = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock of `places` nobody else gets hold of the place.
        if Arc::strong_count(&self.place) == 1 {
            places.remove(&self.node);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_newest_stream_that_may_have_the_seat_has_it() {
        let seats = Seats::default();
        let node = (ControlPlaneId::generate(), NodeId::generate());
        let other = (node.0, NodeId::generate());
        let take = async |node, allowed: bool| {
            let taken = seats.take(node, async { Ok::<_, ()>(allowed.then_some(())) }).await;
            taken.expect("no error").map(|(seated, ())| seated)
        };
        let first = take(node, true).await.expect("free");
        let stranger = take(other, true).await.expect("another node");
        assert!(take(node, false).await.is_none());
        assert!(!first.superseded.is_cancelled(), "who may not have the seat takes it from nobody");
        let failed = seats.take(node, async { Err::<Option<()>, _>("the database is away") }).await;
        assert!(failed.is_err() && !first.superseded.is_cancelled());
        let second = take(node, true).await.expect("allowed");
        assert!(first.superseded.is_cancelled() && !second.superseded.is_cancelled());
        drop(first);
        let third = take(node, true).await.expect("allowed");
        assert!(second.superseded.is_cancelled() && !stranger.superseded.is_cancelled());
        drop((second, third, stranger));
        assert!(seats.0.lock().expect("lock").is_empty());
    }

    #[tokio::test]
    async fn seats_are_taken_in_the_order_of_the_database() {
        let seats = Seats::default();
        let node = (ControlPlaneId::generate(), NodeId::generate());
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let slow = seats.take(node, async move {
            let _ = released.await;
            Ok::<_, ()>(Some("slow"))
        });
        let mut slow = Box::pin(slow);
        assert!((&mut slow).now_or_never().is_none());
        let mut next = Box::pin(seats.take(node, async { Ok::<_, ()>(Some("next")) }));
        assert!((&mut next).now_or_never().is_none(), "the first is not done with the database");
        drop(release);
        let (first, _) = slow.await.expect("no error").expect("taken");
        let (second, _) = next.await.expect("no error").expect("taken");
        assert!(first.superseded.is_cancelled() && !second.superseded.is_cancelled());
    }
}

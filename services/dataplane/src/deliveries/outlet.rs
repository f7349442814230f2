//! Ways into a queue.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use super::{Deliveries, options::Way, queue::Queue};

/// Takes entries for a queue. The queue ends when its last outlet is dropped.
pub struct Outlet {
    deliveries: Deliveries,
    id: Uuid,
    queue: Arc<Queue>,
    way: Arc<Way>,
    /// Of two outlets, that with the higher number was made later.
    number: u64,
}

impl Outlet {
    pub(super) fn new(deliveries: Deliveries, id: Uuid, queue: Arc<Queue>, way: Way) -> Self {
        let number = queue.join();
        Self { deliveries, id, queue, way: Arc::new(way), number }
    }

    /// Hands `entry` over. Never waits.
    pub fn send(&self, entry: Bytes) {
        self.queue.push(entry, (self.number, &self.way));
    }

    /// The queue.
    #[cfg(test)]
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.deliveries.left(self.id, &self.queue);
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("queue", &self.queue).field("way", &self.way).finish()
    }
}

//! The connections of one thread that are open, tunnels included. It tells them when to end, and waits until they have.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

/// How far the gateway's end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has not begun.
    #[default]
    Serving,
    /// The next answer on each connection is the last, and says so. A connection without a request waits for one: it may be on its way.
    LastRequests,
    /// A connection without a request ends. Requests that have begun to arrive are finished.
    Finishing,
    /// The time for that is over.
    Closing,
}

/// The open connections.
#[derive(Debug, Default)]
pub struct Open {
    phase: Cell<Phase>,
    next: Cell<u64>,
    /// The task of each, once it has asked for the phase.
    tasks: RefCell<HashMap<u64, Option<Waker>>>,
    emptied: Notify,
}

/// One open connection, until it is dropped. Belongs to one task.
#[derive(Debug)]
pub struct Place {
    open: Rc<Open>,
    number: u64,
    is_known: Cell<bool>,
}

impl Open {
    /// Counts a connection as open.
    pub fn enter(self: &Rc<Self>) -> Place {
        let number = self.next.get();
        self.next.set(number + 1);
        self.tasks.borrow_mut().insert(number, None);
        Place { open: self.clone(), number, is_known: Cell::new(false) }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Tells every connection of the phase.
    pub fn set(&self, phase: Phase) {
        self.phase.set(phase);
        self.tasks.borrow().values().flatten().for_each(Waker::wake_by_ref);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Waits until none is open.
    pub async fn empty(&self) {
        while self.len() > 0 {
            self.emptied.notified().await;
        }
    }
}

impl Place {
    /// The phase. The task that asks first is woken when it changes.
    pub fn phase(&self, cx: &Context<'_>) -> Phase {
        if !self.is_known.replace(true) {
            self.open.tasks.borrow_mut().insert(self.number, Some(cx.waker().clone()));
        }
        self.open.phase()
    }

    /// Waits for `phase`, or a later one.
    pub async fn reaches(&self, phase: Phase) {
        poll_fn(|cx| if self.phase(cx) >= phase { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tasks = self.open.tasks.borrow_mut();
        tasks.remove(&self.number);
        if tasks.is_empty() {
            self.open.emptied.notify_one();
        }
    }
}

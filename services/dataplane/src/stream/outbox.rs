//! What the node has to say and the transport has not yet taken. Bounded by construction: one reply per message of the
//! plane's, and acknowledgements of revocations fold into the last one.

use std::collections::VecDeque;

use proto::sync::v1::{NodeMessage, RevocationApplied, node_message::Message};

#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<NodeMessage>,
    /// The last revocation that is denied and not yet acknowledged.
    revoked: Option<u64>,
}

impl Outbox {
    pub fn push(&mut self, message: Message) {
        self.messages.push_back(NodeMessage { message: Some(message) });
    }

    /// Acknowledges `seq` and all before it.
    pub fn revocation_applied(&mut self, seq: u64) {
        self.revoked = self.revoked.max(Some(seq));
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.revoked.is_none()
    }

    /// The next message; acknowledgements of revocations go first, as revocations do.
    pub fn next(&mut self) -> Option<NodeMessage> {
        let revoked = self.revoked.take();
        let applied = revoked.map(|seq| Message::RevocationApplied(RevocationApplied { seq }));
        applied.map(|message| NodeMessage { message: Some(message) }).or_else(|| self.messages.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use proto::sync::v1::{Leaving, PageStaged};

    use super::*;

    #[test]
    fn acknowledgements_of_revocations_go_first_and_fold() {
        let mut outbox = Outbox::default();
        assert!(outbox.is_empty());
        outbox.push(Message::PageStaged(PageStaged {}));
        outbox.push(Message::Leaving(Leaving {}));
        outbox.revocation_applied(3);
        outbox.revocation_applied(2);
        let mut all = Vec::new();
        while let Some(message) = outbox.next() {
            all.push(message.message.expect("a message"));
        }
        assert_eq!(
            all,
            [
                Message::RevocationApplied(RevocationApplied { seq: 3 }),
                Message::PageStaged(PageStaged {}),
                Message::Leaving(Leaving {})
            ]
        );
        assert!(outbox.is_empty());
    }
}

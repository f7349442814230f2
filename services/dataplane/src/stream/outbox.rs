//! Messages to the control plane that the transport has not taken yet. They need no limit of their own: there is at most one
//! reply per message received, and of the acknowledgements of revocations only the last is kept.

use std::collections::VecDeque;

use proto::sync::v1::{NodeMessage, RevocationApplied, node_message::Message};
use tracing::Span;

#[derive(Default)]
pub(super) struct Outbox {
    /// Each with a span that ends when the transport takes the message.
    messages: VecDeque<(NodeMessage, Span)>,
    /// Sequence number of the last revocation that is denied and not yet acknowledged.
    revoked: Option<u64>,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, message: Message) {
        self.push_traced(message, Span::none());
    }

    /// Adds a message. `span` ends when the transport takes it.
    pub fn push_traced(&mut self, message: Message, span: Span) {
        self.messages.push_back((NodeMessage { message: Some(message) }, span));
    }

    /// Acknowledges the revocation `seq` and all before it.
    pub fn revocation_applied(&mut self, seq: u64) {
        self.revoked = self.revoked.max(Some(seq));
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.revoked.is_none()
    }

    /// The next message to send. Acknowledgements of revocations go first.
    pub fn next(&mut self) -> Option<NodeMessage> {
        let revoked = self.revoked.take();
        let applied = revoked.map(|seq| Message::RevocationApplied(RevocationApplied { seq }));
        let applied = applied.map(|message| NodeMessage { message: Some(message) });
        applied.or_else(|| self.messages.pop_front().map(|(message, _span)| message))
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

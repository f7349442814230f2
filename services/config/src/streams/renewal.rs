//! A node asks for a new certificate over its stream, for the key that it has: while its certificate is valid, and once it has ended, unless
//! the node was removed.

use std::convert::Infallible;

use proto::sync::v1::{
    Certificate, NodeMessage, Renewal, node_message::Message as FromNode, plane_message::Message as ToNode,
};
use sync::limits;
use tokio::time::{Instant, timeout_at};

use super::{
    end::{End, RETRY_AFTER},
    session::{HELLO_TIMEOUT, Session},
};

impl Session {
    /// For a node whose certificate has ended: it is told nothing of the control plane, not even the key of its secrets. It may ask for a
    /// new certificate, and closes the stream when it has it.
    pub async fn renew(&mut self) -> Result<Infallible, End> {
        let deadline = Instant::now() + HELLO_TIMEOUT;
        while Instant::now() < deadline {
            let message = match timeout_at(deadline, self.inbound.message()).await {
                Ok(Ok(Some(NodeMessage { message: Some(message) }))) => message,
                _ => break,
            };
            if matches!(message, FromNode::Renewal(_)) {
                self.receive(message).await?;
            }
        }
        Err(End::refused("the node's certificate has ended, and it did not ask for a new one", RETRY_AFTER))
    }

    /// Answers with a new certificate.
    pub async fn renewed(&mut self, renewal: &Renewal) -> Result<(), End> {
        let refused = |reason: &str| Err(End::refused(reason, limits::RETRY_AFTER_MAX));
        if self.is_pinned {
            return refused("a pinned certificate is not renewed: pin a new one, and give it to the gateway");
        }
        let issued = self.plane.ca.sign(&renewal.csr_der, &self.node, self.plane.clock.now())?;
        if issued.key != self.seat.key {
            return refused(
                "a certificate is renewed for the key that it is for; a node with another key is enrolled anew",
            );
        }
        if !self.seat.note_renewed(&self.plane.db, issued.expires_at).await? {
            return refused("the certificate was renewed a moment ago, or the node was removed");
        }
        self.send(ToNode::Certificate(Certificate { certificate_pem: issued.pem })).await
    }
}

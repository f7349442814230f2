//! What the certificate of a connection proves.

use clock::Clock;
use ids::NodeId;
use listener::Client;
use proto::sync::v1::Hello;
use rustls_pki_types::CertificateDer;
use sync::{identity::NodeIdentity, limits};
use time::{Duration, OffsetDateTime};
use tonic::{Request, Status};
use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{Plane, end::End, wire::Malformed};
use crate::{
    enrolment::{key::NodeKey, verifier::end_of},
    pins::{self, Pin, sha256},
};

/// A certificate whose key the other side holds.
pub(super) struct Proven {
    /// Whom it is for.
    pub holder: Holder,
    /// The key that it is for.
    pub key: NodeKey,
    /// When it ends.
    pub ends_at: OffsetDateTime,
}

/// Whom a certificate is for.
pub(super) enum Holder {
    /// The region's CA says which node.
    Enrolled(NodeIdentity),
    /// Any node of the control plane that it is pinned to.
    Pinned(Pin),
}

impl Proven {
    /// What the connection of `request` proves. The names in a certificate count only if the region's CA has signed it: the handshake may
    /// have taken it because it was pinned.
    pub async fn by<T>(plane: &Plane, request: &Request<T>) -> Result<Self, Status> {
        let client = request.extensions().get::<Client>();
        let certificate = client.and_then(|client| client.certificate.as_ref());
        let nobody = || Status::permission_denied("this certificate names no node of this region");
        let certificate = certificate.ok_or_else(nobody)?;
        let key = NodeKey::of(certificate).ok_or_else(nobody)?;
        if plane.ca.has_issued(certificate) {
            let named = named(certificate).filter(|node| node.region == plane.region);
            let ends_at = end_of(certificate).and_then(|end| i64::try_from(end).ok());
            let ends_at = ends_at.and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok());
            let holder = Holder::Enrolled(named.ok_or_else(nobody)?);
            return Ok(Self { holder, key, ends_at: ends_at.ok_or_else(nobody)? });
        }
        match pins::store::opens(&plane.db, &sha256(certificate)).await {
            Ok(Some(pin)) => Ok(Self { holder: Holder::Pinned(pin), key, ends_at: pin.not_after }),
            Ok(None) => Err(Status::permission_denied(
                "this certificate is pinned to no control plane of this region",
            )),
            Err(error) => {
                tracing::warn!(%error, "a pinned certificate could not be looked up");
                Err(Status::unavailable("the control plane cannot be asked now"))
            }
        }
    }

    /// The node that says `hello`.
    pub fn node(&self, plane: &Plane, hello: &Hello) -> Result<NodeIdentity, End> {
        let node = match &self.holder {
            Holder::Enrolled(node) => node.clone(),
            Holder::Pinned(pin) => {
                let node =
                    Uuid::from_slice(&hello.node_id).map_err(|_| Malformed::NodeId(hello.node_id.len()))?;
                let (region, node) = (plane.region.clone(), NodeId::from_uuid(node));
                NodeIdentity { region, control_plane: pin.control_plane, node }
            }
        };
        // A gateway with a pinned certificate always knows whose it is: otherwise whoever pins it first could give it orders.
        let says_nothing = hello.control_plane_id.is_empty() && matches!(self.holder, Holder::Enrolled(_));
        if !says_nothing && hello.control_plane_id != node.control_plane.to_string() {
            let reason = match self.holder {
                Holder::Enrolled(_) => {
                    "the certificate is of another control plane than the node's configuration; enrol the node anew"
                }
                Holder::Pinned(_) => {
                    "the certificate is pinned to another control plane than the one that the gateway is set to follow; correct its settings"
                }
            };
            return Err(End::refused(reason, limits::RETRY_AFTER_MAX));
        }
        Ok(node)
    }

    /// Goes on with a certificate that may end by renewal, and with a pinned one that is valid at `now`.
    pub fn require_valid(&self, now: OffsetDateTime) -> Result<(), End> {
        let Holder::Pinned(pin) = &self.holder else { return Ok(()) };
        if now >= pin.not_after {
            return Err(End::pin_has_ended());
        }
        if now < pin.not_before {
            let reason = format!("the pinned certificate counts from {} on, and it is {now}", pin.not_before);
            return Err(End::refused(reason, limits::RETRY_AFTER_MAX));
        }
        Ok(())
    }

    /// Waits until a pinned certificate has ended; for ever with one that is renewed.
    pub async fn counts_no_more(&self, clock: &Clock) {
        /// Clocks are set right now and then.
        const LOOK_INTERVAL: Duration = Duration::hours(1);
        let Holder::Pinned(pin) = &self.holder else { return std::future::pending().await };
        loop {
            let left = pin.not_after - clock.now();
            if left <= Duration::ZERO {
                return;
            }
            tokio::time::sleep(left.min(LOOK_INTERVAL).unsigned_abs()).await;
        }
    }
}

impl Holder {
    /// Why a node has not got its seat.
    pub fn has_no_seat(&self) -> &'static str {
        match self {
            Self::Enrolled(_) => {
                "the node was removed, has another key, or its control plane was deleted; enrol it anew with an empty data folder"
            }
            Self::Pinned(_) => {
                "the certificate is no longer pinned, or this node was removed, has the id of a node that enrolled, or is one too many; pin a certificate, remove what is not used, or start with an empty data folder"
            }
        }
    }
}

/// The node that a certificate names.
fn named(certificate: &CertificateDer<'_>) -> Option<NodeIdentity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.parse().ok(),
        _ => None,
    })
}

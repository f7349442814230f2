//! Pinned certificates: certificates of a customer's own, by which the gateways of one control plane are known. Whoever holds the key of one
//! opens the streams of that control plane, as any number of nodes that name themselves.
//!
//! A TLS handshake asks [`known`], which may lag behind. What a stream may do is decided by the row, when the stream opens ([`store`]).

mod certificate;
pub mod http;
pub mod known;
pub mod store;

use std::sync::Arc;

use clock::Clock;
use ids::{ControlPlaneId, PinnedCertificateId, Region};
use settings::sections::Public;
use sqlx::PgPool;
use time::OffsetDateTime;

pub use self::certificate::sha256;
use self::known::KnownPins;
use crate::{enrolment::ca::RegionCa, feed::Feed, rows::RowError};

/// Most pinned certificates of one control plane.
pub const PER_CONTROL_PLANE_MAX: u32 = 32;
/// Most pinned certificates of an organization in the region.
pub const PER_ORGANIZATION_MAX: u32 = 1000;
/// Most nodes of one control plane that are known by pinned certificates: they make their ids themselves.
pub const NODES_MAX: u32 = 10_000;

/// A pinned certificate, as streams need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Names it in the API.
    pub id: PinnedCertificateId,
    /// What it opens.
    pub control_plane: ControlPlaneId,
    /// From when on it counts.
    pub not_before: OffsetDateTime,
    /// Until when it counts.
    pub not_after: OffsetDateTime,
}

/// The pinned certificates of this region. Cheap to clone.
#[derive(Clone)]
pub struct Pins {
    db: PgPool,
    feed: Feed,
    region: Region,
    /// Where gateways connect to.
    public: Arc<Public>,
    ca: Arc<RegionCa>,
    clock: Clock,
    /// For handshakes.
    pub known: KnownPins,
}

impl Pins {
    /// What the handlers need. `feed` tells streams that their certificate is no longer pinned.
    pub fn new(
        db: PgPool,
        feed: Feed,
        (region, public): (Region, Arc<Public>),
        ca: Arc<RegionCa>,
        clock: Clock,
    ) -> Self {
        Self { known: KnownPins::new(db.clone()), db, feed, region, public, ca, clock }
    }
}

/// Why a certificate was not pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Unusable, and why.
    #[error("{0}")]
    Unusable(String),
    #[error(
        "the certificate is pinned already, and belongs to one control plane; give each control plane a certificate of its own"
    )]
    Taken,
    #[error(
        "a control plane has at most {PER_CONTROL_PLANE_MAX} pinned certificates, and an organization {PER_ORGANIZATION_MAX}; delete those that no gateway uses"
    )]
    TooMany,
    #[error(transparent)]
    Rows(#[from] RowError),
}

//! Enrolment: a token lets a new node ask for a certificate of the region's CA.

pub mod ca;
pub mod http;
pub mod key;
pub mod tokens;
pub mod verifier;

use std::sync::Arc;

use clock::Clock;
use ids::Region;
use random::Random;
use settings::sections::Public;
use sqlx::PgPool;

use self::ca::{RegionCa, UnusableRequest};
use crate::rows::RowError;

/// Enrols nodes of this region. Cheap to clone.
#[derive(Clone)]
pub struct Enrolment {
    db: PgPool,
    region: Region,
    /// Where nodes ask for a certificate, and where they connect to afterwards.
    public: Arc<Public>,
    ca: Arc<RegionCa>,
    clock: Clock,
    random: Random,
}

impl Enrolment {
    /// What the handlers need. `ca` signs the certificates; the clock decides whether a token has expired.
    pub fn new(
        db: PgPool,
        region: Region,
        public: Arc<Public>,
        ca: Arc<RegionCa>,
        (clock, random): (Clock, Random),
    ) -> Self {
        Self { db, region, public, ca, clock, random }
    }
}

/// Why a node was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// One answer for all of these reasons, so that nobody can find out which tokens exist.
    #[error("the enrolment token is unknown, expired, used up or deleted; make a new one")]
    Refused,
    #[error(transparent)]
    BadToken(#[from] sync::enrolment::InvalidToken),
    #[error("this node was removed; start it with an empty data folder to enrol it as a new one")]
    Removed,
    #[error(
        "this node id belongs to a node with another key; remove that node, or start this one with an empty data folder"
    )]
    OtherKey,
    #[error(transparent)]
    UnusableRequest(#[from] UnusableRequest),
    #[error(transparent)]
    Rows(#[from] RowError),
}

//! Where an organization wants the region's audit log delivered: one HTTPS endpoint, to which entries are posted in batches, signed as
//! Standard Webhooks says, at least once each and in the order of the log.

mod deliver;
pub mod http;
mod secret;
mod store;

use std::{path::Path, sync::Arc};

use egress::Client;
use random::Random;
use seal::SealKey;
use sqlx::PgPool;

use crate::audit_logs::AuditLogs;

pub use self::deliver::{round, run};

/// The webhooks of the region. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    db: PgPool,
    seal: SealKey,
    logs: AuditLogs,
    client: Client,
    random: Random,
}

/// How webhooks are called. Cheap to clone.
#[derive(Clone)]
pub struct Options(Client);

impl Options {
    /// `ca`: a PEM file with the CA that endpoints are verified by, instead of the public ones. `private`: whether they may have addresses
    /// that are not public. An error names the file.
    pub fn load(ca: Option<&Path>, private: bool) -> anyhow::Result<Self> {
        Ok(Self(Client::new(ca, private)?))
    }
}

impl Webhooks {
    pub fn new(db: PgPool, seal: SealKey, logs: AuditLogs, options: Options, random: Random) -> Self {
        Self { db, seal, logs, client: options.0, random }
    }
}

/// Why a delivery failed, for whoever reads its status.
type Reason = Arc<str>;

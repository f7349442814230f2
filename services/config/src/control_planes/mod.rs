//! Control planes: regional, each with its own configuration, version and nodes.

mod filter;
pub mod http;
mod legacy;
pub mod purge;
mod store;

use std::{collections::BTreeMap, sync::Arc};

use access::{Action, Caller, Place};
use ids::{ControlPlaneId, Region};
use postgres::Lookups;
use proto::authz::v1::authz_client::AuthzClient;
use sqlx::PgPool;
use telemetry::TracedChannel;
use time::OffsetDateTime;

use self::{filter::Filter, store::ControlPlaneRow};
use crate::{error::Answer, feed::Feed, rows::RowError};

/// Labels of a control plane, by key.
pub type Labels = BTreeMap<String, String>;

/// A control plane.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// UUIDv7, made when the control plane was created.
    pub id: ControlPlaneId,
    /// Unique in the organization and region.
    pub name: String,
    /// Free text of the caller; empty if none was given.
    pub description: String,
    /// Labels of the caller. Policies can refer to them.
    pub labels: Labels,
    /// How nodes authenticate, in Konnect's words.
    pub auth_type: String,
    /// The incarnation in which `version` counts.
    pub incarnation: u64,
    /// Version of the configuration.
    pub version: u64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When one of the fields here last changed. Writes of entities do not count.
    pub updated_at: OffsetDateTime,
}

impl ControlPlane {
    /// The version of its configuration, for gateways.
    fn place(&self) -> Place {
        Place { control_plane: self.id, incarnation: self.incarnation, version: self.version }
    }

    /// The control plane, as decisions see it.
    fn resource(&self, region: &Region) -> access::Resource {
        access::Resource::ControlPlane { id: self.id, region: region.clone(), labels: self.labels.clone() }
    }
}

/// Why a control plane was not found or not written.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The organization has no control plane with this id in this region.
    #[error("no such control plane")]
    NotFound,
    /// Another control plane has the name.
    #[error("name: the organization has a control plane with this name in this region")]
    NameTaken,
    #[error(transparent)]
    Rows(#[from] RowError),
}

/// The control planes of this region. Cheap to clone.
#[derive(Clone)]
pub struct ControlPlanes {
    db: PgPool,
    rows: Lookups<ControlPlaneRow>,
    region: Region,
    /// Where nodes connect to, as control planes show it.
    sync_endpoint: Arc<str>,
    authz: AuthzClient<TracedChannel>,
    feed: Feed,
}

impl ControlPlanes {
    /// What the handlers need. `sync_endpoint` is the public `host:port` of the stream, which every control plane shows.
    pub fn new(
        db: PgPool,
        region: Region,
        sync_endpoint: &str,
        authz: AuthzClient<TracedChannel>,
        feed: Feed,
    ) -> Self {
        let rows = Lookups::new(db.clone());
        Self { db, rows, region, sync_endpoint: sync_endpoint.into(), authz, feed }
    }

    /// The caller's control plane, once authz has decided that the caller may do `action` there. 404 where the
    /// organization has no such control plane, 403 where the caller may not, 503 where that cannot be known now.
    pub async fn authorize(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        action: Action,
    ) -> Answer<ControlPlane> {
        caller.takes_turn().await?;
        let found = self.rows.find((caller.organization(), id)).await.map_err(RowError::from)?;
        let found = ControlPlane::try_from(found.ok_or(ControlPlaneError::NotFound)?)?;
        caller.may(action, &found.resource(&self.region)).await?;
        caller.shows(&found.place().into());
        Ok(found)
    }

    /// The control plane, as decisions see it.
    pub fn resource(&self, plane: &ControlPlane) -> access::Resource {
        plane.resource(&self.region)
    }

    /// The page that `filter` names of the control planes that the caller may see, and how many there are on all pages.
    async fn visible(&self, caller: &Caller, filter: &Filter) -> Answer<(Vec<ControlPlane>, u64)> {
        let visible = caller.visible_control_planes(&self.region).await?;
        let (found, total) = store::list(&self.db, caller.organization(), &visible, filter).await?;
        if !visible.recheck {
            return Ok((found, total));
        }
        let mut seen = Vec::with_capacity(found.len());
        for one in found {
            if caller.allows(Action::CpList, &one.resource(&self.region)).await? {
                seen.push(one);
            }
        }
        Ok((seen, total))
    }
}

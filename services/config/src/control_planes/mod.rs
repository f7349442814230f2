//! Control planes: regional, each with its own configuration, version and nodes.

pub mod http;
pub mod store;

use std::collections::BTreeMap;

use ids::{ControlPlaneId, Region, kinds};
use postgres::{Error, SqlId};
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;

pub type Labels = BTreeMap<String, String>;

/// A control plane, in Konnect's shape.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ControlPlane {
    pub id: ControlPlaneId,
    pub name: String,
    pub description: String,
    pub labels: Labels,
    pub config: Config,
    /// Version of the configuration: what nodes show once they have applied it.
    pub version: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Config {
    /// Where nodes connect to.
    pub control_plane_endpoint: String,
    pub cluster_type: &'static str,
    pub auth_type: &'static str,
}

pub const CLUSTER_TYPE: &str = "CLUSTER_TYPE_CONTROL_PLANE";
pub const AUTH_TYPE: &str = "pki_client_certs";

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::ControlPlane>,
    name: String,
    description: String,
    labels: String,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    fn control_plane(self, endpoint: &str) -> Result<ControlPlane, Error> {
        let labels = serde_json::from_str(&self.labels).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(ControlPlane {
            id: self.id.into(),
            name: self.name,
            description: self.description,
            labels,
            config: Config {
                control_plane_endpoint: endpoint.to_owned(),
                cluster_type: CLUSTER_TYPE,
                auth_type: AUTH_TYPE,
            },
            version: self.version.cast_unsigned(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl ControlPlane {
    /// The control plane, as decisions see it.
    pub fn resource(&self, region: &Region) -> access::Resource {
        access::Resource::ControlPlane { id: self.id, region: region.clone(), labels: self.labels.clone() }
    }
}

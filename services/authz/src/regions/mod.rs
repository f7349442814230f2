//! The regions as authz and identity know them together: addresses, reachability, and how far behind each one is.

pub mod http;

use std::{collections::BTreeMap, time::Duration};

use ids::Region;
use proto::identity::v1::{Region as IdentityRegion, RegionsRequest, identity_client::IdentityClient};
use replication::Vector;
use replication_runtime::RegionStatus;
use serde::Serialize;
use telemetry::TracedChannel;
use tonic::Status;
use utoipa::ToSchema;

/// The regions cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened, or is of another organization.
    #[error("no such consistency token")]
    TokenNotFound,
    #[error("identity cannot be asked: {0}")]
    IdentityAway(Status),
    /// A fault of ours.
    #[error("identity's answer cannot be read: {0}")]
    IdentityUnreadable(String),
}

#[derive(Serialize, ToSchema)]
struct Regions {
    data: Vec<RegionView>,
}

#[derive(Serialize, ToSchema)]
struct RegionView {
    name: String,
    /// Whether it is the region that answers.
    here: bool,
    /// URL of all its APIs and of enrolment.
    api: String,
    /// Where nodes connect to, `host:port` each.
    sync: Vec<String>,
    /// Whether both its identity and its authz were heard within the last second.
    reachable: bool,
    /// Milliseconds since both were last heard; absent if they never were.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_ms_ago: Option<u64>,
    /// Whether it takes no writes of replicated data. Its database was restarted, and no other region has confirmed yet that it lacks
    /// nothing.
    fenced: bool,
    /// The logs of which it has not applied everything, as far as this region knows.
    behind: Vec<Behind>,
}

/// How far a region is behind one log.
#[derive(Serialize, ToSchema)]
struct Behind {
    /// `<service>.<region>`.
    origin: String,
    operations: u64,
    /// How long it has been behind, milliseconds.
    lasting_ms: u64,
}

impl RegionView {
    /// A region as authz and identity know it: as good as the worse of the two.
    fn of(status: RegionStatus, identity: Option<&IdentityRegion>) -> Self {
        let own = status.behind.iter().map(|lag| Behind {
            origin: lag.origin.to_string(),
            operations: lag.entries,
            lasting_ms: milliseconds(lag.lasting),
        });
        let other = identity.into_iter().flat_map(|region| &region.behind).map(|behind| Behind {
            origin: behind.origin.clone(),
            operations: behind.operations,
            lasting_ms: behind.lasting_ms,
        });
        let heard = status.heard_ago.map(milliseconds).zip(identity.and_then(|region| region.heard_ms_ago));
        Self {
            name: status.region.to_string(),
            here: status.here,
            api: status.public.api,
            sync: status.public.sync,
            reachable: status.reachable && identity.is_some_and(|region| region.reachable),
            heard_ms_ago: heard.map(|(authz, identity)| authz.max(identity)),
            fenced: status.fenced || identity.is_some_and(|region| region.fenced),
            behind: own.chain(other).collect(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize, ToSchema)]
struct Arrival {
    /// Whether every region has everything.
    everywhere: bool,
    regions: Vec<ArrivalIn>,
}

#[derive(Serialize, ToSchema)]
struct ArrivalIn {
    region: String,
    /// As far as this region knows; a region that cannot be reached may be further.
    arrived: bool,
}

impl Arrival {
    /// In which regions `vector` has arrived, by what each region holds.
    fn of(vector: &Vector, held: BTreeMap<Region, Vector>) -> Self {
        let regions: Vec<ArrivalIn> = held
            .into_iter()
            .map(|(region, held)| ArrivalIn { region: region.to_string(), arrived: held.covers(vector) })
            .collect();
        Self { everywhere: regions.iter().all(|region| region.arrived), regions }
    }
}

/// The regions as this region's identity knows them.
async fn known_to_identity(identity: &IdentityClient<TracedChannel>) -> Result<Vec<IdentityRegion>, Error> {
    let answer = identity.clone().regions(RegionsRequest {}).await.map_err(Error::IdentityAway)?;
    Ok(answer.into_inner().regions)
}

/// What `region` holds of identity's logs.
fn held_there(region: &IdentityRegion) -> Result<(Region, Vector), Error> {
    let unreadable = |error: &dyn std::fmt::Display| Error::IdentityUnreadable(error.to_string());
    let name = region.name.parse().map_err(|error| unreadable(&error))?;
    Ok((name, Vector::from_wire(&region.held).map_err(|error| unreadable(&error))?))
}

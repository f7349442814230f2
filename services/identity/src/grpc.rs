//! What the region's other services ask identity, over mTLS: the server behind `access::RemoteSessions`.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use access::{PrincipalKind, Unavailable};
use ids::ServiceName;
use proto::identity::v1::{
    Behind, EndingOrganizationsRequest, EndingOrganizationsResponse, PrincipalKind as ProtoKind,
    ReachRequest, ReachResponse, Region, RegionsRequest, RegionsResponse, ResolveTokenRequest,
    ResolveTokenResponse, SigningKeysRequest, SigningKeysResponse, identity_server,
};
use replication::{Position, Vector};
use replication_runtime::{Lag, RegionStatus};
use service::Callers;
use tonic::{Request, Response, Status};

use crate::{app::SERVICE, organizations, sessions::LocalSessions};

/// Who may call which method.
pub const CALLERS: Callers = &[
    ("/landbridge.identity.v1.Identity/ResolveToken", &[ServiceName::Authz, ServiceName::Config]),
    ("/landbridge.identity.v1.Identity/SigningKeys", &[ServiceName::Authz, ServiceName::Config]),
    ("/landbridge.identity.v1.Identity/Reach", &[ServiceName::Authz, ServiceName::Config]),
    ("/landbridge.identity.v1.Identity/Regions", &[ServiceName::Authz]),
    // It answers for the audit log of the whole region.
    ("/landbridge.audit.v1.Audit/Read", &[ServiceName::Config]),
    ("/landbridge.audit.v1.Audit/State", &[ServiceName::Config]),
    ("/landbridge.identity.v1.Identity/EndingOrganizations", &[ServiceName::Config]),
];

/// Organizations that one question may be about.
const ORGANIZATIONS_MAX: usize = 1000;

/// The server.
pub struct Internal(pub Arc<LocalSessions>);

#[tonic::async_trait]
impl identity_server::Identity for Internal {
    async fn resolve_token(
        &self,
        request: Request<ResolveTokenRequest>,
    ) -> Result<Response<ResolveTokenResponse>, Status> {
        let request = request.into_inner();
        let region = request.minted_region.parse().map_err(|_| Status::invalid_argument("minted_region"))?;
        let position = Position { epoch: request.minted_epoch, seq: request.minted_seq };
        let sha256 = (*request.sha256).try_into().map_err(|_| Status::invalid_argument("sha256"))?;
        match self.0.by_hash(sha256, &region, position).await? {
            Ok(session) => Ok(Response::new(ResolveTokenResponse {
                organization_id: session.organization.to_string(),
                principal_id: session.principal.to_string(),
                principal_kind: match session.kind {
                    PrincipalKind::User => ProtoKind::User.into(),
                    PrincipalKind::SystemAccount => ProtoKind::SystemAccount.into(),
                    PrincipalKind::Operator => ProtoKind::Operator.into(),
                },
                session_id: session.id.to_string(),
                issued_at: session.issued_at,
                expires_at: session.expires_at,
                vector: session.vector.to_wire(),
                requests_per_second_max: session.limits.requests_per_second.map_or(0, NonZeroU32::get),
                entities_max: session.limits.entities.map_or(0, NonZeroU32::get),
            })),
            Err(refusal) => Err(refusal.status()),
        }
    }

    async fn signing_keys(
        &self,
        request: Request<SigningKeysRequest>,
    ) -> Result<Response<SigningKeysResponse>, Status> {
        let jwks = self.0.jwks(&request.get_ref().wanted).await?;
        Ok(Response::new(SigningKeysResponse { jwks_json: jwks.to_string() }))
    }

    async fn reach(&self, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        let vector = Vector::from_wire(&request.get_ref().vector);
        let vector = vector.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.0.wait_reached(&vector).await?;
        Ok(Response::new(ReachResponse {}))
    }

    async fn ending_organizations(
        &self,
        request: Request<EndingOrganizationsRequest>,
    ) -> Result<Response<EndingOrganizationsResponse>, Status> {
        let asked = request.into_inner().organizations;
        if asked.len() > ORGANIZATIONS_MAX {
            return Err(Status::invalid_argument("organizations: too many at once"));
        }
        let ids = asked.iter().map(|id| id.parse()).collect::<Result<Vec<_>, _>>();
        let ids = ids.map_err(|_| Status::invalid_argument("organizations"))?;
        let ending = organizations::store::ending(self.0.log.db(), &ids).await;
        let ending = ending.map_err(|error| Unavailable::new(SERVICE, &error))?;
        let organizations = ending.iter().map(ToString::to_string).collect();
        Ok(Response::new(EndingOrganizationsResponse { organizations }))
    }

    async fn regions(&self, _request: Request<RegionsRequest>) -> Result<Response<RegionsResponse>, Status> {
        // What other regions hold is known as of their last word; what is held here, as of now.
        let here = self.0.log.read_state().await;
        let here = here.map_err(|error| Unavailable::new(SERVICE, &error))?.vector();
        let region = |status: RegionStatus| Region {
            name: status.region.to_string(),
            reachable: status.reachable,
            heard_ms_ago: status.heard_ago.map(milliseconds),
            fenced: status.fenced,
            held: if status.here { here.to_wire() } else { status.held.to_wire() },
            behind: status.behind.iter().map(behind).collect(),
        };
        let regions = self.0.replication.status().into_iter().map(region).collect();
        Ok(Response::new(RegionsResponse { regions }))
    }
}

fn behind(lag: &Lag) -> Behind {
    Behind { origin: lag.origin.to_string(), operations: lag.entries, lasting_ms: milliseconds(lag.lasting) }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

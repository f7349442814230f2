//! The audit log of one service for the one that answers for all of a region: the server, and a source that is either this database or
//! another service.

use access::Unavailable;
use ids::{OrganizationId, ServiceName};
use postgres::PgPool;
use proto::audit::v1::{
    ReadRequest, ReadResponse, StateRequest, StateResponse,
    audit_client::AuditClient,
    audit_server::{Audit, AuditServer},
};
use time::OffsetDateTime;
use tonic::{Code, Request, Response, Status};

use crate::{ChainState, Filter, Place, Record, clients, page, state};

/// Entries that one answer has at most: a page of the API, and one more to see whether more follow.
pub const PAGE_MAX: u32 = 1001;

/// The server.
pub struct Server {
    /// The service's database.
    pub db: PgPool,
    /// Where the log is.
    pub place: Place,
    /// Whether the database keeps the clients of entries.
    pub keeps_clients: bool,
}

impl Server {
    /// As tonic takes it.
    pub fn server(self) -> AuditServer<Self> {
        AuditServer::new(self)
    }
}

#[tonic::async_trait]
impl Audit for Server {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let request = request.into_inner();
        let organization = organization(&request.organization_id)?;
        let filter = filter(request)?;
        let filter = match self.keeps_clients {
            true => filter,
            false => match filter.without_clients() {
                Some(filter) => filter,
                None => return Ok(Response::new(ReadResponse::default())),
            },
        };
        if filter.names_client() {
            let kept = clients::are_kept(&self.db, &self.place.region, organization).await;
            if !kept.map_err(database)? {
                return Err(Status::failed_precondition(
                    "clients are kept in the organization's home region",
                ));
            }
        }
        let records = page(&self.db, &self.place, organization, &filter).await.map_err(database)?;
        let records = records.iter().map(|record| serde_json::to_vec(record).map(Into::into));
        let records =
            records.collect::<Result<_, _>>().map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(ReadResponse { records }))
    }

    async fn state(&self, request: Request<StateRequest>) -> Result<Response<StateResponse>, Status> {
        let organization = organization(&request.get_ref().organization_id)?;
        let state = state(&self.db, &self.place, organization).await.map_err(database)?;
        let state = serde_json::to_vec(&state).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(StateResponse { state: state.into() }))
    }
}

fn database(error: postgres::Error) -> Status {
    match error {
        postgres::Error::Unavailable(_) => Status::unavailable("the database cannot be asked now"),
        postgres::Error::Fault(error) => Status::internal(error.to_string()),
    }
}

fn organization(text: &str) -> Result<OrganizationId, Status> {
    text.parse().map_err(|_| Status::invalid_argument("organization_id"))
}

fn filter(request: ReadRequest) -> Result<Filter, Status> {
    let at = |microseconds: Option<i64>| microseconds.map(clock::at_microseconds);
    let actor = request.actor.map(|actor| actor.parse()).transpose();
    Ok(Filter {
        after: request.after,
        up_to: request.up_to,
        from: at(request.from),
        until: at(request.until),
        kind: request.r#type,
        actor: actor.map_err(|_| Status::invalid_argument("actor"))?,
        action: request.action,
        outcome: request.outcome,
        with_clients: request.with_clients,
        client_ip: request.client_ip,
        user_agent: request.user_agent,
        limit: request.limit.min(PAGE_MAX),
    })
}

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A service cannot be asked now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The filter names a client, and clients are kept in the organization's home region, which is another one.
    #[error(
        "addresses and user agents are kept in the organization's home region, which is another one: ask there"
    )]
    ClientsElsewhere,
}

/// Where the entries of a service are read. Cheap to clone.
#[derive(Clone)]
pub enum Source {
    /// In this service's own database, which keeps no clients of entries.
    Here(PgPool, Place),
    /// In another service of the region.
    There(ServiceName, AuditClient<telemetry::TracedChannel>),
}

impl Source {
    /// Which service's they are.
    pub fn service(&self) -> ServiceName {
        match self {
            Self::Here(_, place) => place.service,
            Self::There(service, _) => *service,
        }
    }

    /// The entries of `organization` that `filter` lets through, at most [`PAGE_MAX`], in the order of their chain.
    pub async fn read(
        &self,
        organization: OrganizationId,
        filter: &Filter,
    ) -> Result<Vec<Record>, ReadError> {
        match self {
            Self::Here(db, place) => {
                let Some(filter) = filter.without_clients() else { return Ok(Vec::new()) };
                let records = page(db, place, organization, &filter).await;
                Ok(records.map_err(|error| Unavailable::new(place.service, &error))?)
            }
            Self::There(service, client) => {
                let at = |at: Option<OffsetDateTime>| at.map(clock::microseconds);
                let request = ReadRequest {
                    organization_id: organization.to_string(),
                    after: filter.after,
                    up_to: filter.up_to,
                    from: at(filter.from),
                    until: at(filter.until),
                    r#type: filter.kind.clone(),
                    actor: filter.actor.map(|actor| actor.to_string()),
                    action: filter.action.clone(),
                    outcome: filter.outcome.clone(),
                    with_clients: filter.with_clients,
                    client_ip: filter.client_ip.clone(),
                    user_agent: filter.user_agent.clone(),
                    limit: filter.limit.min(PAGE_MAX),
                };
                let answer = match client.clone().read(request).await {
                    Err(status) if status.code() == Code::FailedPrecondition => {
                        return Err(ReadError::ClientsElsewhere);
                    }
                    answer => answer.map_err(|status| unavailable(*service, &status))?.into_inner(),
                };
                let records = answer.records.iter().map(|record| serde_json::from_slice(record));
                let records = records.collect::<Result<_, serde_json::Error>>();
                let mut records: Vec<Record> = records.map_err(|error| Unavailable::new(*service, &error))?;
                // A service of an earlier release knows nothing of clients, and would list everything.
                records.retain(|record| filter.lets_client_through(record));
                Ok(records)
            }
        }
    }

    /// How far the chain of `organization` goes.
    pub async fn state(&self, organization: OrganizationId) -> Result<ChainState, Unavailable> {
        match self {
            Self::Here(db, place) => {
                let state = state(db, place, organization).await;
                state.map_err(|error| Unavailable::new(place.service, &error))
            }
            Self::There(service, client) => {
                let request = StateRequest { organization_id: organization.to_string() };
                let answer = client.clone().state(request).await;
                let answer = answer.map_err(|status| unavailable(*service, &status))?.into_inner();
                serde_json::from_slice(&answer.state).map_err(|error| Unavailable::new(*service, &error))
            }
        }
    }
}

fn unavailable(service: ServiceName, status: &Status) -> Unavailable {
    match status.code() {
        Code::DeadlineExceeded | Code::ResourceExhausted => Unavailable::Busy { service },
        _ => Unavailable::new(service, status),
    }
}

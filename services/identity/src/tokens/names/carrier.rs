//! Sends the names of tokens that were made here to the organizations' home regions, and takes in those that other regions send.
//!
//! A name waits, sealed, in the database of the region where the token was made, until its home has it. What is sent twice has one
//! effect, so every replica sends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ids::{OrganizationId, Region, TokenId};
use proto::residence::v1::{
    KeepTokenNameRequest, KeepTokenNameResponse,
    residence_client::ResidenceClient,
    residence_server::{self, ResidenceServer},
};
use seal::SealKey;
use service::Identity;
use settings::sections::PeerRegion;
use sqlx::PgPool;
use telemetry::TracedChannel;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{Prints, store};
use crate::{app::SERVICE, organizations};

/// Pause between two looks at what has to be sent.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before what was not taken is sent again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Names that are read at once.
const BATCH_MAX: i64 = 100;
/// Longest time of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Clients of identity in the other regions.
pub type Homes = BTreeMap<Region, ResidenceClient<TracedChannel>>;

/// Clients that connect at first use.
pub fn homes(regions: &BTreeMap<Region, PeerRegion>, identity: &Identity) -> anyhow::Result<Homes> {
    let client = |(region, peer): (&Region, &PeerRegion)| {
        let channel = service::peer_channel(peer, region, SERVICE, identity)?;
        Ok((region.clone(), ResidenceClient::new(channel)))
    };
    regions.iter().map(client).collect()
}

/// Sends names home, until the drain.
pub struct Carrier {
    /// The service's database.
    pub db: PgPool,
    /// Opens the names that wait.
    pub seal: SealKey,
    /// Where they may have to go.
    pub homes: Homes,
    /// Told when a name was written.
    pub wake: Arc<Notify>,
}

impl Carrier {
    /// Runs until `drain`.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let mut told = String::new();
        loop {
            let pause = match self.round().await {
                Ok(true) => {
                    told.clear();
                    POLL_INTERVAL
                }
                Ok(false) => RETRY_INTERVAL,
                Err(error) => {
                    let reason = format!("{error:#}");
                    if reason != told {
                        tracing::warn!(error = reason, "names of tokens were not sent home; trying again");
                        told = reason;
                    }
                    RETRY_INTERVAL
                }
            };
            tokio::select! {
                () = drain.cancelled() => return Ok(()),
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Sends what waits; `false` if a home has not taken all of its own yet.
    async fn round(&self) -> anyhow::Result<bool> {
        let names = store::underway(&self.db, BATCH_MAX).await?;
        let mut taken = 0;
        let mut failed = None;
        for name in &names {
            match self.send(name).await {
                Ok(()) => {
                    store::arrived(&self.db, name.token, &name.print).await?;
                    taken += 1;
                }
                // The token itself is on its way.
                Err(status) if status.code() == tonic::Code::OutOfRange => {}
                Err(status) => failed = Some(status),
            }
        }
        match failed {
            Some(status) => Err(anyhow::anyhow!("{}: {}", status.code(), status.message())),
            None => Ok(taken == names.len() && (names.len() as i64) < BATCH_MAX),
        }
    }

    async fn send(&self, name: &store::Underway) -> Result<(), Status> {
        let home = name.home.parse().ok().and_then(|home: Region| self.homes.get(&home));
        let mut home = home.cloned().ok_or_else(|| Status::unavailable("the home is not among `regions`"))?;
        let opened = self.seal.open(&store::purpose(name.token), &name.sealed);
        let opened = opened.map_err(|error| Status::internal(error.to_string()))?;
        let request = KeepTokenNameRequest {
            organization_id: name.organization.to_string(),
            token_id: name.token.to_string(),
            print: name.print.to_vec().into(),
            name: String::from_utf8(opened).map_err(|error| Status::internal(error.to_string()))?,
        };
        let sent = timeout(CALL_TIMEOUT, home.keep_token_name(request)).await;
        sent.unwrap_or_else(|_| Err(Status::unavailable("no answer in time"))).map(drop)
    }
}

/// The home's end.
pub struct Residence {
    /// The service's database.
    pub db: PgPool,
    /// The region of this service.
    pub region: Region,
    /// Checks that a name is the token's.
    pub prints: Prints,
}

impl Residence {
    /// The server.
    pub fn server(self) -> ResidenceServer<Self> {
        ResidenceServer::new(self)
    }
}

#[tonic::async_trait]
impl residence_server::Residence for Residence {
    async fn keep_token_name(
        &self,
        request: Request<KeepTokenNameRequest>,
    ) -> Result<Response<KeepTokenNameResponse>, Status> {
        let KeepTokenNameRequest { organization_id, token_id, print, name } = request.into_inner();
        let organization: OrganizationId =
            organization_id.parse().map_err(|_| Status::invalid_argument("organization_id"))?;
        let token: TokenId = token_id.parse().map_err(|_| Status::invalid_argument("token_id"))?;
        let print = print.as_ref().try_into().map_err(|_| Status::invalid_argument("print"))?;
        let name = web::text::name("name", &name).map_err(|_| Status::invalid_argument("name"))?;
        if !self.prints.fits(organization, &name, &print) {
            return Err(Status::invalid_argument("print: not the name's"));
        }
        let unavailable = |error: postgres::Error| Status::unavailable(error.to_string());
        let known = organizations::store::find(&self.db, organization).await.map_err(unavailable)?;
        match known {
            None => return Err(Status::out_of_range("the organization is not here yet")),
            Some(known) if known.home_region != self.region => {
                return Err(Status::failed_precondition("this is not the organization's home"));
            }
            Some(_) => {}
        }
        match store::keep(&self.db, organization, token, &print, &name).await.map_err(unavailable)? {
            true => Ok(Response::new(KeepTokenNameResponse {})),
            false => Err(Status::out_of_range("the token is not here yet")),
        }
    }
}

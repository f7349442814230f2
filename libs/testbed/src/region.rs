//! A running region: its infrastructure, the three services on top of it, and the edge in front of them.
//!
//! Started and stopped as a whole, alone or by its [`deployment`](crate::deployment). Parts can be killed and restarted
//! through `&self`, so that tests can share a region.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use ids::ServiceName;
use serde::Deserialize;

use crate::{
    api::{self, Api},
    edge::Edge,
    folder::Folder,
    infrastructure::Infrastructure,
    mail::MailServer,
    options::{Options, alone, timed},
    process::Process,
    service::until_answers_200,
    upstream::Upstream,
};

/// What `landbridge identity bootstrap` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Owner {
    /// Id of the organization.
    pub organization_id: String,
    /// Id of the person who owns it.
    pub owner_id: String,
    /// Personal access token of the owner.
    pub token: String,
}

/// A running region. Dropping it stops everything, without waiting.
#[derive(Debug)]
pub struct Region {
    parts: Parts,
    owner: Owner,
    organization: String,
}

/// A second process of config in a region.
#[derive(Debug)]
pub struct Replica {
    process: Process,
    api: SocketAddr,
    operator: SocketAddr,
}

impl Replica {
    async fn start(on: &Infrastructure) -> anyhow::Result<Self> {
        let addresses = [on.next_address()?, on.next_address()?, on.next_address()?];
        let [api, _, operator] = addresses;
        let process =
            on.service(ServiceName::Config).serve_replica(addresses, on.folder(), &on.traces).await?;
        let replica = Self { process, api, operator };
        replica.until_ready().await?;
        Ok(replica)
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Base URL of its HTTPS API, past the edge.
    pub fn api_url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// Starts it again after it was killed or stopped, and waits until it is ready.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again().await?;
        self.until_ready().await
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        until_answers_200(&self.process, &format!("http://{}/readyz", self.operator)).await
    }
}

/// A region whose services run, before it has an organization.
#[derive(Debug)]
pub(crate) struct Parts {
    edge: Edge,
    processes: [Process; 3],
    replica: Option<Replica>,
    upstream: Upstream,
    mail: MailServer,
    http: reqwest::Client,
    infrastructure: Infrastructure,
}

impl Parts {
    /// Starts everything on top of the infrastructure and waits until it is ready.
    pub async fn start(infrastructure: Infrastructure, options: &Options) -> anyhow::Result<Self> {
        let region = &infrastructure.region;
        let upstream = Upstream::start(infrastructure.folder(), infrastructure.next_address()?);
        let upstream = timed(options, region, "Echo upstream", upstream).await?;

        let (address, tls) = (infrastructure.addresses.mail, &infrastructure.api_tls);
        let mail = MailServer::start(infrastructure.folder(), address, tls);
        let mail = timed(options, region, "Mail server that keeps what it is sent", mail).await?;

        let [identity, authz, config] = ServiceName::ALL.map(|service| infrastructure.service(service));
        let migrate = ["migrate"];
        let migrations = async {
            tokio::try_join!(identity.command(&migrate), authz.command(&migrate), config.command(&migrate))
        };
        timed(options, region, "Databases migrated", migrations).await?;

        let serve = async {
            let (folder, traces) = (infrastructure.folder(), &infrastructure.traces);
            let (a, b, c) = tokio::try_join!(
                identity.serve(folder, traces),
                authz.serve(folder, traces),
                config.serve(folder, traces)
            )?;
            tokio::try_join!(identity.until_ready(&a), authz.until_ready(&b), config.until_ready(&c))?;
            Ok([a, b, c])
        };
        let processes = timed(options, region, "identity, authz and config ready", serve).await?;

        let replica = match options.two_configs {
            true => Some(Replica::start(&infrastructure).await?),
            false => None,
        };
        let second = replica.as_ref().map(|replica| replica.api);

        let region_ca = infrastructure.ca.region_ca();
        let (addresses, tls) = (&infrastructure.addresses, &infrastructure.api_tls);
        let shown = (&region_ca, &infrastructure.edge);
        let edge =
            Edge::start(infrastructure.folder(), addresses, second, tls, shown, &infrastructure.traces);
        let edge = timed(options, region, &format!("Edge on {}", addresses.public_api()), edge).await?;
        let http = api::https_client(&region_ca.certificate)?;
        Ok(Self { edge, processes, replica, upstream, mail, http, infrastructure })
    }

    /// Makes the first organization, with this region as its home, and its owner.
    pub async fn bootstrap(&self, options: &Options) -> anyhow::Result<Owner> {
        let region = &self.infrastructure.region;
        let (organization, email) = (options.organization.as_str(), options.owner_email.as_str());
        let arguments = [
            "bootstrap",
            "--organization",
            organization,
            "--owner-email",
            email,
            "--home-region",
            region.as_str(),
            "--json",
        ];
        let identity = self.infrastructure.service(ServiceName::Identity);
        let made = timed(options, region, "Organization and owner made", identity.command(&arguments));
        serde_json::from_str(&made.await?).context("the answer of identity bootstrap")
    }
}

impl Region {
    /// Starts a region that is alone and waits until every service is ready. On failure the folder stays, and the error
    /// names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        alone(options, async |site| {
            let infrastructure = Infrastructure::start_at(site, options).await?;
            let parts = Parts::start(infrastructure, options).await?;
            let owner = parts.bootstrap(options).await?;
            Ok(Self::of(parts, owner, options))
        })
        .await
    }

    pub(crate) fn of(parts: Parts, owner: Owner, options: &Options) -> Self {
        Self { parts, owner, organization: options.organization.clone() }
    }

    /// As in `us`.
    pub fn name(&self) -> &str {
        self.infrastructure().region.as_str()
    }

    /// What the services stand on.
    pub fn infrastructure(&self) -> &Infrastructure {
        &self.parts.infrastructure
    }

    /// The region's folder.
    pub fn folder(&self) -> &Folder {
        self.infrastructure().folder()
    }

    /// The upstream that answers with what it received.
    pub fn upstream(&self) -> &Upstream {
        &self.parts.upstream
    }

    /// The mail server that keeps what it is sent.
    pub fn mail(&self) -> &MailServer {
        &self.parts.mail
    }

    /// The owner of the organization, with a token.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Name of the organization.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The HTTP client that trusts the region's authority.
    pub fn http(&self) -> &reqwest::Client {
        &self.parts.http
    }

    /// File with the authority that signs the region's HTTPS certificates.
    pub fn ca_file(&self) -> PathBuf {
        self.infrastructure().ca.region_ca().certificate
    }

    /// Base URL of the region's edge, where all public APIs are: what its users know.
    pub fn edge_url(&self) -> String {
        self.infrastructure().addresses.public_api()
    }

    /// All public APIs by way of the edge, as the owner of the organization.
    pub fn edge_api(&self) -> Api {
        Api::new(self.http().clone(), self.edge_url(), Some(&self.owner.token))
    }

    /// The data plane in front of the services.
    pub fn edge(&self) -> &Process {
        self.parts.edge.process()
    }

    /// Where the edge tells about itself, as in `http://127.0.0.1:12017`.
    pub fn edge_admin_url(&self) -> &str {
        self.parts.edge.admin()
    }

    /// Base URL of a service's HTTPS API, past the edge.
    pub fn api_url(&self, service: ServiceName) -> String {
        format!("https://{}", self.infrastructure().addresses.of(service).api)
    }

    /// A service's API as the owner of the organization, past the edge. Where there are two processes of config, requests go to the
    /// one and the other in turn.
    pub fn api(&self, service: ServiceName) -> Api {
        let first = Api::new(self.http().clone(), self.api_url(service), Some(&self.owner.token));
        match self.replica() {
            Some(replica) if service == ServiceName::Config => first.and_replica(replica.api_url()),
            _ => first,
        }
    }

    /// The second process of config, where there is one.
    pub fn replica(&self) -> Option<&Replica> {
        self.parts.replica.as_ref()
    }

    /// A service's operator port: `/livez`, `/readyz`, `/metrics`.
    pub fn operator(&self, service: ServiceName) -> anyhow::Result<Api> {
        let address = self.infrastructure().addresses.of(service).operator;
        Ok(Api::new(api::http_client()?, format!("http://{address}"), None))
    }

    /// The running process of a service.
    pub fn process(&self, service: ServiceName) -> &Process {
        let [identity, authz, config] = &self.parts.processes;
        match service {
            ServiceName::Identity => identity,
            ServiceName::Authz => authz,
            ServiceName::Config => config,
        }
    }

    /// Every process of the region but its data planes.
    pub fn all_processes(&self) -> impl Iterator<Item = &Process> {
        let Infrastructure { nats, postgres, .. } = self.infrastructure();
        let others = [
            self.edge(),
            self.upstream().process(),
            self.mail().process(),
            nats.process(),
            postgres.process(),
        ];
        self.parts.processes.iter().chain(self.replica().map(Replica::process)).chain(others)
    }

    /// Starts a service again after it was killed or stopped, and waits until it is ready.
    pub async fn start_again(&self, service: ServiceName) -> anyhow::Result<()> {
        let process = self.process(service);
        process.start_again().await?;
        self.infrastructure().service(service).until_ready(process).await
    }

    /// Starts the edge again after it was killed or stopped, and waits until it serves.
    pub async fn start_edge_again(&self) -> anyhow::Result<()> {
        self.edge().start_again().await?;
        self.parts.edge.until_ready().await
    }

    /// Stops everything in order and removes a temporary folder. Data planes are stopped before.
    pub async fn stop(self) -> anyhow::Result<()> {
        let [identity, authz, config] = &self.parts.processes;
        self.edge().stop().await?;
        if let Some(replica) = self.replica() {
            replica.process.stop().await?;
        }
        tokio::try_join!(identity.stop(), authz.stop(), config.stop())?;
        tokio::try_join!(self.upstream().process().stop(), self.mail().process().stop())?;
        self.parts.infrastructure.stop().await
    }
}

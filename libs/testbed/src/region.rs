//! A region: infrastructure first (certificates, Postgres, NATS, settings), then the services on top of it.
//!
//! Started and stopped as a whole by `./dev up` and the tests. Parts can be killed and restarted through `&self`, so
//! that tests can share a region.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::{
    api::{self, Api},
    ca::{Ca, OPERATOR, Pair},
    folder::{self, Folder},
    nats::Nats,
    ports::Ports,
    postgres::Postgres,
    process::Process,
    service::{Addresses, Service, Settled},
    upstream::Upstream,
};

/// Where a region's folder lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the system's temporary folder; removed at the end, unless the start failed.
    Temporary,
    /// In this folder, which is emptied first and stays afterwards.
    At(PathBuf),
}

/// What to start.
pub struct Options {
    pub region: ids::Region,
    pub place: Place,
    /// Name of the first organization.
    pub organization: String,
    pub owner_email: String,
    /// Told about each step that is done.
    pub report: Report,
}

/// Told what was done, and in which time.
pub type Report = Box<dyn Fn(&str, Duration) + Send + Sync>;

impl Options {
    /// The region `us` with the organization `shop`, in a temporary folder, without reports.
    pub fn temporary() -> anyhow::Result<Self> {
        Ok(Self {
            region: "us".parse()?,
            place: Place::Temporary,
            organization: "shop".to_owned(),
            owner_email: "owner@shop.example".to_owned(),
            report: Box::new(|_, _| {}),
        })
    }
}

/// What the services stand on. Dropping it stops everything, without waiting.
#[derive(Debug)]
pub struct Infrastructure {
    pub region: ids::Region,
    pub addresses: Addresses,
    pub ca: Ca,
    /// Client certificate of a person who looks into Postgres or NATS.
    pub operator: Pair,
    /// Server certificate of the region's data planes.
    pub gateway_tls: Pair,
    services: [Settled; 3],
    pub nats: Nats,
    pub postgres: Postgres,
    ports: Mutex<Ports>,
    folder: Folder,
}

impl Infrastructure {
    /// Starts Postgres and NATS and writes the settings of all services. On failure the folder stays, and the error
    /// names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = match &options.place {
            Place::Temporary => Folder::temporary()?,
            Place::At(path) => Folder::at(path)?,
        };
        keep_on_failure(folder.path().to_owned(), Self::start_in(folder, options)).await
    }

    async fn start_in(folder: Folder, options: &Options) -> anyhow::Result<Self> {
        let region = options.region.clone();
        let ca = Ca::create(folder.make("pki")?, region.clone(), OffsetDateTime::now_utc())?;
        let mut ports = Ports::reserve()?;
        let addresses = Addresses::choose(&mut ports)?;

        let databases = Service::ALL.map(Service::name);
        let postgres = Postgres::start(&folder, addresses.postgres, &ca, &databases);
        let postgres = timed(options, &format!("Postgres on {}", addresses.postgres), postgres).await?;
        let nats = Nats::start(&folder, addresses.nats, &ca, region.as_str());
        let nats = timed(options, &format!("NATS on {}", addresses.nats), nats).await?;

        let api = ca.api()?;
        let settle = |service| Settled::prepare(service, &folder, &addresses, &region, &ca, &api);
        let services = [settle(Service::Identity)?, settle(Service::Authz)?, settle(Service::Config)?];
        let (operator, gateway_tls) = (ca.internal(OPERATOR)?, ca.gateway()?);
        let ports = Mutex::new(ports);
        Ok(Self { region, addresses, operator, gateway_tls, ca, services, nats, postgres, ports, folder })
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn service(&self, service: Service) -> &Settled {
        let [identity, authz, config] = &self.services;
        match service {
            Service::Identity => identity,
            Service::Authz => authz,
            Service::Config => config,
        }
    }

    /// A free address that stays this region's.
    pub fn next_address(&self) -> anyhow::Result<std::net::SocketAddr> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops everything in order and removes a temporary folder.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.nats.process().stop().await?;
        self.postgres.process().stop().await?;
        let Self { folder, .. } = self;
        folder.close().await
    }
}

/// What `identity bootstrap` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Owner {
    pub organization_id: String,
    pub owner_id: String,
    /// Personal access token of the owner.
    pub token: String,
}

/// A running region. Dropping it stops everything, without waiting.
#[derive(Debug)]
pub struct Region {
    processes: [Process; 3],
    upstream: Upstream,
    owner: Owner,
    organization: String,
    http: reqwest::Client,
    infrastructure: Infrastructure,
}

impl Region {
    /// Starts a region and waits until every service is ready. On failure the folder stays, and the error names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let infrastructure = Infrastructure::start(options).await?;
        let folder = infrastructure.folder.path().to_owned();
        keep_on_failure(folder, Self::start_on(infrastructure, options)).await
    }

    async fn start_on(infrastructure: Infrastructure, options: &Options) -> anyhow::Result<Self> {
        let upstream = Upstream::start(&infrastructure.folder, infrastructure.next_address()?);
        let upstream = timed(options, "Echo upstream", upstream).await?;

        let [identity, authz, config] = &infrastructure.services;
        let migrate = ["migrate"];
        let migrations = async {
            tokio::try_join!(identity.command(&migrate), authz.command(&migrate), config.command(&migrate))
        };
        timed(options, "Databases migrated", migrations).await?;

        let serve = async {
            let folder = &infrastructure.folder;
            let (a, b, c) =
                tokio::try_join!(identity.serve(folder), authz.serve(folder), config.serve(folder))?;
            tokio::try_join!(identity.until_ready(&a), authz.until_ready(&b), config.until_ready(&c))?;
            Ok([a, b, c])
        };
        let processes = timed(options, "identity, authz and config ready", serve).await?;

        let region = options.region.as_str();
        let (organization, email) = (options.organization.as_str(), options.owner_email.as_str());
        let bootstrap =
            ["bootstrap", "--organization", organization, "--owner-email", email, "--home-region", region];
        let bootstrap = [&bootstrap[..], &["--json"]].concat();
        let answer = timed(options, "Organization and owner made", identity.command(&bootstrap)).await?;
        let owner = serde_json::from_str(&answer).context("the answer of identity bootstrap")?;

        let http = api::https_client(&infrastructure.ca.region_ca().certificate)?;
        let organization = options.organization.clone();
        Ok(Self { processes, upstream, owner, organization, http, infrastructure })
    }

    pub fn infrastructure(&self) -> &Infrastructure {
        &self.infrastructure
    }

    pub fn folder(&self) -> &Folder {
        &self.infrastructure.folder
    }

    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The HTTP client that trusts the region's authority.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// File with the authority that signs the region's HTTPS certificates.
    pub fn ca_file(&self) -> PathBuf {
        self.infrastructure.ca.region_ca().certificate
    }

    /// Base URL of a service's HTTPS API.
    pub fn api_url(&self, service: Service) -> String {
        format!("https://{}", self.infrastructure.addresses.of(service).api)
    }

    /// A service's API as the owner of the organization.
    pub fn api(&self, service: Service) -> Api {
        Api::new(self.http.clone(), self.api_url(service), Some(&self.owner.token))
    }

    pub fn process(&self, service: Service) -> &Process {
        let [identity, authz, config] = &self.processes;
        match service {
            Service::Identity => identity,
            Service::Authz => authz,
            Service::Config => config,
        }
    }

    /// Every process of the region but its data planes.
    pub fn all_processes(&self) -> impl Iterator<Item = &Process> {
        let Infrastructure { nats, postgres, .. } = &self.infrastructure;
        self.processes.iter().chain([self.upstream.process(), nats.process(), postgres.process()])
    }

    /// Starts a service again after it was killed or stopped, and waits until it is ready.
    pub async fn start_again(&self, service: Service) -> anyhow::Result<()> {
        let process = self.process(service);
        process.start_again().await?;
        self.infrastructure.service(service).until_ready(process).await
    }

    /// Stops everything in order and removes a temporary folder. Data planes are stopped before.
    pub async fn stop(self) -> anyhow::Result<()> {
        let [identity, authz, config] = &self.processes;
        tokio::try_join!(identity.stop(), authz.stop(), config.stop(), self.upstream.process().stop())?;
        self.infrastructure.stop().await
    }
}

async fn timed<T>(
    options: &Options,
    what: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let done = work.await?;
    (options.report)(what, started.elapsed());
    Ok(done)
}

async fn keep_on_failure<T>(
    path: PathBuf,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let outcome = work.await;
    if outcome.is_err() {
        folder::keep(&path)?;
    }
    outcome.with_context(|| format!("the region did not start; its folder stays: {}", path.display()))
}

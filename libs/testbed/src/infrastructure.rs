//! What the services of a region stand on: certificates, Postgres, NATS and settings.

use std::sync::{Mutex, PoisonError};

use crate::{
    ca::{Ca, OPERATOR, Pair},
    folder::Folder,
    nats::Nats,
    options::{Options, alone, timed},
    ports::Ports,
    postgres::Postgres,
    service::Settled,
    site::{Addresses, Site},
    traces::Traces,
};
use ids::ServiceName;

/// What the services of one region stand on. Dropping it stops everything, without waiting.
#[derive(Debug)]
pub struct Infrastructure {
    /// The region that this is.
    pub region: ids::Region,
    /// Where everything of the region listens.
    pub addresses: Addresses,
    /// The authorities of the region.
    pub ca: Ca,
    /// Client certificate of a person who looks into Postgres or NATS.
    pub operator: Pair,
    /// Server certificate of the region's data planes.
    pub gateway_tls: Pair,
    /// Server certificate of the region's APIs and of its edge.
    pub api_tls: Pair,
    /// Client certificate of the edge, by which the services know it.
    pub edge: Pair,
    services: [Settled; 3],
    /// The NATS server, with JetStream.
    pub nats: Nats,
    /// The Postgres server, with a database for each service.
    pub postgres: Postgres,
    /// Where the region's processes send their traces.
    pub traces: Traces,
    ports: Mutex<Ports>,
    folder: Folder,
}

impl Infrastructure {
    /// Starts Postgres and NATS of a region that is alone, and writes the settings of its services. On failure the folder
    /// stays, and the error names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        alone(options, async |site| Self::start_at(site, options).await).await
    }

    pub(crate) async fn start_at(site: Site, options: &Options) -> anyhow::Result<Self> {
        let (region, addresses) = (&site.region, &site.addresses);
        let databases = ServiceName::ALL.map(ServiceName::as_str);
        let postgres = Postgres::start(&site.folder, addresses.postgres, &site.ca, &databases);
        let what = format!("Postgres on {}", addresses.postgres);
        let postgres = timed(options, region, &what, postgres).await?;
        let what = format!("NATS on {}", addresses.nats);
        let nats = timed(options, region, &what, Nats::start(&site)).await?;

        let api_tls = site.ca.api()?;
        let settle = |service| Settled::prepare(service, &site, &api_tls);
        let services =
            [settle(ServiceName::Identity)?, settle(ServiceName::Authz)?, settle(ServiceName::Config)?];
        let (operator, gateway_tls) = (site.ca.internal(OPERATOR)?, site.ca.gateway()?);
        let edge = site.ca.internal("edge")?;
        let Site { region, folder, ca, ports, addresses, traces, .. } = site;
        let ports = Mutex::new(ports);
        Ok(Self {
            region,
            addresses,
            ca,
            operator,
            gateway_tls,
            api_tls,
            edge,
            services,
            nats,
            postgres,
            traces,
            ports,
            folder,
        })
    }

    /// The region's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A service with its settings written, whether or not it runs.
    pub fn service(&self, service: ServiceName) -> &Settled {
        let [identity, authz, config] = &self.services;
        match service {
            ServiceName::Identity => identity,
            ServiceName::Authz => authz,
            ServiceName::Config => config,
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

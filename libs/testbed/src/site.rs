//! A region before anything of it runs: its folder, ports and certificates, and what it knows of the other regions.
//!
//! Settings name each other's addresses, within a region and across them. So all of them are chosen first, then the regions
//! are introduced to each other, then everything is started.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clock::Clock;
use ids::{Region, ServiceName};
use random::Random;
use replication::Signer;

use crate::{
    ca::{Ca, write_with_mode},
    folder::Folder,
    options::Options,
    ports::Ports,
    traces::Traces,
    wan::Wan,
};

/// Where a service listens.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// HTTPS: the public API.
    pub api: SocketAddr,
    /// gRPC over mTLS, for the other services; config has none.
    pub internal: SocketAddr,
    /// HTTPS and gRPC over mTLS, for the same service of other regions; config has none.
    pub peers: SocketAddr,
    /// Plain HTTP: `/livez`, `/readyz`, `/metrics`.
    pub operator: SocketAddr,
}

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Where everything of a region listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Postgres, for all services.
    pub postgres: SocketAddr,
    /// NATS, for all services and for other regions.
    pub nats: SocketAddr,
    /// The listeners of identity.
    pub identity: Listen,
    /// The listeners of authz.
    pub authz: Listen,
    /// The listeners of config.
    pub config: Listen,
    /// `config`'s mTLS listener for data planes.
    pub sync: SocketAddr,
    /// HTTPS: all public APIs, by way of the edge.
    pub edge: SocketAddr,
    /// The edge's admin port.
    pub edge_admin: SocketAddr,
    /// SMTP over TLS: the mail server.
    pub mail: SocketAddr,
}

impl Addresses {
    fn choose(ports: &mut Ports) -> anyhow::Result<Self> {
        let mut listen = || -> anyhow::Result<Listen> {
            Ok(Listen {
                api: ports.take()?,
                internal: ports.take()?,
                peers: ports.take()?,
                operator: ports.take()?,
            })
        };
        let (identity, authz, config) = (listen()?, listen()?, listen()?);
        Ok(Self {
            identity,
            authz,
            config,
            postgres: ports.take()?,
            nats: ports.take()?,
            sync: ports.take()?,
            edge: ports.take()?,
            edge_admin: ports.take()?,
            mail: ports.take()?,
        })
    }

    /// The listeners of a service.
    pub fn of(&self, service: ServiceName) -> Listen {
        match service {
            ServiceName::Identity => self.identity,
            ServiceName::Authz => self.authz,
            ServiceName::Config => self.config,
        }
    }

    /// Where people find the region, as in `https://127.0.0.1:12000`.
    pub fn public_api(&self) -> String {
        format!("https://{}", self.edge)
    }
}

/// A region with nothing running.
#[derive(Debug)]
pub(crate) struct Site {
    /// The region that this is.
    pub region: Region,
    /// The region's folder.
    pub folder: Folder,
    /// The region's authorities.
    pub ca: Ca,
    /// Ports that nobody else on this machine takes.
    pub ports: Ports,
    /// Where everything of the region will listen.
    pub addresses: Addresses,
    /// The other regions.
    pub neighbours: Vec<Neighbour>,
    /// File with the key of consistency tokens, the same in every region.
    pub consistency_key: PathBuf,
    /// What the logs of identity and authz are signed with.
    pub logs: LogKeys,
    /// Where the region's processes send their traces.
    pub traces: Traces,
    /// Further settings of config, as TOML.
    pub config: String,
    /// Further settings of identity, as TOML.
    pub identity: String,
    /// Further settings of each service, as TOML.
    pub services: String,
}

/// The keys of a region's logs.
#[derive(Debug)]
pub(crate) struct LogKeys {
    identity: LogKey,
    authz: LogKey,
}

/// The key of one log: the file with its private half, and its public half.
#[derive(Clone, Debug)]
pub(crate) struct LogKey {
    /// As a service's settings name it.
    pub file: PathBuf,
    /// As other regions' settings have it.
    pub public: String,
}

impl LogKeys {
    fn make(folder: &Path) -> anyhow::Result<Self> {
        let make = |service: ServiceName| {
            let (file, seed) = (folder.join(format!("{service}-log.key")), random_hex());
            write_with_mode(&file, &seed, 0o600)?;
            Ok::<_, anyhow::Error>(LogKey { file, public: Signer::from_hex(&seed)?.public().to_string() })
        };
        Ok(Self { identity: make(ServiceName::Identity)?, authz: make(ServiceName::Authz)? })
    }

    /// The key of a service's log; config has none, since what it owns is regional.
    pub fn of(&self, service: ServiceName) -> Option<&LogKey> {
        match service {
            ServiceName::Identity => Some(&self.identity),
            ServiceName::Authz => Some(&self.authz),
            ServiceName::Config => None,
        }
    }
}

/// A service of another region, as the same service here knows it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The relay to its `peers` listener.
    pub address: SocketAddr,
    /// The public key of its log.
    pub log_key: String,
}

/// Another region, as a region reaches it: through relays.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    /// The other region.
    pub region: Region,
    /// identity there.
    pub identity: Peer,
    /// authz there.
    pub authz: Peer,
    /// To the NATS server there.
    pub nats: SocketAddr,
    /// File with the authority that signs internal certificates there.
    pub ca: PathBuf,
    /// Its public addresses.
    pub api: String,
    /// Where nodes connect to there.
    pub sync: SocketAddr,
}

impl Neighbour {
    /// A service there; config knows none, since what it owns is regional.
    pub fn peer(&self, service: ServiceName) -> Option<&Peer> {
        match service {
            ServiceName::Identity => Some(&self.identity),
            ServiceName::Authz => Some(&self.authz),
            ServiceName::Config => None,
        }
    }
}

impl Site {
    /// Chooses addresses and makes certificates.
    pub fn make(
        region: Region,
        folder: Folder,
        consistency_key: &str,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let ca = Ca::create(folder.make("pki")?, region.clone(), Clock::system().now())?;
        let mut ports = Ports::reserve()?;
        let addresses = Addresses::choose(&mut ports)?;
        let settings = folder.make("settings")?;
        let path = settings.join("consistency.key");
        write_with_mode(&path, consistency_key, 0o600)?;
        let logs = LogKeys::make(&settings)?;
        let traces = Traces::new(region.clone(), options.otlp.clone());
        Ok(Self {
            region,
            folder,
            ca,
            ports,
            addresses,
            neighbours: Vec::new(),
            consistency_key: path,
            logs,
            traces,
            config: [options.acme.as_str(), &options.config].join("\n"),
            identity: options.identity.clone(),
            services: options.services.clone(),
        })
    }
}

/// Makes every region known to every other one, by way of the network between them.
pub(crate) async fn introduce(sites: &mut [Site], wan: &Wan) -> anyhow::Result<()> {
    let cards: Vec<_> = sites
        .iter()
        .map(|site| {
            let keys = (site.logs.identity.public.clone(), site.logs.authz.public.clone());
            (site.region.clone(), site.addresses, site.ca.internal_pem().to_owned(), keys)
        })
        .collect();
    for site in sites {
        for (region, addresses, authority, (identity, authz)) in
            cards.iter().filter(|(region, ..)| *region != site.region)
        {
            let path = async |target: SocketAddr| {
                let opened = wan.path(&site.region, region, target).await;
                opened.with_context(|| format!("open a path from {} to {region}", site.region))
            };
            site.neighbours.push(Neighbour {
                region: region.clone(),
                identity: Peer { address: path(addresses.identity.peers).await?, log_key: identity.clone() },
                authz: Peer { address: path(addresses.authz.peers).await?, log_key: authz.clone() },
                nats: path(addresses.nats).await?,
                ca: site.ca.other(region, authority)?,
                api: addresses.public_api(),
                sync: addresses.sync,
            });
        }
    }
    Ok(())
}

/// A new secret of 32 random bytes, in hexadecimal.
pub(crate) fn random_hex() -> String {
    let secret: [u8; SECRET_BYTES] = Random::system().bytes();
    hex::encode(secret)
}

//! A deployment: one region or several, joined by a network of relays.
//!
//! Every region has its own folder below the deployment's, its own Postgres, NATS, authorities, services and edge. What they
//! share: the key of consistency tokens, each other's authorities, and the organization, which is made in the first region.
//! A region that is alone needs none of this: see [`Region::start`].

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context;
use futures::future::try_join_all;

use crate::{
    folder::Folder,
    infrastructure::Infrastructure,
    options::{Options, keep_on_failure, timed},
    region::{Parts, Region},
    site::{Site, introduce, random_hex},
    wait,
    wan::{Wan, control::Control},
};

/// Longest time until every region knows the organization that was made in the first.
const KNOWN_DEADLINE: Duration = Duration::from_secs(60);

/// The infrastructure of every region, and the network between them, without any service. Dropping it stops everything,
/// without waiting.
#[derive(Debug)]
pub struct Infrastructures {
    regions: Vec<Infrastructure>,
    network: Network,
}

/// What the regions of a deployment have between them.
#[derive(Debug)]
struct Network {
    wan: Wan,
    _control: Control,
    folder: Folder,
}

impl Infrastructures {
    /// Starts Postgres and NATS of every region and writes the settings of all services. On failure the folder stays, and
    /// the error names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = options.folder()?;
        keep_on_failure(folder.path().to_owned(), Self::start_in(folder, options)).await
    }

    async fn start_in(folder: Folder, options: &Options) -> anyhow::Result<Self> {
        let names: BTreeSet<_> = options.regions.iter().collect();
        anyhow::ensure!(!names.is_empty(), "a deployment has at least one region");
        anyhow::ensure!(names.len() == options.regions.len(), "a region is named twice");
        let wan = Wan::new(&options.regions, options.wan);
        let key = random_hex();
        let mut sites = Vec::new();
        for region in &options.regions {
            sites.push(Site::make(region.clone(), folder.region(region.as_str())?, &key, options)?);
        }
        introduce(&mut sites, &wan).await?;
        let regions =
            try_join_all(sites.into_iter().map(|site| Infrastructure::start_at(site, options))).await?;
        let control = Control::open(folder.path(), wan.clone())?;
        Ok(Self { regions, network: Network { wan, _control: control, folder } })
    }

    /// All regions, in the order of the options.
    pub fn regions(&self) -> &[Infrastructure] {
        &self.regions
    }

    /// The network between the regions.
    pub fn wan(&self) -> &Wan {
        &self.network.wan
    }

    /// The folder of the deployment; each region has one below it.
    pub fn folder(&self) -> &Folder {
        &self.network.folder
    }

    /// Stops everything in order and removes a temporary folder.
    pub async fn stop(self) -> anyhow::Result<()> {
        try_join_all(self.regions.into_iter().map(Infrastructure::stop)).await?;
        self.network.folder.close().await
    }
}

/// A running deployment. Dropping it stops everything, without waiting.
#[derive(Debug)]
pub struct Deployment {
    regions: Vec<Region>,
    network: Network,
}

impl Deployment {
    /// Starts every region and waits until all services are ready and every region knows the organization. On failure the
    /// folder stays, and the error names it.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let Infrastructures { regions, network } = Infrastructures::start(options).await?;
        let path = network.folder.path().to_owned();
        keep_on_failure(path, Self::start_on(regions, network, options)).await
    }

    async fn start_on(
        regions: Vec<Infrastructure>,
        network: Network,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let starts = regions.into_iter().map(|infrastructure| Parts::start(infrastructure, options));
        let parts = try_join_all(starts).await?;
        let home = parts.first().context("a deployment has at least one region")?;
        let owner = home.bootstrap(options).await?;
        let regions: Vec<Region> =
            parts.into_iter().map(|parts| Region::of(parts, owner.clone(), options)).collect();
        for region in regions.iter().skip(1) {
            let known =
                timed(options, &region.infrastructure().region, "Organization known", until_known(region));
            known.await?;
        }
        Ok(Self { regions, network })
    }

    /// All regions, in the order of the options.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The organization's home.
    pub fn home(&self) -> anyhow::Result<&Region> {
        self.regions.first().context("a deployment has at least one region")
    }

    /// A region by its name, as in `eu`.
    pub fn region(&self, name: &str) -> anyhow::Result<&Region> {
        let found = self.regions.iter().find(|region| region.name() == name);
        found.with_context(|| format!("there is no region {name}"))
    }

    /// The network between the regions.
    pub fn wan(&self) -> &Wan {
        &self.network.wan
    }

    /// The folder of the deployment; each region has one below it.
    pub fn folder(&self) -> &Folder {
        &self.network.folder
    }

    /// Stops everything in order and removes a temporary folder. Data planes are stopped before.
    pub async fn stop(self) -> anyhow::Result<()> {
        // A cut would only make the services wait for each other.
        let names: Vec<_> = self.regions.iter().map(|region| region.name().to_owned()).collect();
        for (a, b) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))).filter(|(a, b)| a < b) {
            self.network.wan.heal(a, b)?;
        }
        try_join_all(self.regions.into_iter().map(Region::stop)).await?;
        self.network.folder.close().await
    }
}

/// Waits until a region takes the owner's token, which was made in the first one.
async fn until_known(region: &Region) -> anyhow::Result<()> {
    let api = region.edge_api();
    let what = format!("{} knows the organization", region.name());
    wait::until(&what, KNOWN_DEADLINE, async || match api.get("/v3/organizations/me").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text)),
        Err(error) => Err(format!("{error:#}")),
    })
    .await
}

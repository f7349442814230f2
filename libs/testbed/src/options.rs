//! What to start, and how a start goes: timed, reported, its folder kept when it fails.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    folder::{self, Folder},
    site::{Site, random_hex},
    wan::Conditions,
};

/// Where a deployment's folder lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the system's temporary folder; removed at the end, unless the start failed.
    Temporary,
    /// In this folder, which is emptied first and stays afterwards.
    At(PathBuf),
}

/// An ACME server and a hook for DNS that nobody answers for: certificates can be asked for, and none is issued.
const ACME_AWAY: &str = r#"
[acme.directories.letsencrypt]
url = "https://127.0.0.1:1/directory"

[acme.dns_hook]
url = "http://127.0.0.1:1/"
"#;

/// What to start.
pub struct Options {
    /// The first is the organization's home.
    pub regions: Vec<ids::Region>,
    /// Where the folder of the deployment lies.
    pub place: Place,
    /// Name of the first organization.
    pub organization: String,
    /// E-mail address of the person who owns the organization.
    pub owner_email: String,
    /// How the network between the regions is at first.
    pub wan: Conditions,
    /// OTLP receiver (gRPC) that all processes send their traces to, as in `http://127.0.0.1:4317`; none when absent.
    pub otlp: Option<String>,
    /// What the settings of config say of ACME servers, as TOML.
    pub acme: String,
    /// Further settings of config, as TOML.
    pub config: String,
    /// Further settings of identity, as TOML.
    pub identity: String,
    /// Further settings of each service, as TOML.
    pub services: String,
    /// Whether each region has two processes of config, behind one address.
    pub two_configs: bool,
    /// Told about each step that is done.
    pub report: Report,
}

/// Told what was done, and in which time.
pub type Report = Box<dyn Fn(&str, Duration) + Send + Sync>;

impl Options {
    /// The region `us` with the organization `shop`, in a temporary folder, without reports.
    pub fn temporary() -> anyhow::Result<Self> {
        Self::of_regions(&["us"])
    }

    /// As [`Options::temporary`], with these regions.
    pub fn of_regions(names: &[&str]) -> anyhow::Result<Self> {
        Ok(Self {
            regions: names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
            place: Place::Temporary,
            organization: "shop".to_owned(),
            owner_email: "owner@shop.example".to_owned(),
            wan: Conditions::default(),
            otlp: None,
            acme: ACME_AWAY.to_owned(),
            config: String::new(),
            identity: String::new(),
            services: String::new(),
            two_configs: false,
            report: Box::new(|_, _| {}),
        })
    }

    pub(crate) fn folder(&self) -> anyhow::Result<Folder> {
        match &self.place {
            Place::Temporary => Folder::temporary(),
            Place::At(path) => Folder::at(path),
        }
    }
}

/// Starts the only region of the options in a folder of its own. On failure the folder stays, and the error names it.
pub(crate) async fn alone<T>(
    options: &Options,
    start: impl AsyncFnOnce(Site) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let [region] = options.regions.as_slice() else {
        anyhow::bail!("a region that is alone is one region: see Deployment for several");
    };
    let folder = options.folder()?;
    let path = folder.path().to_owned();
    keep_on_failure(path, async { start(Site::make(region.clone(), folder, &random_hex(), options)?).await })
        .await
}

pub(crate) async fn timed<T>(
    options: &Options,
    region: &ids::Region,
    what: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let done = work.await.with_context(|| format!("region {region}"))?;
    (options.report)(&format!("{region}: {what}"), started.elapsed());
    Ok(done)
}

pub(crate) async fn keep_on_failure<T>(
    path: PathBuf,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let outcome = work.await;
    if outcome.is_err() {
        folder::keep(&path)?;
    }
    outcome.with_context(|| format!("it did not start; the folder stays: {}", path.display()))
}

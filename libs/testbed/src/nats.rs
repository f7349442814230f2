//! The region's NATS server with JetStream, over TLS with client certificates.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    binaries,
    ca::write_with_mode,
    process::{Process, Program},
    site::Site,
    template, wait,
};

const CONFIGURATION: &str = include_str!("../../../infra/nats/region.conf");
/// What another region may do.
const READER: &str = include_str!("../../../infra/nats/reader.conf");
/// Longest time to readiness, recovery of the store included.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Longest time that a running server goes on making files in a store that is being deleted.
const DELETE_DEADLINE: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    address: SocketAddr,
    store: PathBuf,
}

impl Nats {
    /// Writes the configuration into the region's folder and starts the server.
    pub(crate) async fn start(site: &Site) -> anyhow::Result<Self> {
        let home = site.folder.make("nats")?;
        let (address, store) = (site.addresses.nats, home.join("store"));
        let path = home.join("nats.conf");
        write_with_mode(&path, &configuration(site, &store)?, 0o600)?;

        let program = Program::new("nats", binaries::nats_server()?).arg("--config").arg(&path);
        let nats = Self { process: Process::start(program, &site.folder).await?, address, store };
        nats.until_ready().await?;
        Ok(nats)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As clients write it.
    pub fn url(&self) -> String {
        format!("tls://{}", self.address)
    }

    /// Where JetStream keeps its streams.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The running server.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts the server again after it was killed or stopped, and waits until it has recovered.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again().await?;
        self.until_ready().await
    }

    /// Stops the server, deletes everything that JetStream keeps, and starts it again.
    pub async fn wipe_store(&self) -> anyhow::Result<()> {
        self.process.stop().await?;
        self.delete_store().await?;
        self.start_again().await
    }

    /// Deletes everything that JetStream keeps, also while the server runs, which is not told.
    pub async fn delete_store(&self) -> anyhow::Result<()> {
        wait::until("the store of NATS is deleted", DELETE_DEADLINE, async || {
            match fs::remove_dir_all(&self.store) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The server greets each connection with a line that says whether JetStream is up, before TLS starts.
    async fn until_ready(&self) -> anyhow::Result<()> {
        let ready = async || {
            let greeting = self.greeting().await.map_err(|error| error.to_string())?;
            let is_up = greeting.starts_with("INFO ") && greeting.contains(r#""jetstream":true"#);
            if is_up { Ok(()) } else { Err(format!("greeting {greeting:?}")) }
        };
        self.process.until_ready(READY_DEADLINE, ready).await
    }

    async fn greeting(&self) -> io::Result<String> {
        let mut line = String::new();
        BufReader::new(TcpStream::connect(self.address).await?).read_line(&mut line).await?;
        Ok(line)
    }
}

fn configuration(site: &Site, store: &Path) -> anyhow::Result<String> {
    let (region, pair) = (site.region.as_str(), site.ca.internal("nats")?);
    let readers: anyhow::Result<String> = site
        .neighbours
        .iter()
        .map(|other| template::fill(READER, &[("region", region), ("reader", other.region.as_str())]))
        .collect();
    let readers = readers.context("reader.conf")?;
    let bundle = site.ca.bundle(site.neighbours.iter().map(|other| other.ca.as_path()))?;
    let values = [
        ("server_name", format!("{region}-1")),
        ("port", site.addresses.nats.port().to_string()),
        ("certificate", pair.certificate.display().to_string()),
        ("key", pair.key.display().to_string()),
        ("ca", bundle.display().to_string()),
        ("region", region.to_owned()),
        ("readers", readers),
        ("store", store.display().to_string()),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    template::fill(CONFIGURATION, &values).context("region.conf of NATS")
}

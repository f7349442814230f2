//! The region's NATS server with JetStream, over TLS with client certificates.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    binaries,
    ca::{Ca, write_with_mode},
    folder::Folder,
    process::{Process, Program},
};

const CONFIGURATION: &str = include_str!("../../../infra/nats/region.conf");
/// Longest time to readiness, recovery of the store included.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    address: SocketAddr,
    store: PathBuf,
}

impl Nats {
    /// Writes the configuration into the region's folder and starts the server.
    pub async fn start(folder: &Folder, address: SocketAddr, ca: &Ca, region: &str) -> anyhow::Result<Self> {
        let home = folder.make("nats")?;
        let store = home.join("store");
        let pair = ca.internal("nats")?;
        let mut configuration = CONFIGURATION.to_owned();
        for (name, value) in [
            ("server_name", format!("{region}-1")),
            ("port", address.port().to_string()),
            ("certificate", pair.certificate.display().to_string()),
            ("key", pair.key.display().to_string()),
            ("ca", ca.internal_ca().certificate.display().to_string()),
            ("store", store.display().to_string()),
        ] {
            configuration = configuration.replace(&format!("{{{{{name}}}}}"), &value);
        }
        let path = home.join("nats.conf");
        write_with_mode(&path, &configuration, 0o600)?;

        let program = Program::new("nats", binaries::nats_server()?).arg("--config").arg(&path);
        let nats = Self { process: Process::start(program, folder).await?, address, store };
        nats.until_ready().await?;
        Ok(nats)
    }

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

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts the server again after it was killed or stopped, and waits until it has recovered.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again().await?;
        self.until_ready().await
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

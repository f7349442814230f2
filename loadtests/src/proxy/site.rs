//! Where everything of a run lies: folder, ports, cores, certificate and upstream; and how proxies are started there.

use std::{env, fs, net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use testbed::{binaries, folder::Folder, ports::Ports};

use super::{
    certificate::Certificate,
    peers::{self, Addresses, Peer},
    target::{Target, pinned},
};
use crate::{
    documents::{self, Size},
    machine,
};

/// Which cores are whose, as `taskset` reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Of every proxy.
    pub proxy: &'static str,
    /// Of a proxy with two threads. `None` on a machine with one core.
    pub two: Option<&'static str>,
    /// Of the generator, the upstream and all else.
    pub others: String,
    /// Whether the generator has to share a core with a proxy of two threads.
    pub are_shared: bool,
}

impl Cores {
    /// Of a machine with `count` cores.
    pub fn of(count: usize) -> Self {
        let others = match count {
            0 | 1 => "0".to_owned(),
            2 => "1".to_owned(),
            more => format!("2-{}", more - 1),
        };
        Self { proxy: "0", two: (count > 1).then_some("0,1"), others, are_shared: count < 3 }
    }
}

/// What a run has.
#[derive(Debug)]
pub struct Site {
    /// Where files and logs lie.
    pub folder: Folder,
    /// Whose cores are whose.
    pub cores: Cores,
    /// What proxies show to clients.
    pub certificate: Certificate,
    /// What proxies forward to.
    pub upstream: Target,
    /// How many routes and keys there are.
    pub size: Size,
    ports: Ports,
}

/// How a gateway is started.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// As in the keys of figures.
    pub name: &'static str,
    /// Unique in the run.
    pub label: &'a str,
    /// Whether every route asks for a key.
    pub key_auth: bool,
    /// One for each thread, as `taskset` reads them.
    pub cores: &'a str,
    /// How many threads serve.
    pub threads: NonZeroUsize,
    /// Further settings, as environment variables.
    pub environment: &'a [(&'static str, &'a str)],
}

/// Where a gateway is started, and another one in its place.
#[derive(Debug)]
pub struct Place {
    name: &'static str,
    addresses: Addresses,
    admin: SocketAddr,
    home: PathBuf,
    certificate: PathBuf,
    cores: String,
    threads: NonZeroUsize,
    environment: Vec<(&'static str, String)>,
}

impl Place {
    /// Where the gateway tells about itself, and takes documents.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Starts a process, which takes over from the one that runs here. `label` is unique in the run: it names the log.
    pub async fn start(&self, folder: &Folder, label: &str) -> anyhow::Result<Target> {
        let Addresses { plain, tls, .. } = self.addresses;
        let program = pinned(label, &self.cores, &binaries::workspace("dataplane")?)
            .arg("serve")
            .arg("--take-over")
            .arg("--declarative")
            .arg(self.home.join("gateway.json"))
            .arg("--data-dir")
            .arg(self.home.join("data"))
            .env("LANDBRIDGE_HTTP", plain.to_string())
            .env("LANDBRIDGE_HTTPS", tls.to_string())
            .env("LANDBRIDGE_ADMIN", self.admin.to_string())
            .env("LANDBRIDGE_THREADS", self.threads.to_string())
            .env("LANDBRIDGE_TLS_CERTIFICATE", self.certificate.join("certificate.pem"))
            .env("LANDBRIDGE_TLS_KEY", self.certificate.join("key.pem"))
            .in_folder(&self.home);
        let program =
            self.environment.iter().fold(program, |program, (name, value)| program.env(*name, value));
        let probe = (self.admin, "/status/ready");
        Target::start(self.name, (plain, Some(tls)), program, folder, probe).await
    }
}

impl Site {
    /// Makes the folder and the certificate, and starts the upstream. This process leaves the proxies' core.
    pub async fn start(size: Size) -> anyhow::Result<Self> {
        let (folder, mut ports) = (Folder::temporary()?, Ports::reserve()?);
        let cores = Cores::of(machine::cores());
        machine::raise_open_files()?;
        machine::stay_on(&cores.others)?;
        let certificate = Certificate::create(folder.make("certificate")?)?;
        let upstream = start_upstream("upstream", None, (&cores, &mut ports, &folder)).await?;
        Ok(Self { folder, cores, certificate, upstream, size, ports })
    }

    /// Starts the gateway in declarative mode, as a user does.
    pub async fn gateway(&mut self, start: Start<'_>) -> anyhow::Result<Target> {
        let label = start.label;
        self.place(start)?.start(&self.folder, label).await
    }

    /// Everything that a gateway needs before it is started.
    pub fn place(&mut self, start: Start<'_>) -> anyhow::Result<Place> {
        let document =
            documents::document(self.size, &format!("http://{}", self.upstream.plain), start.key_auth);
        self.place_with(start, &document)
    }

    /// The same with another document.
    pub fn place_with(&mut self, start: Start<'_>, document: &Value) -> anyhow::Result<Place> {
        let Start { name, label, cores, threads, environment, .. } = start;
        let (addresses, admin) = (self.addresses()?, self.ports.take()?);
        let home = self.folder.make(label)?;
        let file = home.join("gateway.json");
        fs::write(&file, document.to_string()).with_context(|| format!("write {}", file.display()))?;
        let certificate = self.certificate.folder().to_owned();
        let (cores, set) = (cores.to_owned(), |(name, value): &(_, &str)| (*name, (*value).to_owned()));
        let environment = environment.iter().map(set).collect();
        Ok(Place { name, addresses, admin, home, certificate, cores, threads, environment })
    }

    /// The gateway that the peers are compared with: one thread on the proxies' core.
    pub async fn one_thread(
        &mut self,
        name: &'static str,
        label: &str,
        key_auth: bool,
    ) -> anyhow::Result<Target> {
        let cores = self.cores.proxy;
        self.gateway(Start { name, label, key_auth, cores, threads: NonZeroUsize::MIN, environment: &[] })
            .await
    }

    /// Starts a peer; `None` where it is not installed.
    pub async fn peer(&mut self, peer: Peer, label: &str) -> anyhow::Result<Option<Target>> {
        self.peer_with(peer, label, str::to_owned).await
    }

    /// The same with a configuration that is `edited`.
    pub async fn peer_with(
        &mut self,
        peer: Peer,
        label: &str,
        edited: impl Fn(&str) -> String,
    ) -> anyhow::Result<Option<Target>> {
        let Some(program) = peer.find() else { return Ok(None) };
        let (home, on) = (self.folder.make(label)?, self.addresses()?);
        let arguments = peers::configure(peer, &home, &on, self.certificate.folder(), self.size)?;
        let file = arguments.last().context("a peer starts with a file")?;
        fs::write(file, edited(&fs::read_to_string(file)?)).with_context(|| format!("write {file}"))?;
        let program = arguments
            .iter()
            .fold(pinned(label, self.cores.proxy, &program), |program, argument| program.arg(argument));
        let (addresses, probe) = ((on.plain, Some(on.tls)), (on.plain, "/"));
        Target::start(peer.name(), addresses, program, &self.folder, probe).await.map(Some)
    }

    /// Starts a further upstream. It is slow while the file `slow` is there.
    pub async fn another_upstream(&mut self, label: &str, slow: Option<&PathBuf>) -> anyhow::Result<Target> {
        start_upstream(label, slow, (&self.cores, &mut self.ports, &self.folder)).await
    }

    /// Stops the upstream and removes the folder.
    pub async fn close(self) -> anyhow::Result<()> {
        self.upstream.process.stop().await?;
        self.folder.close().await
    }

    fn addresses(&mut self) -> anyhow::Result<Addresses> {
        Ok(Addresses { plain: self.ports.take()?, tls: self.ports.take()?, upstream: self.upstream.plain })
    }
}

/// Starts an upstream on the cores of all but the proxies. It is slow while the file `slow` is there.
async fn start_upstream(
    label: &str,
    slow: Option<&PathBuf>,
    (cores, ports, folder): (&Cores, &mut Ports, &Folder),
) -> anyhow::Result<Target> {
    let address = ports.take()?;
    let program = pinned(label, &cores.others, &env::current_exe()?);
    let mut program = program.arg("upstream").arg("--listen").arg(address.to_string());
    if let Some(slow) = slow {
        program = program.arg("--slow-while").arg(slow);
    }
    Target::start("upstream", (address, None), program, folder, (address, "/")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_leaves_the_proxies_their_cores_where_there_are_enough() {
        let of = |count| {
            let cores = Cores::of(count);
            (cores.two, cores.others, cores.are_shared)
        };
        assert_eq!(of(1), (None, "0".to_owned(), true));
        assert_eq!(of(2), (Some("0,1"), "1".to_owned(), true));
        assert_eq!(of(3), (Some("0,1"), "2-2".to_owned(), false));
        assert_eq!(of(8), (Some("0,1"), "2-7".to_owned(), false));
    }
}

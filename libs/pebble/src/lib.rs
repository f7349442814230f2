//! Pebble for tests: the ACME server that Let's Encrypt has made for those who test clients, and a DNS server for it, in which every name leads to
//! this machine. `./dev` builds both programs. Pebble refuses one good nonce of twenty, as a client has to expect.
//!
//! Its CA is made at each start: what it issues is worth nothing.

mod programs;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use self::programs::Running;

/// Longest time of a start.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two looks at whether it has started.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Starts with other ports, after somebody else has taken one.
const STARTS_MAX: u32 = 5;

/// What a test wants of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port at which it looks for the challenge `http-01`.
    pub http_port: u16,
    /// How long a certificate is valid.
    pub validity: Duration,
    /// The id and the key (base64url) of external account binding, which is demanded then.
    pub external_account: Option<(String, String)>,
}

/// A running server. Dropping it ends it.
pub struct Pebble {
    address: SocketAddr,
    management: SocketAddr,
    dns_management: SocketAddr,
    dns: SocketAddr,
    client: reqwest::Client,
    folder: TempDir,
    _programs: [Running; 2],
}

impl Pebble {
    /// Starts the server, and waits until it answers.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let mut starts = 1;
        loop {
            match Self::start_once(options).await {
                Ok(pebble) => return Ok(pebble),
                Err(error) if starts == STARTS_MAX => return Err(error),
                Err(error) if format!("{error:#}").contains("address already in use") => starts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_once(options: &Options) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let [address, management, dns_management, dns] = free_addresses()?;
        make_certificates(path)?;
        let mut server = json!({
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": path.join("server.pem"),
            "privateKey": path.join("server.key"),
            "httpPort": options.http_port,
            "tlsPort": 0,
            "ocspResponderURL": "",
            "certificateValidityPeriod": options.validity.as_secs(),
            "externalAccountBindingRequired": options.external_account.is_some(),
        });
        if let Some((id, key)) = &options.external_account {
            server["externalAccountMACKeys"] = json!({ id.as_str(): key });
        }
        fs::write(path.join("pebble.json"), json!({ "pebble": server }).to_string())?;
        let (listen, names_at) = (dns_management.to_string(), dns.to_string());
        let none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        let names = Running::start(
            "pebble-challtestsrv",
            none.into_iter().chain([
                "-defaultIPv4",
                "127.0.0.1",
                "-dns01",
                &names_at,
                "-management",
                &listen,
            ]),
            &path.join("dns.log"),
        )?;
        let configuration = path.join("pebble.json").display().to_string();
        let server = Running::start(
            "pebble",
            ["-config", &configuration, "-dnsserver", &names_at],
            &path.join("pebble.log"),
        )?;
        let ca = reqwest::Certificate::from_pem(&fs::read(path.join("ca.pem"))?)?;
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([ca]).timeout(START_DEADLINE).build()?;
        let pebble =
            Self { address, management, dns_management, dns, client, folder, _programs: [names, server] };
        pebble.until_ready().await?;
        Ok(pebble)
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let directory = self.client.get(self.directory()).send().await;
            let names = self.client.get(format!("http://{}/", self.dns_management)).send().await;
            // The DNS server has nothing at `/`, and says so.
            if directory.is_ok_and(|answer| answer.status().is_success()) && names.is_ok() {
                return Ok(());
            }
            let logs = self.log()? + &fs::read_to_string(self.folder.path().join("dns.log"))?;
            let has_failed = logs.contains("address already in use");
            anyhow::ensure!(!has_failed && Instant::now() < deadline, "pebble did not start: {logs}");
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The CA that its own certificate is verified by, PEM.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The root of what it issues, PEM.
    pub async fn root(&self) -> anyhow::Result<String> {
        let answer = self.client.get(format!("https://{}/roots/0", self.management)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Where its DNS server answers.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Sets a TXT record. `record` has no dot at its end.
    pub async fn set_txt(&self, record: &str, value: &str) -> anyhow::Result<()> {
        self.change("set-txt", &json!({ "host": format!("{record}."), "value": value })).await
    }

    /// Removes the TXT records of a name.
    pub async fn clear_txt(&self, record: &str) -> anyhow::Result<()> {
        self.change("clear-txt", &json!({ "host": format!("{record}.") })).await
    }

    async fn change(&self, what: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.client.post(format!("http://{}/{what}", self.dns_management));
        request.body(body.to_string()).send().await?.error_for_status()?;
        Ok(())
    }

    /// How many orders were made, and how many certificates were issued.
    pub fn counts(&self) -> anyhow::Result<(usize, usize)> {
        let log = self.log()?;
        Ok((log.matches("Added order ").count(), log.matches("Issued certificate serial").count()))
    }

    /// What it has logged.
    pub fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(self.folder.path().join("pebble.log")).context("pebble.log")
    }
}

/// Addresses on loopback that nobody listens at now.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    // All at once, so that they differ.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    addresses.try_into().map_err(|_| anyhow::anyhow!("one address for each listener"))
}

/// The certificate that the server shows, and its CA.
fn make_certificates(folder: &Path) -> anyhow::Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key)?.pem())?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?;
    let server = server.signed_by(&key, &Issuer::new(ca, ca_key))?;
    fs::write(folder.join("server.pem"), server.pem())?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    Ok(())
}

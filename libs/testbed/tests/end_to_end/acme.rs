//! The whole way of a certificate: asked for by the API, ordered by the control plane from a real ACME server, proved by a gateway, served by it,
//! renewed, and taken back. config is killed in the middle of the order.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use pebble::Pebble;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use testbed::{Api, Gateway, Options, Region, ServiceName, wait};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};

use crate::{
    fixtures::{ControlPlane, served},
    harness::{run, with_region},
};

/// Longest time until a certificate is there: an attempt whose process has died is taken up again after a minute.
const ISSUED_DEADLINE: Duration = Duration::from_secs(150);
/// How long a certificate is valid: it is renewed after half of it.
const VALIDITY: Duration = Duration::from_secs(60);
/// The name that the certificate is for.
const DOMAIN: &str = "shop.example";

/// What stands at port 80 of the name: a balancer in front of the gateway, which can hold back what comes.
struct Balancer {
    address: SocketAddr,
    gateway: watch::Sender<Option<SocketAddr>>,
    taken: Arc<AtomicUsize>,
}

impl Balancer {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (gateway, known) = watch::channel(None::<SocketAddr>);
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut known = known.clone();
                tokio::spawn(async move {
                    let gateway = known.wait_for(Option::is_some).await.ok().and_then(|known| *known);
                    if let Some(gateway) = gateway
                        && let Ok(mut upstream) = TcpStream::connect(gateway).await
                    {
                        // Ends with either side.
                        let _ = copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        });
        Ok(Self { address, gateway, taken })
    }
}

/// Sends requests to the gateway, one after the other, until it is told to stop; answers how many there were, and those that failed.
struct Load(Arc<AtomicBool>, tokio::task::JoinHandle<(usize, Vec<String>)>);

impl Load {
    fn start(url: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let client = reqwest::Client::builder().no_proxy().build();
        Self(
            stop,
            tokio::spawn(async move {
                let (mut sent, mut failed) = (0, Vec::new());
                let Ok(client) = client else { return (0, vec!["no client".to_owned()]) };
                while !stopped.load(Ordering::Relaxed) {
                    sent += 1;
                    match client.get(format!("{url}/open")).send().await {
                        Ok(answer) if answer.status() == 200 => {}
                        Ok(answer) => failed.push(answer.status().to_string()),
                        Err(error) => failed.push(error.to_string()),
                    }
                }
                (sent, failed)
            }),
        )
    }

    async fn end(self) -> anyhow::Result<(usize, Vec<String>)> {
        self.0.store(true, Ordering::Relaxed);
        Ok(self.1.await?)
    }
}

/// A client of TLS that trusts the ACME server's CA, and nobody else.
struct Client {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Client {
    fn new(root: &str, gateway: &Gateway) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let address = gateway.https_url().trim_start_matches("https://").parse()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), address })
    }

    /// A connection whose certificate was verified for the name.
    async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        Ok(self.connector.connect(ServerName::try_from(DOMAIN)?, stream).await?)
    }
}

impl Client {
    /// A connection on which a certificate with such a serial number was shown.
    async fn until_shown(
        &self,
        what: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> anyhow::Result<TlsStream<TcpStream>> {
        wait::until(what, ISSUED_DEADLINE, async || {
            let stream = self.connect().await.map_err(|error| format!("{error:#}"))?;
            let serial = serial(&stream).map_err(|error| format!("{error:#}"))?;
            if is_it(&serial) { Ok(stream) } else { Err(serial) }
        })
        .await
    }
}

/// A request on a connection that is kept.
async fn ask(stream: &mut TlsStream<TcpStream>) -> anyhow::Result<()> {
    stream.write_all(format!("GET /open HTTP/1.1\r\nhost: {DOMAIN}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    let end = loop {
        anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
        if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    anyhow::ensure!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.with_context(|| head.clone())?.parse()?;
    while answer.len() < end + length {
        anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
    }
    Ok(())
}

/// The status of the order once it is like this.
async fn until(api: &Api, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    wait::until(what, ISSUED_DEADLINE, async || {
        let status = api.get(path).await.and_then(|answer| answer.expect(200));
        let status = status.map_err(|error| format!("{error:#}"))?;
        if is_so(&status) { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

#[test]
fn a_certificate_is_ordered_served_renewed_and_taken_back_while_config_is_killed() {
    run(async {
        let balancer = Balancer::start().await?;
        let options = pebble::Options {
            http_port: balancer.address.port(),
            validity: VALIDITY,
            external_account: None,
        };
        let pebble = Pebble::start(&options).await?;
        let (url, ca) = (pebble.directory(), pebble.ca());
        let acme = format!("\n[acme.directories.pebble]\nurl = \"{url}\"\nca = \"{}\"\n", ca.display());
        let options = Options { acme, ..Options::temporary()? };
        with_region(&options, async |region| journey(region, &balancer, &pebble).await).await
    });
}

async fn journey(region: &Region, balancer: &Balancer, pebble: &Pebble) -> anyhow::Result<()> {
    let (control_plane, gateway) = served(region, "acme").await?;
    let load = Load::start(gateway.url());
    let order = ordered_while_config_is_killed(region, &control_plane, balancer, &gateway).await?;
    let api = &control_plane.api;
    let first = until(api, &order, "a certificate is issued", |status| status["state"] == "valid").await?;
    anyhow::ensure!(pebble.counts()?.1 == 1, "the order of before was gone on with: {}", pebble.log()?);

    let client = Client::new(&pebble.root().await?, &gateway)?;
    let mut kept = client.until_shown("the gateway shows it", |_| true).await?;
    ask(&mut kept).await?;
    let second = until(api, &order, "it is renewed", |status| status["serial"] != first["serial"]).await?;
    anyhow::ensure!(second["state"] == "valid", "{second}");
    ask(&mut kept).await.context("a connection outlives the renewal")?;
    // Renewed once more, perhaps.
    let mut shown =
        client.until_shown("the gateway shows the new one", |serial| first["serial"] != serial).await?;
    ask(&mut shown).await?;

    api.delete(order.trim_end_matches("/order")).await?.expect(204)?;
    wait::until("the gateway shows it no more", ISSUED_DEADLINE, async || match client.connect().await {
        Ok(_) => Err("it does".to_owned()),
        Err(_) => Ok(()),
    })
    .await?;
    ask(&mut kept).await.context("a connection outlives the certificate")?;
    let (sent, failed) = load.end().await?;
    anyhow::ensure!(sent > 100 && failed.is_empty(), "{sent} requests, of which failed: {failed:?}");
    gateway.process().stop().await?;
    Ok(())
}

/// Asks for a certificate, and kills config when the ACME server looks for the challenge. Answers the path of the order.
async fn ordered_while_config_is_killed(
    region: &Region,
    control_plane: &ControlPlane,
    balancer: &Balancer,
    gateway: &Gateway,
) -> anyhow::Result<String> {
    let body = json!({"domains": [DOMAIN], "account_email": "ops@shop.example", "tos_accepted": true});
    let all = control_plane.entity("acme_certificates");
    let made = control_plane.api.post(&all, &body).await?.expect(201)?;
    let order = format!("{all}/{}/order", made["id"].as_str().context("an id")?);
    wait::until("the ACME server looks", ISSUED_DEADLINE, async || {
        if balancer.taken.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err("it does not".to_owned()) }
    })
    .await?;
    region.process(ServiceName::Config).kill().await?;
    // It gets its answer from the gateway, which needs no control plane for that.
    balancer.gateway.send_replace(Some(gateway.http_address()));
    region.start_again(ServiceName::Config).await?;
    Ok(order)
}

/// The serial number of the certificate that was shown, in hexadecimal.
fn serial(stream: &TlsStream<TcpStream>) -> anyhow::Result<String> {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("a certificate")?;
    let (_, leaf) = x509_parser::parse_x509_certificate(shown)?;
    Ok(format!("{:x}", leaf.serial))
}

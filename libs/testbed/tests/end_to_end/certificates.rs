//! Certificates of the configuration: a gateway shows them to clients that verify them, and to an upstream that demands one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use testbed::{Gateway, wait};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream, rustls, server};

use crate::{
    deck::{put, put_route, service},
    fixtures::ControlPlane,
    harness::SOON,
};

const CERTIFICATE: &str = "0a6d3f4e-1111-4222-8333-444455556666";
const SHOWN: &str = "0a6d3f4e-1111-4222-8333-444455558888";
const AUTHORITY: &str = "0a6d3f4e-1111-4222-8333-444455557777";
const SECURED: &str = "6c62214d-c83f-45cb-affb-3c1aca97c706";

/// An authority of this test, and what it has signed.
pub struct Certificates {
    authority: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// For the names of the shop: before and after it is replaced.
    shop: [Signed; 2],
    /// What the gateway shows the upstream.
    client: Signed,
}

struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Certificates {
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        let shop = [(); 2].map(|()| Signed::by(&issuer, &["shop.example", "*.shop.example"]));
        let [before, after] = shop;
        let client = Signed::by(&issuer, &["gateway.example"])?;
        Ok(Self { authority, issuer, shop: [before?, after?], client })
    }

    /// They are verified by a client that knows the authority alone.
    pub async fn are_shown_and_replaced(
        &self,
        plane: &ControlPlane,
        gateway: &Gateway,
    ) -> anyhow::Result<()> {
        let [before, after] = &self.shop;
        put(plane, &format!("certificates/{CERTIFICATE}"), before.entity(CERTIFICATE)).await?;
        for (id, name) in [
            ("bb422980-214f-45a3-836c-34e566e38ec7", "shop.example"),
            ("b73edfac-f281-486f-aa27-c748fa4c83bc", "*.shop.example"),
        ] {
            let body = json!({ "certificate": { "id": CERTIFICATE }, "id": id, "name": name });
            put(plane, &format!("snis/{id}"), body).await?;
        }
        for name in ["shop.example", "www.shop.example"] {
            self.until_shown(gateway, name, before).await?;
        }
        anyhow::ensure!(self.connect(gateway, "elsewhere.example").await.is_err(), "it is for no other name");
        let mut kept = self.connect(gateway, "shop.example").await?;
        kept.answers(&["first", "second"]).await?;
        put(plane, &format!("certificates/{CERTIFICATE}"), after.entity(CERTIFICATE)).await?;
        for name in ["shop.example", "www.shop.example"] {
            self.until_shown(gateway, name, after).await?;
        }
        kept.answers(&["first", "second"]).await
    }

    /// An upstream that demands a certificate, and is verified by the authority.
    pub async fn open_an_upstream(&self, plane: &ControlPlane, gateway: &Gateway) -> anyhow::Result<()> {
        let upstream = Demanding::start(self).await?;
        let ca = json!({ "cert": self.authority.pem(), "id": AUTHORITY });
        put(plane, &format!("ca_certificates/{AUTHORITY}"), ca).await?;
        put(plane, &format!("certificates/{SHOWN}"), self.client.entity(SHOWN)).await?;
        let mut body = service(SECURED, "https", "localhost", upstream.address.port());
        body["ca_certificates"] = json!([AUTHORITY]);
        body["tls_verify"] = json!(true);
        put(plane, &format!("services/{SECURED}"), body.clone()).await?;
        put_route(plane, "fe81a5d1-c234-457c-a30d-db44946d32cd", "/secured", SECURED).await?;
        gateway.until_answers("/secured", None, 502).await?;
        body["client_certificate"] = json!({ "id": SHOWN });
        put(plane, &format!("services/{SECURED}"), body).await?;
        let answer = gateway.until_answers("/secured", None, 200).await?;
        anyhow::ensure!(answer.text == "you are known", "{}", answer.text);
        let shown = upstream.shown.lock().expect("whole").clone();
        anyhow::ensure!(
            shown.iter().all(|shown| shown == self.client.certificate.der()) && !shown.is_empty()
        );
        Ok(())
    }

    /// Both, as they were configured last.
    pub async fn are_served(&self, gateway: &Gateway) -> anyhow::Result<()> {
        self.until_shown(gateway, "shop.example", &self.shop[1]).await?;
        self.connect(gateway, "www.shop.example").await?.answers(&["first"]).await?;
        gateway.until_answers("/secured", None, 200).await.map(drop)
    }

    async fn until_shown(&self, gateway: &Gateway, name: &str, expected: &Signed) -> anyhow::Result<()> {
        wait::until(&format!("{name} gets its certificate"), SOON, async || {
            let client = self.connect(gateway, name).await.map_err(|error| format!("{error:#}"))?;
            let shown = client.0.get_ref().get_ref().1.peer_certificates().and_then(|chain| chain.first());
            if shown == Some(expected.certificate.der()) { Ok(()) } else { Err("another one".to_owned()) }
        })
        .await
    }

    async fn connect(&self, gateway: &Gateway, name: &str) -> anyhow::Result<Client> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().clone())?;
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let address = gateway.https_url();
        let tcp = TcpStream::connect(address.trim_start_matches("https://")).await?;
        let name = ServerName::try_from(name.to_owned())?;
        Ok(Client(BufReader::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)))
    }
}

impl Signed {
    fn by(issuer: &Issuer<'static, KeyPair>, names: &[&str]) -> anyhow::Result<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        Ok(Self { certificate: CertificateParams::new(names)?.signed_by(&key, issuer)?, key })
    }

    fn entity(&self, id: &str) -> Value {
        json!({ "cert": self.certificate.pem(), "id": id, "key": self.key.serialize_pem() })
    }

    fn key(&self) -> anyhow::Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::try_from(self.key.serialize_der()).map_err(|error| anyhow::anyhow!("{error}"))
    }
}

/// A connection that is kept.
struct Client(BufReader<TlsStream<TcpStream>>);

impl Client {
    /// Asks as often as there are names; the answers of targets are some of them.
    async fn answers(&mut self, names: &[&str]) -> anyhow::Result<()> {
        for _ in names {
            self.0.write_all(b"GET /orders HTTP/1.1\r\nhost: shop.example\r\n\r\n").await?;
            let (head, length) = head(&mut self.0).await?;
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await?;
            let body = String::from_utf8(body)?;
            let is_it = head.starts_with("HTTP/1.1 200 ") && names.contains(&body.as_str());
            anyhow::ensure!(is_it, "{head}\n{body}");
        }
        Ok(())
    }
}

/// A message's head, and the length of its body.
async fn head(stream: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begin = head.len();
        anyhow::ensure!(stream.read_line(&mut head).await? > 0, "the connection has ended after {head:?}");
        let line = head.get(begin..).unwrap_or_default().trim();
        match line.split_once(':') {
            _ if line.is_empty() => return Ok((head, length)),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().context("content-length")?;
            }
            _ => {}
        }
    }
}

/// An upstream that answers only those who show a certificate of the authority.
struct Demanding {
    address: SocketAddr,
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

impl Demanding {
    async fn start(certificates: &Certificates) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificates.authority.der().clone())?;
        let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        let own = Signed::by(&certificates.issuer, &["localhost"])?;
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![own.certificate.der().clone()], own.key()?)?;
        let (listener, acceptor) =
            (TcpListener::bind("127.0.0.1:0").await?, TlsAcceptor::from(Arc::new(config)));
        let upstream = Self { address: listener.local_addr()?, shown: Arc::default() };
        let shown = upstream.shown.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, shown) = (acceptor.clone(), shown.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(tcp).await?;
                    let chain = stream.get_ref().1.peer_certificates().into_iter().flatten();
                    shown.lock().expect("whole").extend(chain.map(|shown| shown.clone().into_owned()));
                    answer_all(stream).await
                });
            }
        });
        Ok(upstream)
    }
}

async fn answer_all(stream: server::TlsStream<TcpStream>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nyou are known").await?;
        stream.flush().await?;
    }
}

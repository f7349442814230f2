//! A receiver of webhooks over HTTPS, for tests: it keeps what is posted to it, and can be told how to answer.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// Largest body that it takes, bytes.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Something that was posted.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
    /// The status that it was answered with; 0: the connection was closed without an answer.
    pub answered: u16,
}

#[derive(Default)]
struct State {
    deliveries: Vec<Delivery>,
    answers: VecDeque<u16>,
}

/// Takes in deliveries until the runtime ends.
#[derive(Clone)]
pub struct WebhookReceiver {
    address: SocketAddr,
    ca: PathBuf,
    state: Arc<Mutex<State>>,
}

impl WebhookReceiver {
    /// Starts one, and writes the certificate that it shows into `folder`.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let ca = folder.join("webhook-ca.pem");
        fs::write(&ca, certificate.pem()).context("write the certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self { address: listener.local_addr()?, ca, state: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, receiver) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        // Ends with either side.
                        let _ = receiver.serve(BufReader::new(stream)).await;
                    }
                });
            }
        });
        Ok(receiver)
    }

    /// Where it is, as in `https://127.0.0.1:12000/hook`.
    pub fn url(&self) -> String {
        format!("https://{}/hook", self.address)
    }

    /// A PEM file with the certificate that verifies it.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Settings with which services deliver to it: its address is not public, and its certificate is of its own making.
    pub fn settings(&self) -> anyhow::Result<String> {
        let ca = serde_json::to_string(&self.ca)?;
        Ok(format!("[audit]\nwebhook_private_addresses = true\nwebhook_ca = {ca}\n"))
    }

    /// Answers the next deliveries with these statuses, and further ones with 200. 0 closes the connection instead.
    pub fn answer_next(&self, statuses: &[u16]) {
        self.state().answers.extend(statuses);
    }

    /// What has come in so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state().deliveries.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests of one connection of HTTP/1.1.
    async fn serve(
        &self,
        mut stream: BufReader<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>,
    ) -> anyhow::Result<()> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                let Some((name, value)) = line.trim_end().split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let length: usize = headers.get("content-length").context("no length")?.parse()?;
            anyhow::ensure!(length <= BODY_BYTES_MAX, "a large body");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let answered = self.state().answers.pop_front().unwrap_or(200);
            self.state().deliveries.push(Delivery { headers, body, answered });
            if answered == 0 {
                return Ok(());
            }
            let answer = format!("HTTP/1.1 {answered} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

//! Requests whose path goes as it is written. Every ordinary client resolves `..` before it sends anything.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};

use crate::harness::SOON;

/// Status and body of a GET for `path` at `base`, as in `https://127.0.0.1:12000`, which the authority in `ca` vouches for.
pub async fn get(base: &str, ca: &Path, token: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let host = base.strip_prefix("https://").context("no HTTPS URL")?;
    // Without keep-alive and chunks: all that comes before the end is the answer.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer =
        timeout(SOON, exchange(host, ca, &request)).await.with_context(|| format!("GET {path}"))??;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer}"))?;
    let status = head.split(' ').nth(1).with_context(|| format!("no status: {head}"))?;
    Ok((status.parse()?, body.to_owned()))
}

async fn exchange(host: &str, ca: &Path, request: &str) -> anyhow::Result<String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (name, _) = host.split_once(':').context("no port")?;
    let name = ServerName::try_from(name.to_owned())?;
    let stream = TcpStream::connect(host).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

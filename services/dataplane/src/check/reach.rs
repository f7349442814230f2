//! One address of a control plane: its name, a connection, TLS, an answer, and the time that it tells.

use std::{io, sync::Arc, time::Duration};

use http::{Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use rustls_pki_types::ServerName;
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Report, clock};
use crate::seams::Seams;

/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may take to refuse a certificate.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Looks at `endpoint`, `host:port` or an `https://` URL, whose certificate has to be for `name`.
pub async fn check(
    endpoint: &str,
    name: &str,
    tls: Arc<ClientConfig>,
    seams: &Seams,
    report: &mut Report<'_>,
) {
    let address = endpoint.strip_prefix("https://").unwrap_or(endpoint).trim_end_matches('/');
    let found = match timeout(STEP_TIMEOUT, lookup_host(address)).await.unwrap_or_else(|_| Err(late())) {
        Ok(found) => found.collect::<Vec<_>>(),
        Err(error) => {
            return report.bad(
                "dns",
                format!("{address} has no address: {error}; check the name and this machine's name servers"),
            );
        }
    };
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    report.good("dns", format!("{address} is at {shown}"));
    let tcp = match timeout(STEP_TIMEOUT, TcpStream::connect(found.as_slice())).await.unwrap_or_else(|_| Err(late())) {
        Ok(tcp) => tcp,
        Err(error) => return report.bad("connection", format!("{address} takes none: {error}; is the control plane up, and does a firewall let this machine reach it?")),
    };
    report.good("connection", format!("{address} takes it"));
    let mut tls = Arc::unwrap_or_clone(tls);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let Ok(name) = ServerName::try_from(name.to_owned()) else {
        return report.bad("tls", format!("{name} is no name that a certificate can be for"));
    };
    let handshake = TlsConnector::from(Arc::new(tls)).connect(name, tcp);
    let stream = match timeout(STEP_TIMEOUT, handshake).await.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => stream,
        Err(error) => return report.bad("tls", format!("{address}: {}", in_words(&error))),
    };
    let mut stream = BufReader::new(stream);
    // A server that refuses the node's certificate says so after the handshake, which is complete for the node before.
    if let Ok(Err(error)) = timeout(REFUSAL_TIMEOUT, stream.fill_buf()).await {
        return report.bad("tls", format!("{address}: {}", in_words(&error)));
    }
    match timeout(STEP_TIMEOUT, date(stream, address)).await.unwrap_or_else(|_| Err(late())) {
        Ok(date) => {
            report.good("tls", format!("{address} and this node trust each other"));
            match date {
                Some(date) => clock(date, seams, report),
                None => report.note("clock", "the control plane does not tell its time"),
            }
        }
        Err(error) => report.bad("tls", format!("{address}: {}", in_words(&error))),
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {} seconds", STEP_TIMEOUT.as_secs()))
}

/// The time that an answer tells; any answer will do.
async fn date(stream: BufReader<TlsStream<TcpStream>>, address: &str) -> io::Result<Option<OffsetDateTime>> {
    let is_http2 = stream.get_ref().get_ref().1.alpn_protocol() == Some(b"h2");
    let request = Request::get(format!("https://{address}/")).header(header::HOST, address);
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let io = TokioIo::new(stream);
    let answer = if is_http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(io::Error::other)?;
        let answer = sender.send_request(request);
        tokio::select! {
            answer = answer => answer.map_err(io::Error::other)?,
            ended = connection => return Err(ended.err().map_or_else(|| io::ErrorKind::UnexpectedEof.into(), io::Error::other)),
        }
    } else {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(io::Error::other)?;
        let (answer, _) = tokio::join!(sender.send_request(request), connection);
        answer.map_err(io::Error::other)?
    };
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()).map(OffsetDateTime::from))
}

/// What is wrong, and what to do.
fn in_words(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
        return format!(
            "{error}; does something between this machine and the control plane cut the connection?"
        );
    };
    let words = match tls {
        // A CA that was made anew has the old one's name, and another key.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is of another CA than the one that this node enrolled with: does the address lead to that region, and does nothing in between end TLS? If the region has a new CA, enrol again"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name: the address leads to another service or region",
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => {
            "its certificate is not valid now, by this machine's clock: set the clock, or renew the control plane's certificate"
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "it refuses this node's certificate, which has ended by its clock: set the clocks, enrol again, or pin a new certificate"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError,
        ) => "it refuses this node's certificate: enrol again, or pin the certificate to the control plane",
        Error::InvalidMessage(_) => "what answers there speaks no TLS: is it the right port?",
        _ => return tls.to_string(),
    };
    format!("{words} ({tls})")
}

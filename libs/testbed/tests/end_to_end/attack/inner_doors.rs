//! What each certificate of a region opens inside: the tables of SECURITY.md, tried out door by door. Whatever a table does not
//! allow has to be refused.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context;
use ids::ServiceName;
use reqwest::{Certificate, Client, Identity, Version, header};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use testbed::{Infrastructure, Options, Region, ca::Pair, deployment::Infrastructures};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};

use crate::harness::{run, shared};

const SECURITY: &str = include_str!("../../../../../SECURITY.md");
const PROTOS: [&str; 3] = [
    include_str!("../../../../../proto/landbridge/identity/v1/identity.proto"),
    include_str!("../../../../../proto/landbridge/authz/v1/authz.proto"),
    // Both identity and authz have it; identity is asked here.
    include_str!("../../../../../proto/landbridge/audit/v1/audit.proto"),
];
/// `PERMISSION_DENIED` of gRPC.
const DENIED: &str = "7";

/// The cells of the table below the heading `title`, without its own head.
pub fn table(title: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = SECURITY.split_once(title).expect("a heading of SECURITY.md");
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    rows.skip(2).map(cells).collect()
}

/// What stands in backticks.
pub fn quoted(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The paths of all methods in the protocols between services.
fn methods() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for proto in PROTOS {
        let word = |line: &'static str, key: &str| {
            line.trim().strip_prefix(key)?.split([' ', '(', ';']).next().map(str::to_owned)
        };
        let package = proto.lines().find_map(|line| word(line, "package ")).expect("a package");
        let service = proto.lines().find_map(|line| word(line, "service ")).expect("a service");
        let names = proto.lines().filter_map(|line| word(line, "rpc "));
        paths.extend(names.map(|name| format!("/{package}.{service}/{name}")));
    }
    paths
}

/// Calls a method with nothing in it; answers the status in the head of the answer, if it is there.
async fn call(region: &Region, pair: &Pair, path: &str) -> anyhow::Result<Option<String>> {
    let on = region.infrastructure();
    let pem = [std::fs::read(&pair.certificate)?, std::fs::read(&pair.key)?].concat();
    let ca = Certificate::from_pem(&std::fs::read(on.ca.internal_ca().certificate)?)?;
    let client = Client::builder()
        .tls_certs_only([ca])
        .identity(Identity::from_pem(&pem)?)
        .http2_prior_knowledge()
        .build()?;
    let service = if path.contains(".authz.") { ServiceName::Authz } else { ServiceName::Identity };
    let url = format!("https://{}{path}", on.addresses.of(service).internal);
    let request = client.post(url).version(Version::HTTP_2).header(header::CONTENT_TYPE, "application/grpc");
    let answer = request.header(header::TE, "trailers").body(vec![0; 5]).send().await?;
    Ok(answer.headers().get("grpc-status").map(|status| status.to_str().map(str::to_owned)).transpose()?)
}

#[test]
fn each_method_between_services_is_for_those_that_the_table_names() {
    run(async {
        let region = shared().await?;
        let rows = table("### Methods between services");
        let in_table: BTreeSet<_> = rows.iter().map(|row| quoted(row[0])[0].to_owned()).collect();
        assert_eq!(in_table, methods(), "every method has a row in SECURITY.md");
        for caller in ["identity", "authz", "config", "edge", "operator", "nats", "postgres"] {
            let pair = region.infrastructure().ca.internal(caller)?;
            for row in &rows {
                let (path, allowed) = (quoted(row[0])[0], row[1].split(", ").any(|name| name == caller));
                let status = call(region, &pair, path).await.with_context(|| format!("{caller}: {path}"))?;
                let is_refused = status.as_deref() == Some(DENIED);
                assert_eq!(is_refused, !allowed, "{caller}: {path} answered {status:?}");
            }
            for path in ["/landbridge.authz.v1.Authz/NoSuchMethod", "/grpc.health.v1.Health/Check", "/"] {
                assert_eq!(call(region, &pair, path).await?.as_deref(), Some(DENIED), "{caller}: {path}");
            }
        }
        Ok(())
    });
}

/// A connection to NATS on which every command is answered before the next is sent.
struct Nats(BufReader<TlsStream<TcpStream>>);

impl Nats {
    async fn connect(to: &Infrastructure, ca: &Pair, pair: &Pair) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(to.addresses.nats).await?;
        // The greeting, which comes before TLS.
        read_line(&mut stream).await?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&ca.certificate)?)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&pair.certificate)?.collect();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain?, PrivateKeyDer::from_pem_file(&pair.key)?)?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut nats = Self(BufReader::new(stream));
        let connect =
            r#"CONNECT {"verbose":false,"pedantic":false,"tls_required":true,"lang":"test","version":"0"}"#;
        anyhow::ensure!(nats.is_allowed(connect).await?, "not let in");
        Ok(nats)
    }

    /// Whether the server takes `command`.
    async fn is_allowed(&mut self, command: &str) -> anyhow::Result<bool> {
        self.0.write_all(format!("{command}\r\nPING\r\n").as_bytes()).await?;
        let mut allowed = true;
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.0.read_line(&mut line).await? > 0, "{command}: the connection ended");
            match line.split_whitespace().next() {
                Some("PONG") => return Ok(allowed),
                Some("-ERR") if line.contains("Permissions Violation") => allowed = false,
                Some("-ERR") => anyhow::bail!("{command}: {line}"),
                _ => {}
            }
        }
    }
}

async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    while stream.read_u8().await? != b'\n' {}
    Ok(())
}

/// Whether `subject` is one of those that the pattern stands for.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(is)) if wanted == is => {}
            _ => return false,
        }
    }
}

/// What would do harm, or would show what is nobody's business, and is in nobody's row.
const FOR_NOBODY: [&str; 11] = [
    "$JS.API.STREAM.DELETE.LOG-identity-us",
    "$JS.API.STREAM.PURGE.LOG-identity-us",
    "$JS.API.STREAM.MSG.DELETE.LOG-identity-us",
    "$JS.API.STREAM.SNAPSHOT.LOG-identity-us",
    "$JS.API.STREAM.RESTORE.LOG-identity-us",
    "$JS.API.STREAM.CREATE.other",
    "$JS.API.CONSUMER.DELETE.LOG-identity-us.reader",
    "$JS.API.ACCOUNT.PURGE.$G",
    "$SYS.REQ.SERVER.PING",
    "$SYS.ACCOUNT.$G.CONNECT",
    "landbridge.us.identity.other",
];

#[test]
fn each_subject_of_nats_is_for_those_that_the_table_names() {
    run(async {
        let infrastructure = Infrastructures::start(&Options::of_regions(&["us", "eu"])?).await?;
        let [us, eu] = infrastructure.regions() else { anyhow::bail!("two regions were asked for") };
        let rows = table("### Subjects of NATS");
        let cells = rows.iter().flat_map(|row| [row[1], row[2]]).flat_map(quoted);
        let all: BTreeSet<String> = cells
            .map(|pattern| pattern.replace('*', "one").replace('>', "one.two"))
            .chain(FOR_NOBODY.map(str::to_owned))
            .collect();
        let mut tried = 0;
        for row in &rows {
            let (region, name) = row[0].split_once(' ').context("`REGION SERVICE`")?;
            let home = if region == "us" { us } else { eu };
            let mut nats = Nats::connect(us, &us.ca.internal_ca(), &home.ca.internal(name)?).await?;
            for subject in &all {
                let is_listed = |cell| quoted(cell).iter().any(|pattern| matches(pattern, subject));
                let published = nats.is_allowed(&format!("PUB {subject} 0\r\n")).await?;
                assert_eq!(published, is_listed(row[1]), "{}: publish {subject}", row[0]);
                let subscribed = nats.is_allowed(&format!("SUB {subject} {tried}")).await?;
                assert_eq!(subscribed, is_listed(row[2]), "{}: subscribe {subject}", row[0]);
                tried += 1;
            }
            assert!(!nats.is_allowed("SUB > all").await?, "{}: everything", row[0]);
        }
        for (home, name) in
            [(us, "postgres"), (us, "nats"), (us, "edge"), (eu, "config"), (eu, "operator"), (eu, "edge")]
        {
            let refused = Nats::connect(us, &us.ca.internal_ca(), &home.ca.internal(name)?).await;
            assert!(refused.is_err(), "{name} of {} is nobody here", home.region);
        }
        assert!(tried > 100, "{tried} subjects");
        infrastructure.stop().await
    });
}

//! `dataplane check`: what keeps this gateway from being ready, in words.
//!
//! It looks at everything that a node needs, one after the other: settings, data folder, store, enrolment, clock, and each address of its
//! control plane by name, connection, TLS and answer ([`reach`]). The gateway that runs on the data folder is asked what it knows itself.
//! Nothing is changed, and no stream is opened: a node has one, and that is the running gateway's.
//!
//! Called by `main`.

mod reach;

use std::{fmt, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ids::NodeId;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::Value;
use sync::{enrolment::EnrolmentToken, identity::plane_name};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    declarative,
    enrol::{Credentials, EnrolError, NodeFiles, pinned::PinnedAuthority},
    gateway::{NODE_FOLDER, STORE_FOLDER},
    seams::Seams,
    settings::Settings,
    store::{self, Store, StoreError, StoreOptions},
};

/// How long the running gateway's admin port may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer of an admin port that is read, in bytes.
const ADMIN_ANSWER_MAX: usize = 1024 * 1024;
/// Clocks that differ by more are told: certificates and the end of credentials depend on them.
const SKEW_MAX: Duration = Duration::from_secs(30);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing, and no reason for a gateway not to be ready.
    Note,
    /// The gateway cannot work like this.
    Bad,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at. Example: `dns`.
    pub what: &'static str,
    /// How it is.
    pub mark: Mark,
    /// The same in words; where it is bad, with what to do.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Good => "ok",
            Mark::Note => "note",
            Mark::Bad => "FAILED",
        };
        write!(f, "{mark:<7} {:<12} {}", self.what, self.words)
    }
}

/// Everything that was found out, in order. Each finding is given to `told` at once: some take seconds.
pub struct Report<'a> {
    told: &'a mut dyn FnMut(&Finding),
    failed: usize,
}

impl Report<'_> {
    fn tell(&mut self, what: &'static str, mark: Mark, words: impl Into<String>) {
        let finding = Finding { what, mark, words: words.into() };
        self.failed += usize::from(mark == Mark::Bad);
        (self.told)(&finding);
    }

    fn good(&mut self, what: &'static str, words: impl Into<String>) {
        self.tell(what, Mark::Good, words);
    }

    fn note(&mut self, what: &'static str, words: impl Into<String>) {
        self.tell(what, Mark::Note, words);
    }

    fn bad(&mut self, what: &'static str, words: impl Into<String>) {
        self.tell(what, Mark::Bad, words);
    }
}

/// Checks the gateway of `settings`, which were checked themselves. How many things are bad.
pub async fn run(settings: &Settings, seams: &Seams, told: &mut dyn FnMut(&Finding)) -> usize {
    let mut report = Report { told, failed: 0 };
    report.good("settings", "valid");
    match &settings.declarative {
        Some(path) => document(path, &mut report),
        None => control_plane(settings, seams, &mut report).await,
    }
    held(settings, &mut report).await;
    report.failed
}

fn document(path: &Path, report: &mut Report<'_>) {
    let checked = std::fs::read_to_string(path).map_err(|error| error.to_string());
    match checked.and_then(|text| declarative::check(&text).map_err(|error| error.to_string())) {
        Ok(entities) => report.good("file", format!("{}: {entities} entities", path.display())),
        Err(error) => report.bad("file", format!("{}: {error}", path.display())),
    }
}

/// The data folder, and what a gateway that runs on it says.
async fn held(settings: &Settings, report: &mut Report<'_>) {
    let folder = settings.data_dir.join(STORE_FOLDER);
    if store::is_open(&folder) {
        report.good("store", format!("{} is used by a gateway that runs", settings.data_dir.display()));
        return running(settings.admin, report).await;
    }
    if !folder.exists() {
        return report
            .note("store", format!("{} does not exist yet: the first start makes it", folder.display()));
    }
    let opening = folder.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&opening, StoreOptions::default()));
    match opened.await.unwrap_or(Err(StoreError::Damaged("store"))) {
        Ok(store) => match store.position() {
            Some(position) => {
                report.good("store", format!("holds version {}; no gateway runs on it", position.version))
            }
            None => report.note("store", "holds no configuration yet; no gateway runs on it"),
        },
        Err(error) => {
            let remedy = "check the owner of the folder and the room on the disk; without the folder, the configuration is fetched again";
            report.bad("store", format!("{}: {error}; {remedy}", folder.display()));
        }
    }
}

/// What the gateway that runs says of itself.
async fn running(admin: SocketAddr, report: &mut Report<'_>) {
    let status = match status_of(admin).await {
        Ok(status) => status,
        Err(error) => {
            let remedy = "is `admin` the address that the running gateway was started with?";
            return report
                .bad("gateway", format!("its admin port {admin} does not answer: {error}; {remedy}"));
        }
    };
    let conditions = status["conditions"].as_object().into_iter().flatten();
    for (name, condition) in conditions.filter(|(_, condition)| condition["met"] == false) {
        let mark = if condition["required"] == true { Mark::Bad } else { Mark::Note };
        report.tell(
            "gateway",
            mark,
            format!("{name}: {}", condition["reason"].as_str().unwrap_or("not met")),
        );
    }
    let version = &status["configuration"]["version"];
    match (status["ready"] == true, status["draining"] == true) {
        (true, _) => report.good("gateway", format!("is ready, with version {version}")),
        (false, true) => report.bad("gateway", "drains: it takes no more requests"),
        (false, false) => report.bad("gateway", "is not ready"),
    }
}

async fn status_of(admin: SocketAddr) -> anyhow::Result<Value> {
    let mut admin = admin;
    if admin.ip().is_unspecified() {
        admin.set_ip(if admin.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let client = reqwest::Client::builder().no_proxy().timeout(ADMIN_TIMEOUT).build()?;
    let mut answer = client.get(format!("http://{admin}/status")).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        anyhow::ensure!(body.len() <= ADMIN_ANSWER_MAX, "its answer is too large");
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Everything between this machine and the control plane.
async fn control_plane(settings: &Settings, seams: &Seams, report: &mut Report<'_>) {
    let files = NodeFiles::new(settings.data_dir.join(NODE_FOLDER));
    // The gateway that runs knows which node it is.
    let files = files.with_pinned(settings.pinned.clone(), NodeId::from_uuid(Uuid::nil()));
    match (files.credentials(), &settings.enrolment_token) {
        (Ok(credentials), _) => enrolled(&credentials, seams, report).await,
        (Err(error), _) if settings.pinned.is_some() => report.bad("certificate", error.to_string()),
        (Err(EnrolError::NotEnrolled), Some(token)) => match EnrolmentToken::parse(token) {
            Ok(token) => {
                report.note("enrolment", "not enrolled yet: the first start enrols this node with the token");
                region(&token, seams, report).await;
            }
            Err(error) => report.bad("enrolment", error.to_string()),
        },
        (Err(EnrolError::NotEnrolled), None) => report.bad(
            "enrolment",
            "this node is not enrolled, and has no token: make an enrolment token in the control plane and start with it, or name a declarative file",
        ),
        (Err(error), _) => {
            report.bad("enrolment", format!("{error}; remove {} and enrol again", settings.data_dir.join(NODE_FOLDER).display()));
        }
    }
}

async fn enrolled(credentials: &Credentials, seams: &Seams, report: &mut Report<'_>) {
    let Credentials { identity, not_after, endpoints, token, .. } = credentials;
    let (now, ends) = (seams.clock.now(), OffsetDateTime::from(*not_after));
    let of = format!("of control plane {} in {}", identity.control_plane, identity.region);
    let (what, shown, remedy) = match token {
        Some(_) => ("enrolment", format!("node {} {of}", identity.node), "enrol again"),
        None => ("certificate", format!("a node with a pinned certificate {of}"), "pin a new certificate"),
    };
    match ends > now {
        true => report.good(what, format!("{shown}; its certificate ends at {ends}")),
        false => report.bad(
            what,
            format!("{shown}: its certificate ended at {ends}, and by this machine's clock it is {now}; set the clock, or {remedy}"),
        ),
    }
    let tls = match tls_of(credentials) {
        Ok(tls) => Arc::new(tls),
        Err(error) => {
            return report.bad(what, format!("its files cannot be used: {error:#}; {remedy}"));
        }
    };
    for endpoint in endpoints {
        reach::check(endpoint, &plane_name(&identity.region), tls.clone(), seams, report).await;
    }
}

async fn region(token: &EnrolmentToken, seams: &Seams, report: &mut Report<'_>) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(PinnedAuthority::new(token.ca_sha256, provider.clone()));
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = match tls {
        Ok(tls) => tls.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
        Err(error) => return report.bad("tls", error.to_string()),
    };
    let Some(address) = token.api.strip_prefix("https://") else {
        return report
            .bad("enrolment", format!("the token names {}, which is not an https:// address", token.api));
    };
    let address = address.split('/').next().unwrap_or_default();
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let endpoint = if has_port { address.to_owned() } else { format!("{address}:443") };
    let host = endpoint.rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host);
    reach::check(&endpoint, host.trim_matches(['[', ']']), Arc::new(tls), seams, report).await;
}

/// How the node speaks TLS with its control plane.
fn tls_of(credentials: &Credentials) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(credentials.ca_pem.as_bytes()) {
        roots.add(authority?)?;
    }
    let chain =
        CertificateDer::pem_slice_iter(credentials.certificate_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(tls.with_root_certificates(roots).with_client_auth_cert(chain, key)?)
}

/// Says how far this machine's clock is from another one's.
fn clock(theirs: OffsetDateTime, seams: &Seams, report: &mut Report<'_>) {
    let ours = seams.clock.now();
    let apart = (ours - theirs).unsigned_abs();
    let direction = if ours > theirs { "ahead of" } else { "behind" };
    match apart <= SKEW_MAX {
        true => report.good("clock", format!("within {} seconds of the control plane's", SKEW_MAX.as_secs())),
        false => report.bad(
            "clock",
            format!("{} seconds {direction} the control plane's: set it (certificates and the end of credentials depend on it)", apart.as_secs()),
        ),
    }
}

#[cfg(test)]
mod tests;

//! A region's identity in this process: handlers behind the real guard, a database of its own, and an authz and a NATS that
//! the test looks into. The clock stands still and randomness is seeded, so that output is constant.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use access::{Rates, TokenFormat, TokenKey, TokenKind};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use clock::Clock;
use http_body_util::BodyExt as _;
use identity::{
    Assembled, MIGRATIONS, Parts, SERVICE,
    app::App,
    apply::Rows,
    assemble,
    bootstrap::{self, Outcome},
    console::origins::Origins,
    domains::Dns,
    mail,
    operator::token,
    organizations::http::Directory,
    sessions::LocalSessions,
    settings::{Mail, MailTls},
    single_sign_on::SingleSignOn,
    tokens::{
        self, Maker, Name, NewToken,
        names::{Prints, carrier},
        store::TokenRow,
    },
};
use mutation::Mutation;
use oplog::Log;
use postgres::{Lookups, PgPool};
use proto::replication::v1::replication_server::ReplicationServer;
use random::Random;
use replication::{Keyring, Origin, Signer};
use replication_runtime::Options;
use seal::SealKey;
use serde_json::Value;
use service::{Forwarder, Identity, Process, with_grpc};
use settings::sections::{Audit, Connections, LogFormat, PeerRegion, Public, Telemetry, Tls};
use tempfile::TempDir;
use test_database::Database;
use testbed::{
    ca::{Ca, Pair},
    ports::Ports,
};
use time::{Duration, OffsetDateTime, macros::datetime};
use tokio::{net::TcpListener, sync::Mutex};
use tonic::service::Routes;
use tower::ServiceExt as _;
use web::ClientAddress;

use crate::{authz::Authz, nats::Nats};

/// What every clock shows until a test moves it. Late enough that signed tokens have not expired by the machine's clock.
pub const START: OffsetDateTime = datetime!(2100-01-01 00:00 UTC);
/// Where clients are.
/// Where the console's pages come from.
pub const CONSOLE: &str = "https://console.example";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The seed of all randomness.
const SEED: u64 = 7;
/// The deployment's key of consistency tokens.
const CONSISTENCY_KEY: &str = "abababababababababababababababababababababababababababababababab";
/// Most active tokens of a principal.
const TOKENS_MAX: usize = 10;
/// The key that seals private keys.
pub const SEAL_KEY: [u8; 32] = [7; 32];

/// What runs the parts of all regions. One for the test program, since telemetry can be started once only; the parts end with
/// the test that added them.
static PROCESS: LazyLock<Mutex<Process>> = LazyLock::new(|| {
    let telemetry = Telemetry { log: "error".to_owned(), format: LogFormat::Text, otlp: None };
    Mutex::new(Process::start(SERVICE, &telemetry, &Connections::default()).expect("a process"))
});

/// A database with today's schema.
pub async fn database() -> Database {
    test_database::create_with(&[&MIGRATIONS, &oplog::MIGRATIONS]).await
}

/// What a region is reached and known by.
pub struct Site {
    name: ids::Region,
    ca: Ca,
    peers: SocketAddr,
    folder: Arc<TempDir>,
    _ports: Ports,
    /// Asked about domains.
    pub name_servers: Vec<SocketAddr>,
}

impl Site {
    /// A region named `name`, with certificates of its own.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name: ids::Region = name.parse().expect("a region");
        let ca = Ca::create(folder.path().to_owned(), name.clone(), Clock::system().now()).expect("a CA");
        let mut ports = Ports::reserve().expect("ports");
        let peers = ports.take().expect("a port");
        Self { name, ca, peers, folder: Arc::new(folder), _ports: ports, name_servers: Vec::new() }
    }

    fn identity(&self) -> Identity {
        let pair = self.ca.internal(SERVICE.as_str()).expect("a certificate");
        let ca = self.ca.internal_ca().certificate;
        Identity::load(&Tls { certificate: pair.certificate, key: pair.key, ca }).expect("certificates")
    }

    /// The certificate and key of servers of the tests, which the region's own CA has signed.
    pub fn api(&self) -> Pair {
        self.ca.api().expect("a certificate")
    }

    /// PEM file with the CA that has signed them.
    pub fn region_ca(&self) -> PathBuf {
        self.ca.region_ca().certificate
    }

    fn single_sign_on(&self, regions: &BTreeMap<ids::Region, PeerRegion>) -> SingleSignOn {
        let ca = self.region_ca();
        let all = regions.keys().chain([&self.name]);
        let publics = all.map(|name| (name.clone(), format!("https://api.{name}.example"))).collect();
        SingleSignOn::new(Some(&ca), true, publics).expect("a client")
    }

    /// A mail server that keeps what it is sent in the folder of the site.
    async fn mail(&self) -> mail::Server {
        let files = self.ca.api().expect("a certificate");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let folder = self.mails();
        tokio::spawn(async move { testbed::mail::accept(listener, &files, &folder).await });
        let settings = Mail {
            server: address.ip().to_string(),
            port: Some(address.port()),
            tls: MailTls::Implicit,
            ca: Some(self.ca.region_ca().certificate),
            user: None,
            password_file: None,
            from: "Landbridge <landbridge@example.com>".to_owned(),
            link_base_url: CONSOLE.to_owned(),
        };
        mail::Server::new(&settings).expect("a mail server")
    }

    /// Where the mails are.
    fn mails(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    fn as_peer(&self) -> PeerRegion {
        PeerRegion {
            log_keys: vec![signer().public().to_string()],
            service: format!("https://{}", self.peers),
            // Nobody answers there: entries are fetched from the region itself.
            nats: "tls://127.0.0.1:1".to_owned(),
            ca: self.ca.internal_ca().certificate,
            public: public(),
        }
    }
}

/// The form of access tokens.
pub fn format() -> TokenFormat {
    TokenFormat::new(&TokenKey::from_hex(CONSISTENCY_KEY).expect("a key"))
}

/// Makes fingerprints of names.
pub fn prints() -> Prints {
    Prints::new(&TokenKey::from_hex(CONSISTENCY_KEY).expect("a key"))
}

/// What writes the rows of `region`.
pub fn applying(region: &str) -> Rows {
    Rows { region: region.parse().expect("a region"), prints: prints() }
}

/// Makes access tokens of `region`.
pub fn maker(region: &str, random: &Random) -> Maker {
    let region = region.parse().expect("a region");
    Maker {
        region,
        random: random.clone(),
        format: format(),
        seals: true,
        prints: prints(),
        seal: SealKey::new(&SEAL_KEY),
        per_principal_max: TOKENS_MAX,
    }
}

/// The key of every log of these tests.
pub fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).expect("a key")
}

/// The keyring of a region that is called `name`.
fn keyring(name: &ids::Region, others: &[&Site]) -> Keyring {
    let mut keyring = Keyring::default();
    for region in others.iter().map(|other| &other.name).chain([name]) {
        keyring.trust(Origin::new(SERVICE, region), vec![signer().public().clone()]);
    }
    keyring
}

fn public() -> Public {
    Public { api: "https://api.example".to_owned(), sync: Vec::new() }
}

/// A running region.
pub struct Region {
    pub database: Database,
    pub log: Log<Rows>,
    pub clock: Clock,
    pub random: Random,
    pub authz: Authz,
    pub nats: Nats,
    pub app: App,
    pub sessions: Arc<LocalSessions>,
    /// Where the mails are that the region has sent.
    pub mails: PathBuf,
    _folder: Arc<TempDir>,
    router: Router,
    replication: ReplicationServer<replication_runtime::Server>,
}

impl Region {
    /// A region that is alone.
    pub async fn alone() -> Self {
        Self::limited(Rates::default()).await
    }

    /// A region that is alone and has other limits.
    pub async fn limited(rates: Rates) -> Self {
        Self::start_with(&Site::new("us"), &[], rates).await
    }

    /// The region of `site`, which knows `others`. It calls them, but does not answer them before [`Region::listen`].
    pub async fn start(site: &Site, others: &[&Site]) -> Self {
        Self::start_with(site, others, Rates::default()).await
    }

    async fn start_with(site: &Site, others: &[&Site], rates: Rates) -> Self {
        let mut process = PROCESS.lock().await;
        let database = database().await;
        let (clock, random) = (Clock::manual(START), Random::seeded(SEED));
        let (authz, nats) = (Authz::start().await, Nats::start().await);
        let origin = Origin::new(SERVICE, &site.name);
        let (log, committer) =
            Log::open(database.pool(), origin, applying(site.name.as_str()), clock.clone(), signer());
        log.replica().confirm().await.expect("confirmed");
        let drain = process.drain.clone();
        process.task("log", committer.run(drain));
        let regions: BTreeMap<_, _> =
            others.iter().map(|other| (other.name.clone(), other.as_peer())).collect();
        let identity = site.identity();
        let options = Options {
            log: log.replica().clone(),
            keys: keyring(&site.name, others),
            regions: regions.clone(),
            identity: identity.clone(),
            nats: nats.client().await,
            public: public(),
            clock: clock.clone(),
            random: random.clone(),
        };
        let (replication, server) = replication_runtime::start(&mut process, options).expect("replication");
        replication.look().await.expect("its own log");
        let parts = Parts {
            log: log.clone(),
            replication,
            regions: regions.keys().cloned().collect(),
            nats: nats.client().await,
            authz: authz.channel(),
            seal: SealKey::new(&SEAL_KEY),
            consistency: TokenKey::from_hex(CONSISTENCY_KEY).expect("a key"),
            mail: Some(site.mail().await),
            origins: Origins::new(&[CONSOLE.to_owned()]).expect("an origin"),
            single_sign_on: site.single_sign_on(&regions),
            dns: Dns::new(&site.name_servers),
            rates,
            audit: Audit::default(),
            log_keys: vec![signer().public().clone()],
            tokens_max: TOKENS_MAX,
            homes: carrier::homes(&regions, &identity).expect("clients"),
            clock: clock.clone(),
            random: random.clone(),
        };
        let Assembled { app, access, sessions } = assemble(&mut process, parts);
        let homes = Arc::new(Directory(app.db.clone()));
        let forwarder = Forwarder::new(&site.name, SERVICE, homes, &regions, &identity).expect("a forwarder");
        let router = identity::router(app.clone(), access, Some(forwarder));
        Self {
            database,
            log,
            clock,
            random,
            authz,
            nats,
            app,
            sessions,
            mails: site.mails(),
            _folder: site.folder.clone(),
            router,
            replication: server,
        }
    }

    /// Answers `others` from now on.
    pub async fn listen(&self, site: &Site, others: &[&Site]) {
        let regions = others.iter().map(|other| (other.name.clone(), other.as_peer())).collect();
        let routes = Routes::new(self.replication.clone()).add_service(identity::residence(&self.app));
        let router = with_grpc(self.router.clone(), routes);
        let mut process = PROCESS.lock().await;
        process.peers(site.peers, &site.identity(), &regions, SERVICE, router).await.expect("a listener");
    }

    /// Makes an organization.
    pub async fn bootstrap(&self, name: &str) -> Outcome {
        let maker = self.app.maker();
        let made = bootstrap::find_or_create(&self.log, &self.clock, &maker, name, "ada@example.com");
        made.await.expect("an organization")
    }

    /// A new organization's owner.
    pub async fn owner(&self) -> (Client<'_>, Outcome) {
        let made = self.bootstrap("Acme").await;
        (self.client(made.token.as_deref().expect("a token")), made)
    }

    /// The owner of the organization that [`Region::owner`] has made, with another token.
    pub async fn owner_again(&self) -> (Client<'_>, Outcome) {
        let made = self.bootstrap("Acme").await;
        let (organization, owner, maker) = (made.organization_id, made.owner_id, self.app.maker());
        let id = self.random.id(self.clock.now());
        let work = self.app.write(Mutation::by_operator(organization, "test"), move |tx| {
            Box::pin(async move {
                let new = NewToken {
                    id,
                    principal: owner.cast(),
                    kind: TokenKind::Personal,
                    name: Name::Given("again".to_owned()),
                    expires_at: tx.at() + time::Duration::days(90),
                    vector: access::Vector::default(),
                    parent: None,
                    replaces: None,
                };
                Ok(tokens::mint(tx, &maker, new).await?.1)
            })
        });
        let token = work.await.expect("a token");
        (self.client(token.expose()), made)
    }

    /// The platform operator.
    pub async fn operator(&self) -> Client<'_> {
        self.operator_with("ops").await
    }

    /// The platform operator, with a token that is called so.
    pub async fn operator_with(&self, name: &str) -> Client<'_> {
        let made = token::create(&self.log, &self.clock, &self.app.maker(), name, Duration::days(30)).await;
        self.client(&made.expect("a token").token)
    }

    /// Somebody who shows `token`.
    pub fn client(&self, token: &str) -> Client<'_> {
        self.stranger().with(token)
    }

    /// Somebody without a token.
    pub fn stranger(&self) -> Client<'_> {
        Client {
            region: self,
            address: ADDRESS,
            bearer: None,
            key: None,
            consistency: None,
            headers: Vec::new(),
        }
    }

    /// Runs a statement in the database.
    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.database.pool()).await.expect(statement);
    }

    /// How many rows a query that the test has put together counts.
    pub async fn count_text(&self, query: &str) -> i64 {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
        query.fetch_one(&self.database.pool()).await.expect("a count")
    }

    /// How many rows the query counts.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.database.pool()).await.expect(query)
    }

    /// The kinds of the entries of this region's log, in order.
    pub async fn kinds(&self) -> Vec<String> {
        let entries = self.log.replica().entries(self.log.origin(), 0, 1000).await.expect("entries");
        entries.into_iter().map(|entry| entry.kind).collect()
    }
}

/// Who sends requests to a region.
#[derive(Clone)]
pub struct Client<'r> {
    region: &'r Region,
    address: IpAddr,
    bearer: Option<String>,
    key: Option<String>,
    consistency: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Client<'_> {
    /// Somebody at the same place who shows `token`.
    pub fn with(&self, token: &str) -> Self {
        Self { bearer: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same client at another address.
    pub fn at(&self, address: &str) -> Self {
        Self { address: address.parse().expect("an address"), ..self.clone() }
    }

    /// The same client, whose requests carry this idempotency key.
    pub fn keyed(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same client, whose requests come after this answer, in whichever region.
    pub fn after(&self, answer: &Answer) -> Self {
        let token = answer.headers["landbridge-consistency"].to_str().expect("text").to_owned();
        Self { consistency: Some(token), ..self.clone() }
    }

    /// The same client, whose requests carry this header.
    pub fn header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send_text(method, path, "application/json", body).await
    }

    pub async fn send_text(&self, method: Method, path: &str, media_type: &str, body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(token) = &self.consistency {
            request = request.header("landbridge-consistency", token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.header(header::CONTENT_TYPE, media_type).body(Body::from(body));
        let mut request = request.expect("a request");
        request.extensions_mut().insert(ClientAddress(self.address));
        let answer = self.region.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body; fails unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The detail of the problem; fails unless it is the one named `name`.
    #[track_caller]
    pub fn problem(self, status: u16, name: &str) -> String {
        assert_eq!(self.body["type"], format!("urn:landbridge:problem:{name}"), "{}", self.body);
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body["detail"].as_str().expect("a detail").to_owned()
    }
}

/// The text of a member of a JSON object.
#[track_caller]
pub fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// The token whose text has this hash, as the rows have it.
pub async fn token_row(db: PgPool, sha256: [u8; 32]) -> Option<TokenRow> {
    Lookups::new(db).find(sha256).await.expect("read")
}

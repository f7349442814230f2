//! Postgres and NATS let in who has a certificate of the internal CA, and nobody else, and lose nothing when killed. The
//! echo upstream shows what it received.

use std::process::{Command, Output};

use anyhow::Context;
use async_nats::{ConnectOptions, jetstream};
use ids::{ServiceName, subject};
use testbed::{
    Api, Infrastructure, Options,
    api::http_client,
    ca::Pair,
    folder::Folder,
    upstream::{ECHO_HEADER, Echo, Upstream},
};
use tokio::sync::OnceCell;

use crate::harness::run;

async fn shared() -> anyhow::Result<&'static Infrastructure> {
    static SHARED: OnceCell<Infrastructure> = OnceCell::const_new();
    let options = Options::temporary()?;
    SHARED.get_or_try_init(async || Infrastructure::start(&options).await).await
}

/// How the certificate's owner reaches a database, over TLS with the server's name verified.
pub fn connection(on: &Infrastructure, pair: Option<&Pair>, role: &str, database: &str) -> String {
    let address = on.addresses.postgres;
    let ca = on.ca.internal_ca().certificate;
    let (certificate, key) = match pair {
        Some(pair) => (pair.certificate.display().to_string(), pair.key.display().to_string()),
        None => ("/nonexistent".to_owned(), "/nonexistent".to_owned()),
    };
    format!(
        "host={} port={} user={role} dbname={database} sslmode=verify-full sslrootcert={} sslcert={certificate} sslkey={key}",
        address.ip(),
        address.port(),
        ca.display()
    )
}

/// Runs a statement as the certificate's owner would.
pub fn psql(
    on: &Infrastructure,
    pair: Option<&Pair>,
    role: &str,
    database: &str,
    sql: &str,
) -> anyhow::Result<Output> {
    let mut psql = Command::new(local_postgres::programs()?.join("psql"));
    psql.args(["--no-psqlrc", "--no-align", "--tuples-only", "--command", sql, "--dbname"]);
    psql.arg(connection(on, pair, role, database)).output().context("run psql")
}

fn answer(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn postgres_is_durable_and_encrypted() {
    run(async {
        let on = shared().await?;
        let show = "SELECT current_setting('fsync'), current_setting('synchronous_commit'), \
                    current_setting('unix_socket_directories'), current_user, \
                    (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid())";
        let seen = answer(&psql(on, Some(&on.operator), "operator", "postgres", show)?);
        assert_eq!(seen, "on|on||operator|TLSv1.3");
        Ok(())
    });
}

#[test]
fn a_service_reaches_its_own_database_and_no_other() {
    run(async {
        let on = shared().await?;
        let identity = on.ca.internal("identity")?;
        let write = "CREATE TABLE mine (x int); INSERT INTO mine VALUES (1); DROP TABLE mine; SELECT current_database()";
        assert!(answer(&psql(on, Some(&identity), "identity", "identity", write)?).ends_with("identity"));

        let foreign = refusal(&psql(on, Some(&identity), "identity", "config", "SELECT 1")?);
        assert!(foreign.contains("no pg_hba.conf entry"), "{foreign}");
        let posing = refusal(&psql(on, Some(&identity), "config", "config", "SELECT 1")?);
        assert!(posing.contains("certificate authentication failed"), "{posing}");
        let bare = refusal(&psql(on, None, "identity", "identity", "SELECT 1")?);
        assert!(bare.contains("requires a valid client certificate"), "{bare}");
        let stranger = on.ca.stranger("identity")?;
        let unknown = refusal(&psql(on, Some(&stranger), "identity", "identity", "SELECT 1")?);
        assert!(unknown.contains("unknown ca"), "{unknown}");
        let writing =
            refusal(&psql(on, Some(&on.operator), "operator", "identity", "CREATE TABLE x (y int)")?);
        assert!(writing.contains("permission denied"), "{writing}");
        Ok(())
    });
}

/// In an infrastructure of its own, since the server goes away under whoever else uses it.
#[test]
fn postgres_and_nats_recover_from_sigkill() {
    run(async {
        let on = Infrastructure::start(&Options::temporary()?).await?;
        let config = on.ca.internal("config")?;
        answer(&psql(&on, Some(&config), "config", "config", "CREATE TABLE kept AS SELECT 42 AS x")?);
        on.postgres.process().kill().await?;
        on.postgres.start_again().await?;
        assert_eq!(answer(&psql(&on, Some(&config), "config", "config", "SELECT x FROM kept")?), "42");

        let context = jetstream::new(connect_as(&on, ServiceName::Authz).await?);
        context.create_stream(log_of_authz(&on)).await?;
        context.publish(subject::log(ServiceName::Authz, &on.region), "first".into()).await?.await?;
        on.nats.process().kill().await?;
        on.nats.start_again().await?;
        let context = jetstream::new(connect_as(&on, ServiceName::Authz).await?);
        let message = context.get_stream(log_of_authz(&on).name).await?.get_raw_message(1).await?;
        assert_eq!(message.payload, "first".as_bytes());
        on.stop().await
    });
}

/// As for tests of restored regions: a copy is what was there, and nothing that came later.
#[test]
fn postgres_goes_back_to_a_copy() {
    run(async {
        let on = Infrastructure::start(&Options::temporary()?).await?;
        let config = on.ca.internal("config")?;
        let ask = |sql: &str| psql(&on, Some(&config), "config", "config", sql);
        answer(&ask("CREATE TABLE kept AS SELECT 1 AS x")?);
        let started = answer(&ask("SELECT pg_postmaster_start_time()")?);
        let copy = on.folder().make_reachable("backups")?.join("first");
        on.postgres.copy_to(&copy).await?;
        answer(&ask("INSERT INTO kept VALUES (2)")?);
        assert_eq!(answer(&ask("SELECT count(*) FROM kept")?), "2");
        for _ in 0..2 {
            on.postgres.restore_from(&copy).await?;
            assert_eq!(answer(&ask("SELECT count(*) FROM kept")?), "1", "the copy stays as it was");
            answer(&ask("INSERT INTO kept VALUES (3)")?);
        }
        assert_ne!(answer(&ask("SELECT pg_postmaster_start_time()")?), started);
        assert!(on.postgres.copy_to(&copy).await.is_err(), "no copy is overwritten");
        on.stop().await
    });
}

#[test]
fn everything_that_jetstream_keeps_can_be_deleted() {
    run(async {
        let on = Infrastructure::start(&Options::temporary()?).await?;
        let make = async || -> anyhow::Result<()> {
            let context = jetstream::new(connect_as(&on, ServiceName::Authz).await?);
            context.create_stream(log_of_authz(&on)).await?;
            context.publish(subject::log(ServiceName::Authz, &on.region), "first".into()).await?.await?;
            Ok(())
        };
        let is_there = async || -> anyhow::Result<bool> {
            let context = jetstream::new(connect_as(&on, ServiceName::Authz).await?);
            Ok(context.get_stream(log_of_authz(&on).name).await.is_ok())
        };
        make().await?;
        assert!(is_there().await?);
        on.nats.wipe_store().await?;
        assert!(!is_there().await?, "wiped");
        make().await?;
        // Under the running server, which sees at its next start what has become of its files.
        on.nats.delete_store().await?;
        on.nats.process().kill().await?;
        on.nats.start_again().await?;
        assert!(!is_there().await?, "deleted");
        on.stop().await
    });
}

#[test]
fn nats_refuses_whoever_has_no_certificate_of_the_internal_ca() {
    run(async {
        let on = shared().await?;
        connect(on, Some(&on.operator)).await?;
        connect(on, None).await.expect_err("no certificate");
        connect(on, Some(&on.ca.stranger("nats-client")?)).await.expect_err("a stranger's certificate");
        let plain = ConnectOptions::new().connect(on.addresses.nats.to_string()).await;
        plain.expect_err("an authority that is not trusted, or no TLS");
        Ok(())
    });
}

/// The stream that authz makes.
fn log_of_authz(on: &Infrastructure) -> jetstream::stream::Config {
    jetstream::stream::Config {
        name: subject::log_stream(ServiceName::Authz, &on.region),
        subjects: vec![subject::log(ServiceName::Authz, &on.region)],
        ..Default::default()
    }
}

async fn connect_as(on: &Infrastructure, service: ServiceName) -> anyhow::Result<async_nats::Client> {
    let pair = on.ca.internal(service.as_str())?;
    let options = options(on, Some(&pair)).custom_inbox_prefix(subject::inbox(service, &on.region));
    Ok(options.connect(on.nats.url()).await?)
}

/// A connection to the NATS of the region, with this certificate.
pub async fn connect(on: &Infrastructure, pair: Option<&Pair>) -> anyhow::Result<async_nats::Client> {
    let client = options(on, pair).connect(on.nats.url()).await?;
    client.flush().await?;
    Ok(client)
}

fn options(on: &Infrastructure, pair: Option<&Pair>) -> ConnectOptions {
    let options =
        ConnectOptions::new().require_tls(true).add_root_certificates(on.ca.internal_ca().certificate);
    match pair {
        Some(pair) => options.add_client_certificate(pair.certificate.clone(), pair.key.clone()),
        None => options,
    }
}

#[test]
fn the_echo_upstream_answers_with_what_it_received() {
    run(async {
        let on = shared().await?;
        let folder = Folder::temporary()?;
        let upstream = Upstream::start(&folder, on.next_address()?).await?;
        let api = Api::new(http_client()?, upstream.url(), None);
        let request =
            api.request(reqwest::Method::PATCH, "/a/b?c=d&c=e").header("x-one", "1").header("x-one", "2");
        let answer = api.send(request.body("four")).await?;
        assert_eq!((answer.status, answer.header(ECHO_HEADER)), (200, Some("1")));
        let echo: Echo = serde_json::from_str(&answer.text)?;
        assert_eq!(
            (echo.method.as_str(), echo.path.as_str(), echo.query.as_deref()),
            ("PATCH", "/a/b", Some("c=d&c=e"))
        );
        assert_eq!((echo.headers["x-one"].join(" "), echo.body_length), ("1 2".to_owned(), 4));
        api.get("/status/503").await?.expect(503)?;
        upstream.process().stop().await?;
        drop(upstream);
        folder.close().await
    });
}

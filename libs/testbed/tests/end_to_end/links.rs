//! Between two regions there is only the network: their parts reach each other through it, and as long as it lets them.

use std::time::Duration;

use anyhow::Context;
use async_nats::{ConnectOptions, Event, jetstream};
use ids::{ServiceName, subject};
use testbed::{Infrastructure, Options, ca::Pair, deployment::Infrastructures, wait};
use tokio::time::timeout;

use crate::harness::{SOON, run};

/// Nothing may come through a cut for this long.
const NOTHING_FOR: Duration = Duration::from_millis(300);

/// The address of a relay, as a service's settings name it: `regions.<region>.<name>`.
fn relay(on: &Infrastructure, region: &str, name: &str) -> anyhow::Result<String> {
    let path = on.service(ServiceName::Authz).settings();
    let settings = std::fs::read_to_string(path)?;
    let section = settings.split(&format!("[regions.{region}]")).nth(1).context("no such region")?;
    let line = section.lines().find(|line| line.starts_with(name)).context("no such setting")?;
    Ok(line.split('"').nth(1).context("no value")?.to_owned())
}

/// Reads the log of `authz` there, as the service of `reader` does.
fn reader(on: &Infrastructure, pair: &Pair, other: &str) -> ConnectOptions {
    let ca = on.folder().path().join(format!("pki/internal-ca-{other}.pem"));
    ConnectOptions::new()
        .require_tls(true)
        .add_root_certificates(ca)
        .add_client_certificate(pair.certificate.clone(), pair.key.clone())
        .custom_inbox_prefix(subject::inbox(ServiceName::Authz, &on.region))
        .ignore_discovered_servers()
}

/// Where authz of us publishes its log.
const AUTHZ: &str = "landbridge.log.authz.us";

/// The stream of a service's log, made by the service.
async fn make_log(on: &Infrastructure, service: ServiceName) -> anyhow::Result<jetstream::Context> {
    let own = on.ca.internal(service.as_str())?;
    let options = ConnectOptions::new()
        .add_root_certificates(on.ca.internal_ca().certificate)
        .add_client_certificate(own.certificate.clone(), own.key.clone())
        .custom_inbox_prefix(subject::inbox(service, &on.region));
    let context = jetstream::new(options.connect(on.nats.url()).await?);
    let (name, subjects) =
        (subject::log_stream(service, &on.region), vec![subject::log(service, &on.region)]);
    context.create_stream(jetstream::stream::Config { name, subjects, ..Default::default() }).await?;
    Ok(context)
}

#[test]
fn a_region_reads_the_others_log_and_nothing_else_there() {
    run(async {
        let on = Infrastructures::start(&Options::of_regions(&["us", "eu"])?).await?;
        let [us, eu] = on.regions() else { anyhow::bail!("two regions") };
        make_log(us, ServiceName::Identity).await?;
        let context = make_log(us, ServiceName::Authz).await?;
        context.publish(AUTHZ, "first".into()).await?.await?;

        let (denied, mut denials) = tokio::sync::mpsc::unbounded_channel();
        let theirs = reader(eu, &eu.ca.internal("authz")?, "us").event_callback(move |event| {
            let denied = denied.clone();
            async move {
                if let Event::ServerError(error) = event {
                    let _ = denied.send(error.to_string());
                }
            }
        });
        let client = theirs.connect(relay(eu, "us", "nats")?).await?;
        let theirs = jetstream::new(client.clone());
        let stream = theirs.get_stream("LOG-authz-us").await?;
        assert_eq!(stream.cached_info().state.messages, 1);

        client.publish(AUTHZ, "forged".into()).await?;
        client.flush().await?;
        let denial = timeout(SOON, denials.recv()).await?.context("no denial")?;
        assert!(denial.to_lowercase().contains("permissions violation"), "{denial}");
        assert!(theirs.get_stream("LOG-identity-us").await.is_err(), "another service's log");
        let held = context.get_stream("LOG-authz-us").await?;
        assert_eq!(held.cached_info().state.messages, 1, "nothing was written");

        // An authority that is not of this deployment is nobody.
        let stranger = eu.ca.stranger("authz")?;
        reader(eu, &stranger, "us").connect(relay(eu, "us", "nats")?).await.expect_err("a stranger");
        drop((client, theirs, context, stream, held));
        on.stop().await
    });
}

#[test]
fn a_cut_link_holds_what_is_said_until_it_is_healed() {
    run(async {
        let on = Infrastructures::start(&Options::of_regions(&["us", "eu"])?).await?;
        let [_, eu] = on.regions() else { anyhow::bail!("two regions") };
        let pair = eu.ca.internal("authz")?;
        let client = reader(eu, &pair, "us").connect(relay(eu, "us", "nats")?).await?;
        // Any question that is answered; that there is no such stream is an answer.
        let ask = async |client: &async_nats::Client| {
            timeout(SOON, client.request("$JS.API.STREAM.INFO.LOG-authz-us", "".into())).await
        };
        let started = std::time::Instant::now();
        ask(&client).await??;
        assert!(started.elapsed() >= Duration::from_millis(80), "there and back: {:?}", started.elapsed());

        on.wan().cut_one_way("us", "eu")?;
        {
            let mut asked = Box::pin(ask(&client));
            assert!(timeout(NOTHING_FOR, &mut asked).await.is_err(), "the answer came through the cut");
            let dial = reader(eu, &pair, "us").connection_timeout(SOON).connect(relay(eu, "us", "nats")?);
            let mut dial = Box::pin(dial);
            assert!(timeout(NOTHING_FOR, &mut dial).await.is_err(), "a new connection came through");
            on.wan().heal("us", "eu")?;
            asked.await??;
            ask(&timeout(SOON, dial).await??).await??;
        }

        drop(client);
        wait::until("the connections are gone", SOON, async || {
            let open: usize = on.wan().status().iter().map(|direction| direction.connections).sum();
            if open == 0 { Ok(()) } else { Err(format!("{open} are open")) }
        })
        .await?;
        on.stop().await
    });
}

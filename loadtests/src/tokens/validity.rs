//! How soon after its acknowledgement a gateway lets a new token in.
//!
//! Tokens are made at a fixed rate, open loop. The gateway is asked with each of them every millisecond, from before the write is sent: what
//! is let in before the acknowledgement arrives counts as 0, and the resolution is a millisecond.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use hyper::{
    StatusCode, Uri,
    header::{AUTHORIZATION, HeaderValue},
};
use testbed::{Api, Gateway, Region, ServiceName};

use super::{Kind, secret, stored::Stored};
use crate::{
    Pace,
    http1::{Connections, with_key},
    measured::Samples,
    openloop::{self, Arrival, Schedule},
    report::{COUNT, PER_SECOND, Report},
    stage::{self, say},
};

/// New tokens a second.
const RATE: f64 = 50.0;
const IN_FLIGHT_MAX: usize = 500;
/// A token that is not let in after this time counts as failed.
const DEADLINE: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(1);
/// Connections to a gateway, and to the API.
const CONNECTIONS: usize = 64;
const CALLERS: usize = 8;

/// Records `<label>.<kind>.ack_to_valid` and the like.
pub async fn record(
    pace: Pace,
    report: &mut Report,
    region: &Region,
    planes: [(&str, &Stored); 2],
) -> anyhow::Result<()> {
    report.record("validity.rate", PER_SECOND, RATE);
    for (label, stored) in planes {
        say(&format!("A gateway of the control plane {}", stored.name));
        let gateway = Gateway::enrol(region, &stored.control_plane, stored.name).await?;
        stage::until_served(&gateway, stored.version).await?;
        let subject = Arc::new(Subject {
            callers: stage::callers(region, ServiceName::Config, CALLERS)?,
            entities: stored.entities.clone(),
            consumer: stored.consumer(0).to_owned(),
            gateway: Connections::new(gateway.http_address(), CONNECTIONS)?,
        });
        for kind in Kind::ALL {
            subject.made(kind, pace.round).await?;
            for _ in 1..=pace.rounds {
                let made = subject.made(kind, pace.round).await?;
                let key = format!("{label}.{}", kind.name());
                let of = |time: fn(&Made) -> Duration| Samples::new(made.values.iter().map(time).collect());
                report.record_times(&format!("{key}.acknowledged"), &of(|made| made.acknowledged)?);
                let after = of(|made| made.valid.saturating_sub(made.acknowledged))?;
                report.record_times(&format!("{key}.ack_to_valid"), &after);
                report.record(format!("{key}.validity_failed"), COUNT, made.failed as f64);
            }
        }
        gateway.process().stop().await?;
    }
    Ok(())
}

/// How long a token took, from its scheduled time.
struct Made {
    acknowledged: Duration,
    valid: Duration,
}

/// A control plane with its gateway.
struct Subject {
    callers: Vec<Api>,
    entities: String,
    consumer: String,
    gateway: Connections,
}

impl Subject {
    async fn made(
        self: &Arc<Self>,
        kind: Kind,
        duration: Duration,
    ) -> anyhow::Result<openloop::Outcome<Made>> {
        let schedule =
            Schedule { per_second: RATE, duration, in_flight_max: IN_FLIGHT_MAX, deadline: DEADLINE };
        let subject = Arc::clone(self);
        openloop::run(schedule, move |arrival| {
            let subject = Arc::clone(&subject);
            async move { subject.make(kind, arrival).await }
        })
        .await
    }

    async fn make(&self, kind: Kind, arrival: Arrival) -> anyhow::Result<Made> {
        let secret = secret();
        let written =
            async { self.write(kind, &secret, arrival.number).await.map(|()| arrival.scheduled.elapsed()) };
        let valid = async { self.until_valid(kind, &secret).await.map(|()| arrival.scheduled.elapsed()) };
        let (acknowledged, valid) = tokio::try_join!(written, valid)?;
        Ok(Made { acknowledged, valid })
    }

    async fn write(&self, kind: Kind, secret: &str, number: u64) -> anyhow::Result<()> {
        let api = self.callers.get(number as usize % CALLERS).context("a caller")?;
        let path = format!("{}/{}", self.entities, kind.collection());
        api.post(&path, &kind.body(&self.consumer, secret)).await?.expect(201).map(drop)
    }

    async fn until_valid(&self, kind: Kind, secret: &str) -> anyhow::Result<()> {
        let path = Uri::from_static(kind.path());
        let shown = match kind {
            Kind::KeyAuth => with_key(secret)?,
            Kind::Oauth2Token => {
                [(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}"))?)].into_iter().collect()
            }
        };
        let mut ticks = pace::ticks(ASK_EVERY);
        loop {
            ticks.tick().await;
            match self.gateway.get(&path, &shown).await? {
                StatusCode::OK => return Ok(()),
                status => ensure!(status == StatusCode::UNAUTHORIZED, "the gateway answers {status}"),
            }
        }
    }
}

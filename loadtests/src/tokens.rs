//! Credentials and access tokens, written into one control plane: how many a second, how long each takes, and how soon a gateway lets it in.
//! The same with few and with many that are stored already.
//!
//! Two kinds stand for tokens. A `key_auth` credential with a time to live is how keys are given out by programs; an `oauth2_token` is one of
//! another issuer, taken over until its end. Each write makes a new one, which no other write has made.

mod stored;
mod validity;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use testbed::{Region, ServiceName};
use uuid::Uuid;

use self::stored::Stored;
use crate::{
    Pace,
    message::{Message, wire},
    proxy::{
        generator::{self, Arrivals, Load, Outcome, Reuse, Wire},
        requests::Requests,
    },
    report::{COUNT, MILLISECONDS, PER_SECOND, RATIO, Report},
    stage::{self, say},
};

/// Tokens that are stored at the smaller of the two.
const FEW: usize = 10_000;
/// What the keys of figures say of the larger one.
const AIM: usize = 10_000_000;
/// Callers that write at the same time.
const CALLERS: usize = 64;
/// Different requests of a closed loop: more than it makes.
const REQUESTS: usize = 60_000;
/// The fixed rate, as a share of what all callers got with few tokens stored.
const OPEN_SHARE: f64 = 0.6;
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than any measurement: in seconds, and with five digits until its end, so that all answers are of one length.
const TTL: u32 = 86_400;
/// Unix seconds at which tokens end that are taken over.
const EXPIRES_AT: u64 = 4_102_444_800;

/// How much is stored.
#[derive(Args)]
pub struct Arguments {
    /// Tokens that are stored at the larger of the two control planes.
    #[arg(long, default_value_t = 1_000_000)]
    stored: usize,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    KeyAuth,
    Oauth2Token,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::KeyAuth, Self::Oauth2Token];

    /// As in the keys of figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyAuth => "key_auth",
            Self::Oauth2Token => "oauth2_token",
        }
    }

    const fn collection(self) -> &'static str {
        match self {
            Self::KeyAuth => "key-auths",
            Self::Oauth2Token => "oauth2_tokens",
        }
    }

    /// Of the route that asks for one.
    pub const fn path(self) -> &'static str {
        match self {
            Self::KeyAuth => "/with/key",
            Self::Oauth2Token => "/with/token",
        }
    }

    /// One of a consumer, with `secret`.
    pub fn body(self, consumer: &str, secret: &str) -> Value {
        let consumer = json!({ "id": consumer });
        match self {
            Self::KeyAuth => json!({ "consumer": consumer, "key": secret, "ttl": TTL }),
            Self::Oauth2Token => {
                json!({ "consumer": consumer, "access_token": secret, "scope": "read", "expires_at": EXPIRES_AT })
            }
        }
    }
}

/// A secret that nothing else has.
pub fn secret() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    if arguments.stored < AIM {
        report.note(format!("p99_ratio_10m_over_10k is of {} stored tokens, not of {AIM}", arguments.stored));
    }
    let settings = format!("[limits]\nentities_max = {}\n", 2 * arguments.stored.max(FEW));
    let region = stage::start_region_with(&settings).await?;
    let mut few = Stored::new(&region, "few", FEW).await?;
    let many = Stored::new(&region, "many", arguments.stored).await?;
    let wire = wire(&region, CALLERS)?;
    let writes = Writes { region: &region, wire };
    for kind in Kind::ALL {
        writes.closed(&few, kind, (CALLERS, WARM_UP)).await?;
    }
    for round in 1..=pace.rounds {
        say(&format!("Closed loops, round {round} of {}", pace.rounds));
        for (label, stored) in [("10k", &few), ("many", &many)] {
            for kind in Kind::ALL {
                for callers in [1, CALLERS] {
                    let seen = writes.closed(stored, kind, (callers, pace.round)).await?;
                    let key = format!("{label}.{}.closed.{callers}", kind.name());
                    report.record(format!("{key}.per_s"), PER_SECOND, seen.per_second);
                    report.record_times(&format!("{key}.latency"), &seen.latencies);
                    report.record(format!("{key}.failed"), COUNT, seen.failed as f64);
                }
            }
        }
        few.restore(&region).await?;
    }
    at_fixed_rate(pace, report, &writes, (&mut few, &many)).await?;
    validity::record(pace, report, &region, [("10k", &few), ("many", &many)]).await?;
    headlines(report);
    region.stop().await
}

/// The same rate with few and with many, in turn.
async fn at_fixed_rate(
    pace: Pace,
    report: &mut Report,
    writes: &Writes<'_>,
    (few, many): (&mut Stored, &Stored),
) -> anyhow::Result<()> {
    for round in 1..=pace.rounds {
        for kind in Kind::ALL {
            let name = kind.name();
            let rate = report.median(&format!("10k.{name}.closed.{CALLERS}.per_s")) * OPEN_SHARE;
            say(&format!("{rate:.0} a second of {name}, round {round} of {}", pace.rounds));
            report.record(format!("open.{name}.rate"), PER_SECOND, rate);
            for (label, stored) in [("10k", &*few), ("many", many)] {
                let arrivals = Arrivals::Open { per_second: rate, duration: pace.round };
                let count = (rate * pace.round.as_secs_f64()) as usize + 1;
                let seen = writes.send(stored, kind, (CALLERS, arrivals, count)).await?;
                let key = format!("{label}.{name}.open");
                report.record_times(&format!("{key}.latency"), &seen.latencies);
                report.record_times(&format!("{key}.lateness"), &seen.lateness);
                report.record(format!("{key}.failed"), COUNT, seen.failed as f64);
            }
        }
        few.restore(writes.region).await?;
    }
    Ok(())
}

/// The figures that tell whether the control plane is as good as it has to be: of the kind that does worse.
fn headlines(report: &mut Report) {
    for kind in Kind::ALL.map(Kind::name) {
        let single = format!("10k.{kind}.closed.1.per_s");
        report.record_ratio(
            &format!("{kind}.gain_over_single"),
            &format!("10k.{kind}.closed.{CALLERS}.per_s"),
            &single,
        );
        let (many, few) = (format!("many.{kind}.open.latency.p99"), format!("10k.{kind}.open.latency.p99"));
        report.record_ratio(&format!("{kind}.p99_ratio_10m_over_10k"), &many, &few);
    }
    let of = |report: &Report, figure: &dyn Fn(&str) -> String| {
        Kind::ALL.map(|kind| report.median(&figure(kind.name())))
    };
    let gain = of(report, &|kind| format!("{kind}.gain_over_single"));
    report.record("gain_over_single", RATIO, gain.into_iter().fold(f64::MAX, f64::min));
    let p99 = of(report, &|kind| format!("10k.{kind}.open.latency.p99"));
    report.record("p99_ms_at_60pct", MILLISECONDS, p99.into_iter().fold(0.0, f64::max));
    let ratio = of(report, &|kind| format!("{kind}.p99_ratio_10m_over_10k"));
    report.record("p99_ratio_10m_over_10k", RATIO, ratio.into_iter().fold(0.0, f64::max));
    let valid = ["10k", "many"].map(|label| of(report, &|kind| format!("{label}.{kind}.ack_to_valid.p99")));
    report.record("ack_to_valid_p99_ms", MILLISECONDS, valid.into_iter().flatten().fold(0.0, f64::max));
}

/// Writes of a region's API, over TLS.
struct Writes<'a> {
    region: &'a Region,
    wire: Wire,
}

impl Writes<'_> {
    async fn closed(
        &self,
        stored: &Stored,
        kind: Kind,
        (callers, duration): (usize, Duration),
    ) -> anyhow::Result<Outcome> {
        self.send(stored, kind, (callers, Arrivals::Closed(duration), REQUESTS)).await
    }

    /// Sends up to `count` writes, each of which makes a token of its own.
    async fn send(
        &self,
        stored: &Stored,
        kind: Kind,
        (callers, arrivals, count): (usize, Arrivals, usize),
    ) -> anyhow::Result<Outcome> {
        let path = format!("{}/{}", stored.entities, kind.collection());
        let message = |number: usize| {
            Message::with(Method::POST, path.clone(), kind.body(stored.consumer(number), &secret()))
        };
        let api = self.region.api(ServiceName::Config);
        let expected = message(0).answer_of(&api).await?;
        anyhow::ensure!(expected.status == 201, "a new token is answered {}", expected.status);
        let token = &self.region.owner().token;
        let load = Load {
            address: self.region.infrastructure().addresses.of(ServiceName::Config).api,
            requests: Arc::new(Requests::whole(
                (1..=count).map(|number| message(number).bytes(token)).collect(),
                expected,
            )),
            connections: callers,
            reuse: Reuse::Kept,
            wire: self.wire.clone(),
            arrivals,
        };
        generator::run(load).await.with_context(|| format!("{} of {}", kind.name(), stored.name))
    }
}

//! Load tests of Landbridge: `./dev bench NAME [--json FILE]`.
//!
//! Every scenario runs the real release binaries on loopback, uses public interfaces only, is bounded in count and
//! time, and repeats its measurements in rounds: what is compared takes turns within a round, and a figure is the
//! median of the rounds. README.md lists the figures.

mod changes;
mod closedloop;
mod decisions;
mod documents;
mod ends;
mod flatness;
mod herd;
mod http1;
mod import;
mod incremental;
mod login;
mod machine;
mod measured;
mod memory;
mod message;
mod openloop;
mod plot;
mod propagation;
mod proxy;
mod regions;
mod report;
mod requests;
mod retrying;
mod spent;
mod stage;
mod tokens;
mod upstream;
mod wire;
mod writes;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use report::Report;

#[derive(Parser)]
#[command(name = "loadtests", version, about = "Load tests of Landbridge")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// From a change's acknowledgement to the first request that a gateway serves by it, beside what it takes at least.
    Propagation {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// What a change of one entity costs both ends, where there are a thousand others and where there are a million.
    Flatness {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        sizes: flatness::Sizes,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// What a change costs a gateway that takes what has changed, and one that takes the whole configuration each time.
    #[command(name = "incremental-vs-full")]
    IncrementalVsFull {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// Writes of one control plane's entities: one, 16 and 64 callers, ten as decK, and at a fixed rate.
    Writes(Run),
    /// Documents of 100,000 and of 1,000,000 entities: how long they take and hold up others, and config's memory.
    Import(Run),
    /// Credentials and access tokens: how many a second, how long each takes, and how soon a gateway lets it in.
    Tokens {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        arguments: tokens::Arguments,
    },
    /// What a large import and many single writes leave behind in config's memory.
    Memory(Run),
    /// The gateway beside nginx, HAProxy and Envoy, with 10,000 routes and 10,000 keys.
    Proxy {
        #[command(flatten)]
        run: Run,
        /// Two minutes: five rounds of two seconds, of HTTP/1.1 only.
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// What spreading requests over targets costs, and what is noticed when a target dies or slows.
    Balancing(Run),
    /// One process of the gateway takes the place of another, again and again, under load.
    TakeOver(Run),
    /// How soon a gateway serves, from its store after a start and after `POST /config` while requests go on.
    Coldstart(Run),
    /// Many nodes come back at once: how soon all are current, and what they cost their control plane.
    Herd {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        arguments: herd::Arguments,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// What the gateway's access log, metrics and spans cost.
    Telemetry(Run),
    /// What the gateway's plugins cost, each alone and the usual five together.
    Plugins(Run),
    /// Authorization checks over HTTPS: one and a hundred per request.
    Decisions(Run),
    /// How many people sign on a second, and how many signed tokens are made and served.
    Login(Run),
    /// What a request to the region's API costs all processes of the region, and what the guard does of that.
    Requests {
        #[command(flatten)]
        run: Run,
        /// Less than two minutes: three rounds of one second.
        #[arg(long)]
        quick: bool,
    },
    /// Two regions: granted here and used there, revoked here and refused there, and what a cut link takes to heal.
    Regions {
        #[command(flatten)]
        run: Run,
        #[command(flatten)]
        arguments: regions::Arguments,
    },
    /// A client that retries, while services are killed and the link between two regions is cut: each write has its effect once.
    Retrying(Run),
    /// The upstream that `proxy` starts.
    #[command(hide = true)]
    Upstream {
        #[arg(long)]
        listen: SocketAddr,
        /// Every answer takes 50 ms while this file is there.
        #[arg(long, value_name = "FILE")]
        slow_while: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Run {
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    pace: PaceArguments,
}

#[derive(Args)]
struct Drawing {
    /// Draw the figures that matter most to this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Args)]
struct PaceArguments {
    /// How often each measurement is repeated; 5, or 10 for `proxy`, when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: Option<u32>,
    /// Seconds of each measurement; 5, or 3 for `proxy`, when absent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    round_seconds: Option<u64>,
}

/// Rounds and seconds where nothing else is asked for.
const USUAL_PACE: (u32, u64) = (5, 5);
/// A round has so many changes that its 99th percentile is more than its longest few.
const PROPAGATION_PACE: (u32, u64) = (5, 10);
/// Of `proxy`, whose figures are compared with those of others.
const PROXY_PACE: (u32, u64) = (10, 3);
/// Each round is minutes of work, however long its measurements are to be.
const IMPORT_PACE: (u32, u64) = (3, 5);
/// Each round is one return of all nodes.
const HERD_PACE: (u32, u64) = (3, 5);
const TOKENS_PACE: (u32, u64) = (3, 4);
/// Each round is one takeover.
const TAKE_OVER_PACE: (u32, u64) = (10, 4);
const QUICK_PROXY_PACE: (u32, u64) = (5, 2);
const REQUESTS_PACE: (u32, u64) = (5, 3);
/// Long enough for each kind of fault twice.
const RETRYING_PACE: (u32, u64) = (3, 20);
const QUICK_REQUESTS_PACE: (u32, u64) = (3, 1);

impl PaceArguments {
    fn or(&self, (rounds, round_seconds): (u32, u64)) -> Pace {
        let round = Duration::from_secs(self.round_seconds.unwrap_or(round_seconds));
        Pace { rounds: self.rounds.unwrap_or(rounds), round }
    }
}

/// How often and how long things are measured.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often everything is measured; figures are medians over rounds.
    pub rounds: u32,
    /// How long each measurement lasts.
    pub round: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().scenario).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(scenario: Scenario) -> anyhow::Result<()> {
    let (name, run, usual) = match &scenario {
        Scenario::Upstream { listen, slow_while } => {
            return upstream::serve(*listen, slow_while.clone()).await;
        }
        Scenario::Balancing(run) => ("balancing", run, PROXY_PACE),
        Scenario::Propagation { run, .. } => ("propagation", run, PROPAGATION_PACE),
        Scenario::Flatness { run, .. } => ("flatness", run, USUAL_PACE),
        Scenario::IncrementalVsFull { run, .. } => ("incremental-vs-full", run, IMPORT_PACE),
        Scenario::Writes(run) => ("writes", run, USUAL_PACE),
        Scenario::Import(run) => ("import", run, IMPORT_PACE),
        Scenario::Tokens { run, .. } => ("tokens", run, TOKENS_PACE),
        Scenario::Memory(run) => ("memory", run, USUAL_PACE),
        Scenario::Proxy { run, quick: true, .. } => ("proxy", run, QUICK_PROXY_PACE),
        Scenario::Proxy { run, .. } => ("proxy", run, PROXY_PACE),
        Scenario::TakeOver(run) => ("take-over", run, TAKE_OVER_PACE),
        Scenario::Coldstart(run) => ("coldstart", run, USUAL_PACE),
        Scenario::Herd { run, .. } => ("herd", run, HERD_PACE),
        Scenario::Telemetry(run) => ("telemetry", run, PROXY_PACE),
        Scenario::Plugins(run) => ("plugins", run, PROXY_PACE),
        Scenario::Decisions(run) => ("decisions", run, USUAL_PACE),
        Scenario::Login(run) => ("login", run, USUAL_PACE),
        Scenario::Requests { run, quick: true } => ("requests", run, QUICK_REQUESTS_PACE),
        Scenario::Requests { run, .. } => ("requests", run, REQUESTS_PACE),
        Scenario::Regions { run, .. } => ("regions", run, USUAL_PACE),
        Scenario::Retrying(run) => ("retrying", run, RETRYING_PACE),
    };
    let pace = run.pace.or(usual);
    let mut report = Report::new(name, pace);
    match &scenario {
        Scenario::Propagation { .. } => propagation::run(pace, &mut report).await?,
        Scenario::Flatness { sizes, .. } => flatness::run(pace, sizes, &mut report).await?,
        Scenario::IncrementalVsFull { .. } => incremental::run(pace, &mut report).await?,
        Scenario::Writes(_) => writes::run(pace, &mut report).await?,
        Scenario::Import(_) => import::run(pace, &mut report).await?,
        Scenario::Tokens { arguments, .. } => tokens::run(pace, arguments, &mut report).await?,
        Scenario::Memory(_) => memory::run(pace, &mut report).await?,
        Scenario::Proxy { quick, .. } => {
            let extent = if *quick { proxy::Extent::Quick } else { proxy::Extent::Full };
            proxy::run(pace, extent, &mut report).await?;
        }
        Scenario::Balancing(_) => proxy::balancing::run(pace, &mut report).await?,
        Scenario::TakeOver(_) => proxy::take_over::run(pace, &mut report).await?,
        Scenario::Coldstart(_) => proxy::coldstart::run(pace, &mut report).await?,
        Scenario::Herd { arguments, .. } => herd::run(pace, arguments, &mut report).await?,
        Scenario::Telemetry(_) => proxy::telemetry::run(pace, &mut report).await?,
        Scenario::Plugins(_) => proxy::plugins::run(pace, &mut report).await?,
        Scenario::Decisions(_) => decisions::run(pace, &mut report).await?,
        Scenario::Login(_) => login::run(pace, &mut report).await?,
        Scenario::Requests { .. } => requests::run(pace, &mut report).await?,
        Scenario::Regions { arguments, .. } => regions::run(pace, arguments, &mut report).await?,
        Scenario::Retrying(_) => retrying::run(pace, &mut report).await?,
        Scenario::Upstream { .. } => {}
    }
    print!("{}", report.table());
    if let Some(path) = &run.json {
        report.write(path)?;
    }
    if let Some((Drawing { plot: Some(path) }, picture)) = drawn(&scenario, &report) {
        std::fs::write(path, picture).with_context(|| format!("write {}", path.display()))?;
    }
    report.require_no_fault()
}

/// The picture of a scenario that has one.
fn drawn<'a>(scenario: &'a Scenario, report: &Report) -> Option<(&'a Drawing, String)> {
    Some(match scenario {
        Scenario::Proxy { drawing, .. } => (drawing, proxy::draw(report)),
        Scenario::Propagation { drawing, .. } => (drawing, propagation::draw(report)),
        Scenario::Flatness { drawing, sizes, .. } => (drawing, flatness::draw(sizes, report)),
        Scenario::IncrementalVsFull { drawing, .. } => (drawing, incremental::draw(report)),
        Scenario::Herd { drawing, arguments, .. } => (drawing, herd::draw(report, arguments)),
        _ => return None,
    })
}

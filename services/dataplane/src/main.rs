//! The gateway's command line: reads flags and settings, and runs the gateway until a signal ends it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use dataplane::{
    check, declarative, gateway,
    seams::Seams,
    settings::{Listen, Settings, SyncMode},
    store::{StoreOptions, soundness},
};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Faster than the C library's for the many small pieces of memory that a request takes, and it gives memory back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Landbridge data plane: an API gateway that follows a control plane, or a file.
#[derive(Parser)]
#[command(name = "dataplane", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve traffic until SIGTERM or SIGINT, then drain. A second signal ends the process at once.
    Serve(Box<Flags>),
    /// Check the settings and the declarative file, if any, and change nothing.
    CheckConfig {
        #[command(flatten)]
        flags: Box<Flags>,
        /// Say of each entity of the declarative file that this gateway would not serve what it is and why. Fails if there is one.
        #[arg(long, requires = "declarative")]
        report: bool,
    },
    /// Say in words what keeps this gateway from being ready: enrolment, names, connections, TLS, clock, store. Changes nothing.
    Check(Box<Flags>),
    /// Read all of a gateway's store. Ends with 3 if it is of no use, and with 1 if something else is in the way. `serve` does this by itself, in a process of its own, with a store that
    /// it has reason to doubt.
    CheckStore {
        /// The store: `store` in the data folder of a gateway that does not run.
        folder: PathBuf,
    },
    /// Print the reference of all settings, in Markdown.
    Settings,
}

/// A flag wins over the environment, and that over the settings file.
#[derive(Args)]
struct Flags {
    /// Settings file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with the token that enrols this node with its control plane, `-` for standard input. Arguments are no place for
    /// the token itself: everybody on the machine can read them.
    #[arg(long, value_name = "FILE")]
    enrolment_token_file: Option<PathBuf>,
    /// Folder for the configuration and the node's certificate.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Take the place of the gateway that runs on the same data folder, without a lost request. When none runs, start as usual.
    #[arg(long)]
    take_over: bool,
    /// How changes are taken from the control plane. `full` is for measurements.
    #[arg(long, value_name = "MODE")]
    sync: Option<SyncMode>,
    /// Address for plain HTTP, or `off`.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<Listen>,
    /// Address for HTTPS, or `off`.
    #[arg(long, value_name = "ADDRESS")]
    https: Option<Listen>,
    /// Certificate chain for HTTPS (PEM).
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Private key for HTTPS (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Address of the admin port.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// File with the token that /config on the admin port asks for.
    #[arg(long, value_name = "FILE")]
    config_token_file: Option<PathBuf>,
    /// Serve this declarative file instead of following a control plane.
    #[arg(long, value_name = "FILE")]
    declarative: Option<PathBuf>,
}

/// The enrolment token in a file, or on standard input.
fn enrolment_token(file: &Path) -> anyhow::Result<String> {
    let read =
        if file == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = read.with_context(|| format!("--enrolment-token-file: cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

impl Flags {
    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings: Settings = settings::load(self.config.as_deref())?;
        if let Some(file) = &self.enrolment_token_file {
            settings.enrolment_token = Some(enrolment_token(file)?);
        }
        settings.data_dir = self.data_dir.unwrap_or(settings.data_dir);
        settings.take_over |= self.take_over;
        settings.sync = self.sync.unwrap_or(settings.sync);
        settings.http = self.http.unwrap_or(settings.http);
        settings.https = self.https.or(settings.https);
        settings.tls_certificate = self.tls_certificate.or(settings.tls_certificate);
        settings.tls_key = self.tls_key.or(settings.tls_key);
        settings.admin = self.admin.unwrap_or(settings.admin);
        settings.declarative = self.declarative.or(settings.declarative);
        settings.config_token_file = self.config_token_file.or(settings.config_token_file);
        settings.check()?;
        Ok(settings)
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => flags.settings().and_then(serve),
        Command::CheckConfig { flags, report } => flags
            .settings()
            .and_then(|settings| if report { migration(&settings) } else { check_config(settings) }),
        Command::Check(flags) => flags.settings().and_then(check),
        Command::CheckStore { folder } => match soundness::read_all(&folder, StoreOptions::default()) {
            Err(error) if error.says_unusable() => {
                eprintln!("dataplane: {error}");
                return ExitCode::from(soundness::UNUSABLE);
            }
            read => read.context("the store"),
        },
        Command::Settings => {
            print!("{}", settings::reference::markdown::<Settings>("dataplane"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dataplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How nice the threads are that take in changes, to those that serve requests.
const NICENESS: i32 = 5;

fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().on_thread_start(come_behind_requests);
    threads.build().context("cannot start threads")?.block_on(run(settings))
}

/// Where they share a core, a change takes a little longer, and requests do not wait for it. The threads of the proxy are started by the
/// main thread, which is none of these.
fn come_behind_requests() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    // Fails when a provider is installed already: then it is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _telemetry = telemetry::init("dataplane", &settings.telemetry, telemetry::Unexported::Nothing)?;
    let metrics = telemetry::install_metrics()?;
    let drain = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = drain.clone();
    tokio::spawn(async move {
        let mut next = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        next().await;
        signalled.cancel();
        next().await;
        tracing::warn!("a second signal: what is left is cut off");
        std::process::exit(1);
    });
    gateway::run(settings, metrics, Seams::system(), drain).await
}

fn check(settings: Settings) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let failed =
        runtime.block_on(check::run(&settings, &Seams::system(), &mut |finding| println!("{finding}")));
    anyhow::ensure!(failed == 0, "{failed} of these keep the gateway from being ready");
    Ok(())
}

/// What becomes of a file that was written for another gateway.
fn migration(settings: &Settings) -> anyhow::Result<()> {
    let path = settings.declarative.as_deref().context("--report: name the file by --declarative")?;
    let document = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let report = declarative::report::Report::of(&document);
    println!("{report}");
    anyhow::ensure!(report.is_clean(), "{}: not everything is served", path.display());
    Ok(())
}

fn check_config(settings: Settings) -> anyhow::Result<()> {
    if let Some((certificate, key)) = settings.tls()? {
        dataplane::proxy::check_certificate(&certificate, &key)?;
    }
    if let Some(path) = &settings.config_token_file {
        declarative::http::TokenFile::open(path)?;
    }
    if let Some(path) = &settings.declarative {
        let document = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let entities = declarative::check(&document).with_context(|| path.display().to_string())?;
        println!("{}: {entities} entities", path.display());
    }
    println!("the settings are valid");
    Ok(())
}

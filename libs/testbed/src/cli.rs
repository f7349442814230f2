//! Command line of `landbridge-testbed`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{
    binaries,
    ca::Pair,
    folder::{self, is_empty_of_processes},
    leash::{self, LeashArguments},
    mail,
    status::Status,
    tour, up, upstream,
    wan::{self, control},
};

/// Where `./dev up` keeps its deployment, below the repository.
const DEFAULT_FOLDER: &str = ".dev/run";

/// Runs a whole Landbridge deployment on this machine, of real parts.
#[derive(Debug, Parser)]
#[command(name = "landbridge-testbed", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start regions with a data plane each, apply a gateway file and take the tour; runs until Ctrl-C.
    Up {
        #[command(flatten)]
        folder: FolderArgument,
        #[command(flatten)]
        arguments: up::UpArguments,
    },
    /// Stop the deployment.
    Down {
        #[command(flatten)]
        folder: FolderArgument,
    },
    /// Show the running deployment's addresses, token and folders.
    Status {
        #[command(flatten)]
        folder: FolderArgument,
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// Take the tour again on the running deployment.
    Tour {
        #[command(flatten)]
        folder: FolderArgument,
        /// The gateway file to apply; the shop's when absent.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Show or change the network between the regions.
    Wan {
        #[command(flatten)]
        folder: FolderArgument,
        #[command(subcommand)]
        command: WanCommand,
    },
    /// Run an upstream that answers with what it received.
    Echo {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Run a mail server that keeps what it is sent as files.
    Mail {
        #[arg(long)]
        listen: SocketAddr,
        /// PEM file with the certificate that it shows.
        #[arg(long)]
        certificate: PathBuf,
        /// PEM file with its private key.
        #[arg(long)]
        key: PathBuf,
        /// Where mails are kept.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Run a program that ends when standard input does. Used by the testbed itself.
    #[command(hide = true)]
    Leash(LeashArguments),
    /// Remove a folder when standard input has ended and nothing runs in it. Used by the testbed itself.
    #[command(hide = true)]
    Sweep { folder: PathBuf },
}

#[derive(Debug, Subcommand)]
enum WanCommand {
    /// Show every direction: delay, cuts, what is under way.
    Status,
    /// Set the one-way delay of every direction.
    Delay { milliseconds: u64 },
    /// Cut the link between two regions. Nothing is lost: it is held until the link is healed.
    Cut {
        #[command(flatten)]
        link: LinkArguments,
    },
    /// Heal the link between two regions.
    Heal {
        #[command(flatten)]
        link: LinkArguments,
    },
}

#[derive(Debug, clap::Args)]
struct LinkArguments {
    a: String,
    b: String,
    /// Only what A sends to B.
    #[arg(long)]
    one_way: bool,
}

impl From<WanCommand> for control::Command {
    fn from(command: WanCommand) -> Self {
        match command {
            WanCommand::Status => Self::Status,
            WanCommand::Delay { milliseconds } => Self::Delay { milliseconds },
            WanCommand::Cut { link: LinkArguments { a, b, one_way } } => Self::Cut { a, b, one_way },
            WanCommand::Heal { link: LinkArguments { a, b, one_way } } => Self::Heal { a, b, one_way },
        }
    }
}

#[derive(Debug, clap::Args)]
struct FolderArgument {
    /// The deployment's folder; `.dev/run` in the repository when absent.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
}

impl FolderArgument {
    fn path(&self) -> anyhow::Result<PathBuf> {
        match &self.folder {
            Some(folder) => Ok(folder.clone()),
            None => Ok(binaries::repository()
                .context("not in the repository: say --folder")?
                .join(DEFAULT_FOLDER)),
        }
    }
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("landbridge-testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up { folder, arguments } => block_on(up::up(&folder.path()?, arguments)),
        Command::Down { folder } => block_on(up::down(&folder.path()?)),
        Command::Status { folder, json } => print_status(&folder.path()?, json),
        Command::Tour { folder, config } => {
            let status = running(&folder.path()?)?;
            block_on(tour::again(&status, config.as_deref()))
        }
        Command::Wan { folder, command } => block_on(print_wan(&folder.path()?, command.into())),
        Command::Echo { listen } => block_on(upstream::serve(listen)),
        Command::Mail { listen, certificate, key, folder } => {
            block_on(mail::serve(listen, &Pair { certificate, key }, &folder))
        }
        Command::Leash(arguments) => block_on(leash::run(arguments)),
        Command::Sweep { folder } => folder::sweep(&folder),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

fn print_status(folder: &Path, json: bool) -> anyhow::Result<()> {
    let status = running(folder)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", status.describe());
    }
    Ok(())
}

async fn print_wan(folder: &Path, command: control::Command) -> anyhow::Result<()> {
    require_running(folder)?;
    print!("{}", wan::describe(&control::ask(folder, &command).await?));
    Ok(())
}

/// The status of the deployment that runs in `folder`.
fn running(folder: &Path) -> anyhow::Result<Status> {
    require_running(folder)?;
    Status::read(folder)?.with_context(|| format!("the deployment in {} is still starting", folder.display()))
}

fn require_running(folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!is_empty_of_processes(folder)?, "no deployment runs in {}: ./dev up", folder.display());
    Ok(())
}

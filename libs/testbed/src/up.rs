//! `up` and `down`: a region that stays until it is told to stop.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, setsid};
use tokio::signal::unix::{self, SignalKind};

use crate::{
    dataplane::{self, Gateway},
    folder,
    process::Process,
    region::{Infrastructure, Options, Place, Region},
    service::Service,
    status::{ControlPlane, Status},
    tour, wait,
};

/// Name of the control plane and of the data plane that `up` makes.
const NAME: &str = "shop";
/// What the kernel calls this program: at most fifteen bytes of its name.
const PROGRAM_NAME: &str = "landbridge-test";
/// Pause between two looks at whether every part still runs.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time from `up --detach` to readiness, the tour included.
const DETACHED_READY_DEADLINE: Duration = Duration::from_secs(600);

/// Command line of `landbridge-testbed up`.
#[derive(Clone, Debug, clap::Args)]
pub struct UpArguments {
    /// The gateway file to apply, in decK's format; the shop's example when absent.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Return when the region is ready, and leave it running.
    #[arg(long)]
    pub detach: bool,
    /// Only Postgres and NATS, with every service's settings, to run a service by hand.
    #[arg(long, conflicts_with = "config")]
    pub infrastructure: bool,
    /// Run in a session of its own, apart from the terminal. Set by --detach.
    #[arg(long, hide = true)]
    pub own_session: bool,
}

/// Starts a region in `folder`, which is emptied first, and keeps it running until a signal.
pub async fn up(folder: &Path, arguments: UpArguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        folder::is_empty_of_processes(folder)?,
        "a region runs in {} already: see ./dev status, or stop it with ./dev down",
        folder.display()
    );
    if let Some(config) = &arguments.config {
        fs::metadata(config).with_context(|| format!("read {}", config.display()))?;
    }
    if arguments.detach {
        return up_detached(folder, &arguments).await;
    }
    if arguments.own_session {
        setsid().context("leave the terminal's session")?;
    }
    let mut stop = StopSignals::listen()?;
    let running = tokio::select! {
        running = Running::start(folder, &arguments) => running?,
        // Dropping the start lets go of every leash, which stops what has been started.
        name = stop.next() => {
            println!("\n{name}: stopping.");
            return Ok(());
        }
    };
    let name = running.watch(&mut stop).await;
    println!("\n{name}: stopping.");
    running.stop().await
}

/// Stops the region in `folder` and returns when nothing of it runs any more.
pub async fn down(folder: &Path) -> anyhow::Result<()> {
    if folder::is_empty_of_processes(folder)? {
        println!("No region runs in {}.", folder.display());
        return Ok(());
    }
    let pid = folder::testbed_pid(folder)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // Otherwise it has died already, and the leashes are at work.
    if name.trim_end() == PROGRAM_NAME {
        let pid = Pid::from_raw(pid).context("the process id is zero")?;
        kill_process(pid, Signal::TERM).context("stop the region")?;
    }
    folder::until_empty_of_processes(folder).await?;
    println!("Stopped. Logs and data stay in {} until the next start.", folder.display());
    Ok(())
}

/// What `up` keeps running.
enum Running {
    Infrastructure(Box<Infrastructure>),
    Region(Box<(Region, Gateway)>),
}

impl Running {
    async fn start(folder: &Path, arguments: &UpArguments) -> anyhow::Result<Self> {
        let options = Options {
            place: Place::At(folder.to_owned()),
            report: Box::new(|what, took| println!("{:>8.1} s  {what}", took.as_secs_f32())),
            ..Options::temporary()?
        };
        println!("Starting region {} in {}", options.region, folder.display());
        let (running, status) = if arguments.infrastructure {
            let infrastructure = Infrastructure::start(&options).await?;
            let status = Status::of_infrastructure(&infrastructure);
            (Self::Infrastructure(Box::new(infrastructure)), status)
        } else {
            let region = Region::start(&options).await?;
            let (gateway, status) = take_the_tour(&region, &options, arguments.config.as_deref()).await?;
            (Self::Region(Box::new((region, gateway))), status)
        };
        print!("\n{}", status.describe());
        if !arguments.own_session {
            println!("\nCtrl-C stops the region.");
        }
        // Last of all: whoever waits for this file has seen everything when it is there.
        std::io::stdout().flush()?;
        status.write()?;
        Ok(running)
    }

    fn processes(&self) -> Vec<&Process> {
        match self {
            Self::Infrastructure(parts) => vec![parts.nats.process(), parts.postgres.process()],
            Self::Region(parts) => parts.0.all_processes().chain([parts.1.process()]).collect(),
        }
    }

    /// Returns the name of the signal that ends the watch; tells of every part that ends before.
    async fn watch(&self, stop: &mut StopSignals) -> &'static str {
        let mut looks = tokio::time::interval(WATCH_INTERVAL);
        let mut told: Vec<&str> = Vec::new();
        loop {
            tokio::select! {
                name = stop.next() => return name,
                _ = looks.tick() => {}
            }
            for process in self.processes() {
                if !process.is_running() && !told.contains(&process.name()) {
                    println!("{}", process.failure("has ended by itself"));
                    told.push(process.name());
                }
            }
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Infrastructure(infrastructure) => infrastructure.stop().await,
            Self::Region(parts) => {
                let (region, gateway) = *parts;
                gateway.process().stop().await?;
                drop(gateway);
                region.stop().await
            }
        }
    }
}

/// Makes a control plane and a data plane, and takes the tour with them.
async fn take_the_tour(
    region: &Region,
    options: &Options,
    config: Option<&Path>,
) -> anyhow::Result<(Gateway, Status)> {
    let started = std::time::Instant::now();
    let api = region.api(Service::Config);
    let control_plane = dataplane::create_control_plane(&api, NAME).await?;
    let gateway = Gateway::enrol(region, &control_plane, NAME).await?;
    gateway.until_ready().await?;
    (options.report)("Data plane enrolled and ready", started.elapsed());

    let planes = vec![ControlPlane { id: control_plane, name: NAME.to_owned() }];
    let status = Status::of_region(region, planes, &[&gateway]);
    tour::again(&status, config).await?;
    Ok((gateway, status))
}

/// Starts `up` as a process of its own, shows its output until the region is ready, and leaves it running.
async fn up_detached(folder: &Path, arguments: &UpArguments) -> anyhow::Result<()> {
    let log = folder.with_extension("log");
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    let output = File::create(&log).with_context(|| format!("open {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["up", "--own-session", "--folder"]).arg(folder);
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(config);
    }
    if arguments.infrastructure {
        command.arg("--infrastructure");
    }
    let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    follow_until_ready(child, folder, File::open(&log)?).await?;
    println!(
        "\nThe region runs in the background; its output goes to {}. ./dev down stops it.",
        log.display()
    );
    Ok(())
}

async fn follow_until_ready(mut child: Child, folder: &Path, mut log: File) -> anyhow::Result<()> {
    let ready = wait::until("the region becomes ready", DETACHED_READY_DEADLINE, async || {
        let ended = child.try_wait().map_err(|error| error.to_string())?;
        let status = Status::read(folder).map_err(|error| format!("{error:#}"))?;
        // After the looks at the child: nothing that it wrote before them is left out.
        copy_to_stdout(&mut log).map_err(|error| error.to_string())?;
        match (ended, status) {
            (Some(exit), _) => Ok(Err(exit)),
            (None, Some(status)) if status.pid == child.id() => Ok(Ok(())),
            (None, _) => Err("it is still starting".to_owned()),
        }
    });
    ready.await?.map_err(|exit| anyhow::anyhow!("the region did not start ({exit})"))
}

fn copy_to_stdout(log: &mut File) -> anyhow::Result<()> {
    let mut new = Vec::new();
    log.read_to_end(&mut new)?;
    let mut stdout = std::io::stdout();
    stdout.write_all(&new)?;
    Ok(stdout.flush()?)
}

/// The signals that end `up`.
struct StopSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Interrupted",
            _ = self.terminate.recv() => "Told to stop",
            _ = self.hangup.recv() => "The terminal is gone",
        }
    }
}

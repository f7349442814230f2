//! `up` and `down`: a deployment that stays until it is told to stop.

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
    Deployment, Options, Place, Region,
    dataplane::{self, Gateway},
    deployment::Infrastructures,
    folder::{self, private_file},
    process::Process,
    status::{ControlPlane, Status},
    tour, wait,
};

/// Name of the control plane and of the data plane that `up` makes in a region.
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
    /// The regions, separated by commas. The first is the organization's home.
    #[arg(long, value_delimiter = ',', default_value = "us,eu")]
    pub regions: Vec<ids::Region>,
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

/// Starts a deployment in `folder`, which is emptied first, and keeps it running until a signal.
pub async fn up(folder: &Path, arguments: UpArguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        folder::is_empty_of_processes(folder)?,
        "a deployment runs in {} already: see ./dev status, or stop it with ./dev down",
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

/// Stops the deployment in `folder` and returns when nothing of it runs any more.
pub async fn down(folder: &Path) -> anyhow::Result<()> {
    if folder::is_empty_of_processes(folder)? {
        println!("No deployment runs in {}.", folder.display());
        return Ok(());
    }
    let pid = folder::testbed_pid(folder)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // Otherwise it has died already, and the leashes are at work.
    if name.trim_end() == PROGRAM_NAME {
        let pid = Pid::from_raw(pid).context("the process id is zero")?;
        kill_process(pid, Signal::TERM).context("stop the deployment")?;
    }
    folder::until_empty_of_processes(folder).await?;
    println!("Stopped. Logs and data stay in {} until the next start.", folder.display());
    Ok(())
}

/// What `up` keeps running.
enum Running {
    Infrastructures(Box<Infrastructures>),
    Deployment(Box<(Vec<Gateway>, Deployment)>),
}

impl Running {
    async fn start(folder: &Path, arguments: &UpArguments) -> anyhow::Result<Self> {
        let options = Options {
            regions: arguments.regions.clone(),
            place: Place::At(folder.to_owned()),
            report: Box::new(|what, took| println!("{:>8.1} s  {what}", took.as_secs_f32())),
            ..Options::temporary()?
        };
        let names: Vec<_> = options.regions.iter().map(ids::Region::as_str).collect();
        println!("Starting {} in {}", names.join(", "), folder.display());
        let (running, status) = if arguments.infrastructure {
            let infrastructures = Infrastructures::start(&options).await?;
            let status = Status::of_infrastructures(&infrastructures);
            (Self::Infrastructures(Box::new(infrastructures)), status)
        } else {
            let deployment = Deployment::start(&options).await?;
            let (gateways, status) =
                take_the_tour(&deployment, &options, arguments.config.as_deref()).await?;
            (Self::Deployment(Box::new((gateways, deployment))), status)
        };
        print!("\n{}", status.describe());
        if !arguments.own_session {
            println!("\nCtrl-C stops the deployment.");
        }
        // Last of all: whoever waits for this file has seen everything when it is there.
        std::io::stdout().flush()?;
        status.write()?;
        Ok(running)
    }

    /// Every process with the region that it belongs to.
    fn processes(&self) -> Vec<(&str, &Process)> {
        match self {
            Self::Infrastructures(infrastructures) => infrastructures
                .regions()
                .iter()
                .flat_map(|parts| {
                    [parts.nats.process(), parts.postgres.process()].map(|part| (parts.region.as_str(), part))
                })
                .collect(),
            Self::Deployment(parts) => {
                let (gateways, deployment) = &**parts;
                let regions = deployment.regions().iter();
                regions
                    .flat_map(|region| region.all_processes().map(|process| (region.name(), process)))
                    .chain(gateways.iter().map(|gateway| ("gateway", gateway.process())))
                    .collect()
            }
        }
    }

    /// Returns the name of the signal that ends the watch; tells of every part that ends before.
    async fn watch(&self, stop: &mut StopSignals) -> &'static str {
        let mut looks = pace::ticks(WATCH_INTERVAL);
        let mut told: Vec<(&str, &str)> = Vec::new();
        loop {
            tokio::select! {
                name = stop.next() => return name,
                _ = looks.tick() => {}
            }
            for (region, process) in self.processes() {
                let name = (region, process.name());
                if !process.is_running() && !told.contains(&name) {
                    println!("{region}: {}", process.failure("has ended by itself"));
                    told.push(name);
                }
            }
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Infrastructures(infrastructures) => infrastructures.stop().await,
            Self::Deployment(parts) => {
                let (gateways, deployment) = *parts;
                for gateway in &gateways {
                    gateway.process().stop().await?;
                }
                drop(gateways);
                deployment.stop().await
            }
        }
    }
}

/// Takes the tour of the first region and of the first two together, with a control plane and a data plane in each; a third
/// region gets them too.
async fn take_the_tour(
    deployment: &Deployment,
    options: &Options,
    config: Option<&Path>,
) -> anyhow::Result<(Vec<Gateway>, Status)> {
    let mut status = Status::of(deployment)?;
    let mut gateways = Vec::new();
    for (place, region) in deployment.regions().iter().enumerate() {
        let gateway = if place == 1 {
            let enrol = async |control_plane: &str, command: &str| {
                Gateway::start(region, control_plane, NAME, command).await
            };
            tour::of_two_regions(&status, enrol).await?
        } else {
            enrol(region, options).await?
        };
        let plane = ControlPlane { id: gateway.control_plane().to_owned(), name: NAME.to_owned() };
        status.regions.iter_mut().skip(place).take(1).for_each(|of| of.add(plane.clone(), &gateway));
        gateways.push(gateway);
        if place == 0 {
            tour::of_one_region(&status, config).await?;
        }
    }
    Ok((gateways, status))
}

/// Makes a control plane and a data plane, as the owner of the organization.
async fn enrol(region: &Region, options: &Options) -> anyhow::Result<Gateway> {
    let started = std::time::Instant::now();
    let control_plane = dataplane::create_control_plane(&region.edge_api(), NAME).await?;
    let gateway = Gateway::enrol(region, &control_plane, NAME).await?;
    gateway.until_ready().await?;
    (options.report)(&format!("{}: Data plane enrolled and ready", region.name()), started.elapsed());
    Ok(gateway)
}

/// Starts `up` as a process of its own, shows its output until the deployment is ready, and leaves it running.
async fn up_detached(folder: &Path, arguments: &UpArguments) -> anyhow::Result<()> {
    let log = folder.with_extension("log");
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    let output = private_file(&log, File::options().write(true).truncate(true))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["up", "--own-session", "--folder"]).arg(folder);
    let regions: Vec<_> = arguments.regions.iter().map(ids::Region::as_str).collect();
    command.arg("--regions").arg(regions.join(","));
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(config);
    }
    if arguments.infrastructure {
        command.arg("--infrastructure");
    }
    let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    follow_until_ready(child, folder, File::open(&log)?).await?;
    println!(
        "\nThe deployment runs in the background; its output goes to {}. ./dev down stops it.",
        log.display()
    );
    Ok(())
}

async fn follow_until_ready(mut child: Child, folder: &Path, mut log: File) -> anyhow::Result<()> {
    let ready = wait::until("the deployment becomes ready", DETACHED_READY_DEADLINE, async || {
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
    ready.await?.map_err(|exit| anyhow::anyhow!("the deployment did not start ({exit})"))
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

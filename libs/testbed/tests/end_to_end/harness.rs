//! What the tests share: one runtime, so that connections and parts outlive the test that made them; a region, two regions,
//! and three; and waiting.

use std::{
    fs,
    ops::Deref,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use testbed::{Deployment, Options, Region, folder::Folder, wait};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, MutexGuard, OnceCell},
};

/// Longest wait for something that happens at once on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// What is shared, or why it did not start: what cannot start fails every test at once.
type Shared<T> = OnceCell<Result<T, String>>;

static SHARED: Shared<Region> = OnceCell::const_new();
static SHARED_TWO: Shared<Deployment> = OnceCell::const_new();
static SHARED_THREE: Shared<Deployment> = OnceCell::const_new();

/// Runs one test on the shared runtime. When it fails, the folders of what is shared stay, with their logs.
pub fn run(test: impl Future<Output = anyhow::Result<()>>) {
    let _keep = KeepOnPanic;
    if let Err(error) = RUNTIME.block_on(test) {
        panic!("{error:?}");
    }
}

struct KeepOnPanic;

impl Drop for KeepOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let region = SHARED.get().and_then(|shared| shared.as_ref().ok()).map(Region::folder);
            let deployments = [&SHARED_TWO, &SHARED_THREE]
                .map(|shared| shared.get().and_then(|shared| shared.as_ref().ok()).map(Deployment::folder));
            deployments.into_iter().chain([region]).flatten().for_each(keep);
        }
    }
}

fn keep(folder: &Folder) {
    if folder.keep().is_ok() {
        eprintln!("a shared folder stays: {}", folder.path().display());
    }
}

/// The region that all tests share which kill none of its services.
pub async fn shared() -> anyhow::Result<&'static Region> {
    let start = async || Region::start(&two_configs(Options::temporary()?)).await;
    once(&SHARED, start).await
}

/// The regions `us` and `eu`, for one test at a time which kills none of their services.
pub async fn shared_two() -> anyhow::Result<Borrowed> {
    static IN_USE: Mutex<()> = Mutex::const_new(());
    let start = async || Deployment::start(&two_configs(Options::of_regions(&["us", "eu"])?)).await;
    Ok(Borrowed { _only_user: IN_USE.lock().await, deployment: once(&SHARED_TWO, start).await? })
}

/// The regions `us`, `eu` and `ap`, for one test at a time which kills none of their services.
pub async fn shared_three() -> anyhow::Result<Borrowed> {
    static IN_USE: Mutex<()> = Mutex::const_new(());
    let start = async || Deployment::start(&Options::of_regions(&["us", "eu", "ap"])?).await;
    Ok(Borrowed { _only_user: IN_USE.lock().await, deployment: once(&SHARED_THREE, start).await? })
}

/// A shared deployment for one test. The next one finds its links healed.
pub struct Borrowed {
    deployment: &'static Deployment,
    _only_user: MutexGuard<'static, ()>,
}

impl Deref for Borrowed {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        self.deployment
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let wan = self.deployment.wan();
        for status in wan.status() {
            // The names are the network's own.
            let _ = wan.heal_one_way(&status.from, &status.to);
        }
    }
}

async fn once<T>(
    shared: &'static Shared<T>,
    start: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<&'static T> {
    let started = shared.get_or_init(async || start().await.map_err(|error| format!("{error:#}"))).await;
    started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs `test` on a deployment of its own with these regions. Its folder stays when the test fails.
pub fn run_regions(names: &[&str], test: impl AsyncFnOnce(&Deployment) -> anyhow::Result<()>) {
    run(async {
        let deployment = Deployment::start(&Options::of_regions(names)?).await?;
        let outcome = test(&deployment).await;
        if outcome.is_err() {
            deployment.folder().keep()?;
            let path = deployment.folder().path().display().to_string();
            return outcome.with_context(|| format!("the deployment's folder stays: {path}"));
        }
        deployment.stop().await
    });
}

/// With two processes of config in each region, behind one address: so production runs it.
fn two_configs(options: Options) -> Options {
    Options { two_configs: true, ..options }
}

/// Runs `test` on a region of its own with two processes of config.
pub fn run_replicas(test: impl AsyncFnOnce(&Region) -> anyhow::Result<()>) {
    run(async { with_region(&two_configs(Options::temporary()?), test).await });
}

/// Runs `test` on a region of its own. The region's folder stays when the test fails.
pub fn run_alone(test: impl AsyncFnOnce(&Region) -> anyhow::Result<()>) {
    run(async { with_region(&Options::temporary()?, test).await });
}

/// The same within a test that runs already.
pub async fn with_region(
    options: &Options,
    test: impl AsyncFnOnce(&Region) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let region = Region::start(options).await?;
    let outcome = test(&region).await;
    if outcome.is_err() {
        region.folder().keep()?;
        let path = region.folder().path().display().to_string();
        return outcome.with_context(|| format!("the region's folder stays: {path}"));
    }
    region.stop().await
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Waits until a process is gone; a zombie counts as gone.
pub async fn until_gone(pid: u32) -> anyhow::Result<()> {
    wait::until(&format!("process {pid} is gone"), SOON, async || {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        }
    })
    .await
}

//! What the tests share: one runtime, so that connections and parts outlive the test that made them; one region; and
//! waiting.

use std::{
    fs,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use testbed::{Options, Region, wait};
use tokio::{runtime::Runtime, sync::OnceCell};

/// Longest wait for something that happens at once on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The shared region, or why it did not start: a region that cannot start fails every test at once.
static SHARED: OnceCell<Result<Region, String>> = OnceCell::const_new();

/// Runs one test on the shared runtime. When it fails, the shared region's folder stays, with its logs.
pub fn run(test: impl Future<Output = anyhow::Result<()>>) {
    let _keep = KeepOnPanic;
    if let Err(error) = RUNTIME.block_on(test) {
        panic!("{error:?}");
    }
}

struct KeepOnPanic;

impl Drop for KeepOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(Ok(region)) = SHARED.get()
            && region.folder().keep().is_ok()
        {
            eprintln!("the shared region's folder stays: {}", region.folder().path().display());
        }
    }
}

/// The region that all tests share which kill none of its services.
pub async fn shared() -> anyhow::Result<&'static Region> {
    let start = async || {
        let options = Options::temporary().map_err(|error| format!("{error:#}"))?;
        Region::start(&options).await.map_err(|error| format!("{error:#}"))
    };
    SHARED.get_or_init(start).await.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs `test` on a region of its own. The region's folder stays when the test fails.
pub fn run_alone(test: impl AsyncFnOnce(&Region) -> anyhow::Result<()>) {
    run(async {
        let region = Region::start(&Options::temporary()?).await?;
        let outcome = test(&region).await;
        if outcome.is_err() {
            region.folder().keep()?;
            let path = region.folder().path().display().to_string();
            return outcome.with_context(|| format!("the region's folder stays: {path}"));
        }
        region.stop().await
    });
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

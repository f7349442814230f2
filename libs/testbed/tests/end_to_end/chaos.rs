//! Chaos: services are killed at random while something else goes on, and started again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use random::Random;
use testbed::{Deployment, ServiceName};

/// Longest pause between a service that is ready again and the next kill.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs `work` while services of all regions are killed by SIGKILL, one at a time, and started again. When `work` is done,
/// all services are ready. Prints its seed: the order of kills follows from it, their moments do not.
pub async fn during<T>(
    deployment: &Deployment,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let seed = Random::system().number();
    println!("chaos with seed {seed}");
    let is_done = AtomicBool::new(false);
    let work = async {
        let outcome = work.await;
        is_done.store(true, Ordering::Relaxed);
        outcome
    };
    // Not a select: a service that was killed is to be started again, whatever has become of the work.
    let (outcome, killed) = tokio::join!(work, kill_until(deployment, seed, &is_done));
    println!("{} kills", killed?);
    outcome
}

async fn kill_until(deployment: &Deployment, seed: u64, is_done: &AtomicBool) -> anyhow::Result<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kills = 0;
    while !is_done.load(Ordering::Relaxed) {
        let Some(region) = deployment.regions().choose(&mut random) else { break };
        let Some(service) = ServiceName::ALL.choose(&mut random) else { break };
        region.process(*service).kill().await?;
        region.start_again(*service).await?;
        kills += 1;
        tokio::time::sleep(random.random_range(Duration::ZERO..=PAUSE_MAX)).await;
    }
    Ok(kills)
}

//! What happens, and in which order: drawn from a seed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    checker::Violation,
    network::Way,
    world::{REPLICAS, World},
};

/// Gateways of a control plane, unless somebody wants more.
pub const GATEWAYS: usize = 3;
/// Steps of trouble.
const STEPS: usize = 150;
/// How far a clock may jump, in seconds.
const SKEW: i64 = 40;

/// What went wrong, and how to see it again.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    pub trace: String,
}

/// How often things happened: a simulation in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub struct Seen {
    pub schedules: usize,
    pub kills: usize,
    pub restores: usize,
    pub cuts: usize,
    pub harms: usize,
    pub writes: usize,
    pub documents: usize,
    pub revocations: usize,
    pub deltas: usize,
    pub snapshots: usize,
    pub pages: usize,
}

/// Runs the schedule of `seed` with so many gateways. `breaks` changes the world first, for tests of the checker.
pub fn run(
    (seed, gateways): (u64, usize),
    seen: &mut Seen,
    breaks: impl FnOnce(&mut World),
) -> Result<(), Failure> {
    /// Whether anything moves is seen by the threads of the process.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    println!("LANDBRIDGE_SIMULATION_SEED={seed}");
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        // Simulated time would pass by itself whenever all wait, for Postgres say; but not while something blocks.
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let blocking = spawn_blocking(move || wait.recv().is_ok());
        let mut world = World::new(seed, gateways).await;
        breaks(&mut world);
        let mut schedule = Schedule { rng: StdRng::seed_from_u64(seed), seen };
        let ran = schedule.run(&mut world).await;
        drop(end);
        blocking.await.expect("ended");
        ran.map_err(|violation| Failure { seed, violation, trace: world.trace() })
    })
}

struct Schedule<'a> {
    rng: StdRng,
    seen: &'a mut Seen,
}

impl Schedule<'_> {
    async fn run(&mut self, world: &mut World) -> Result<(), Violation> {
        self.seen.schedules += 1;
        for step in 0..STEPS {
            world.note(format!("step {step}"));
            self.step(world).await;
            world.settle().await;
            world.check().await?;
        }
        let healed = world.heal().await;
        self.seen.count(world);
        healed
    }

    async fn step(&mut self, world: &mut World) {
        match self.rng.random_range(0..100) {
            0..35 => self.deliver_some(world).await,
            35..45 => {
                let node = self.rng.random_range(0..world.nodes.len());
                world.note(format!("  all of node {node} is delivered"));
                world.deliver_all(|other| other == node).await;
            }
            45..63 => self.write(world).await,
            63..73 => self.pass(world).await,
            73..78 => {
                let replica = self.replica();
                world.note(format!("  a hint for replica {replica}"));
                world.hint(replica).await;
            }
            78..84 => self.cut(world),
            84..91 => self.node(world).await,
            91..95 => self.end_or_start_replica(world).await,
            95 => self.skew(world),
            96 | 97 => {
                let replica = self.replica();
                world.note(format!("  replica {replica} sweeps"));
                world.sweep(replica).await;
            }
            _ => self.database(world).await,
        }
    }

    fn replica(&mut self) -> usize {
        self.rng.random_range(0..REPLICAS)
    }

    async fn deliver_some(&mut self, world: &mut World) {
        for _ in 0..self.rng.random_range(1..=4) {
            let waiting = world.network.waiting();
            let Some((link, way)) = waiting.choose(&mut self.rng).copied() else { return };
            world.note(format!("  a message of stream {link} {way:?}"));
            world.network.deliver(link, way);
            world.settle().await;
        }
    }

    async fn write(&mut self, world: &mut World) {
        let replica = self.replica();
        let kind = self.rng.random_range(0..10);
        self.seen.writes += 1;
        let write = world.writes.draw(&mut self.rng, &world.model, &mut world.asked);
        match kind {
            0..6 => world.write(replica, write).await,
            6 | 7 => {
                self.seen.documents += 1;
                let document = world.writes.document(&mut self.rng, &world.model, &mut world.asked);
                world.write(replica, document).await;
            }
            8 => {
                let other = match self.rng.random() {
                    true => world.writes.document(&mut self.rng, &world.model, &mut world.asked),
                    false => world.writes.draw(&mut self.rng, &world.model, &mut world.asked),
                };
                if write.is_apart_from(&other) {
                    world.write_both(other, write).await;
                }
            }
            _ => world.write_in_a_restart(replica, write).await,
        }
    }

    async fn pass(&mut self, world: &mut World) {
        let milliseconds = *[10, 260, 260, 1_000, 6_000, 31_000].choose(&mut self.rng).expect("some");
        world.note(format!("  {milliseconds} ms pass"));
        world.pass(Duration::from_millis(milliseconds)).await;
        if milliseconds > 10_000 {
            // Whoever has a stream to nobody has noticed.
            world.network.cut_half_open();
        }
    }

    fn cut(&mut self, world: &mut World) {
        let open = world.network.open();
        let Some((link, node, _)) = open.choose(&mut self.rng) else { return };
        self.seen.cuts += 1;
        let kind = self.rng.random_range(0..3);
        world.note(format!("  stream {link} of node {node} is cut ({kind})"));
        match kind {
            0 => world.network.cut(*link),
            1 => world.network.cut_for(*link, Way::ToNode),
            _ => world.network.cut_for(*link, Way::ToPlane),
        }
    }

    async fn node(&mut self, world: &mut World) {
        let number = self.rng.random_range(0..world.nodes.len());
        if world.nodes[number].process.is_none() {
            let little_room = self.rng.random_range(0..4) == 0;
            world.note(format!("  node {number} starts, with little room: {little_room}"));
            return world.start_node(number, little_room).await;
        }
        let kind = self.rng.random_range(0..8);
        world.note(format!("  node {number} ends ({kind})"));
        self.seen.kills += 1;
        match kind {
            0 => world.stop_node(number).await,
            1 | 2 => {
                // In the middle of what it was sent last.
                for (link, way) in world.network.waiting() {
                    let is_its =
                        world.network.open().iter().any(|(id, node, _)| *id == link && *node == number);
                    if is_its && way == Way::ToNode {
                        world.network.deliver(link, way);
                    }
                }
                for _ in 0..self.rng.random_range(0..60) {
                    tokio::task::yield_now().await;
                }
                world.kill_node(number);
            }
            _ => world.kill_node(number),
        }
        match self.rng.random_range(0..12) {
            0 | 1 => {
                self.seen.harms += 1;
                world.note("  its store is damaged".to_owned());
                let rng = &mut self.rng;
                world.harm(number, |node| node.damage(rng));
            }
            2 => {
                self.seen.harms += 1;
                world.note("  its store is lost".to_owned());
                world.harm(number, |node| node.lose());
            }
            _ => {}
        }
        if self.rng.random() {
            world.settle().await;
            world.start_node(number, false).await;
        }
    }

    async fn end_or_start_replica(&mut self, world: &mut World) {
        let number = self.replica();
        if world.replicas[number].is_none() {
            world.note(format!("  replica {number} starts"));
            return world.start_replica(number);
        }
        let killed = self.rng.random();
        world.note(format!("  replica {number} ends, killed: {killed}"));
        self.seen.kills += 1;
        world.end_replica(number, killed).await;
    }

    fn skew(&mut self, world: &mut World) {
        let by = time::Duration::seconds(self.rng.random_range(-SKEW..=SKEW));
        let at = self.rng.random_range(0..world.nodes.len() + REPLICAS);
        world.note(format!("  clock {at} jumps by {by}"));
        world.jump(at, by);
    }

    async fn database(&mut self, world: &mut World) {
        match self.rng.random_range(0..4) {
            0 => {
                world.note("  Postgres is restarted".to_owned());
                world.restart_database().await;
            }
            1 | 2 => {
                world.note("  a backup is made".to_owned());
                world.back_up().await;
            }
            _ => {
                let untold = self.rng.random();
                world.note(format!("  the database is put back, untold: {untold}"));
                self.seen.restores += 1;
                world.restore(untold).await;
            }
        }
    }
}

impl Seen {
    fn count(&mut self, world: &World) {
        let counts = world.network.counts();
        let count = |what: &str| counts.get(what).copied().unwrap_or(0);
        self.revocations += count("revocation");
        self.deltas += count("delta");
        self.snapshots += count("snapshot");
        self.pages += count("page");
    }
}

//! All nodes of a control plane: when all of them are current, and how soon each has a change.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    archive::Held,
    changes::Change,
    identity::Identity,
    node::{Node, Plane},
};

/// Between two looks at the nodes. What they reached is noted when it happens: this adds nothing to any time.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Nodes that dial while [`Fleet::dial`] says so. Ends when dropped.
#[derive(Debug)]
pub struct Fleet {
    plane: Arc<Plane>,
    nodes: Vec<Arc<Node>>,
    /// They end with this.
    _running: JoinSet<()>,
}

impl Fleet {
    /// Nodes that hold `held`, and do not dial yet.
    pub fn start(plane: &Arc<Plane>, identities: &[Identity], held: Held) -> Self {
        plane.dials.send_replace(false);
        let nodes: Vec<_> =
            identities.iter().map(|identity| Node::new(plane.clone(), identity.clone(), held)).collect();
        let running = nodes.iter().cloned().map(Node::run).collect();
        Self { plane: plane.clone(), nodes, _running: running }
    }

    /// From now on nodes dial, as after a long stream has ended; or hang up.
    pub fn dial(&self, dials: bool) {
        self.settle();
        self.plane.dials.send_replace(dials);
    }

    /// What happened until now counts no more.
    pub fn settle(&self) {
        self.nodes.iter().for_each(|node| node.state().settle());
    }

    /// What the first of them holds.
    pub fn held(&self) -> Held {
        self.nodes.first().map(|node| node.state().held).unwrap_or_default()
    }

    /// Waits until every node has reached `version`, at `from` or later, and answers how long after `from` each did. An error if that takes
    /// longer than `deadline`, or if the plane has done something wrong.
    pub async fn until_current(
        &self,
        (version, from): (u64, Instant),
        deadline: Duration,
    ) -> anyhow::Result<Vec<Duration>> {
        loop {
            self.require_no_fault()?;
            let reached = self.nodes.iter().map(|node| node.state().reached(version, from));
            let reached: Vec<Duration> = reached.flatten().map(|at| at.duration_since(from)).collect();
            if reached.len() == self.nodes.len() {
                return Ok(reached);
            }
            ensure!(
                from.elapsed() < deadline,
                "{} of {} nodes hold version {version} after {} s; {}",
                reached.len(),
                self.nodes.len(),
                deadline.as_secs(),
                self.last_failure()
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// How long after its acknowledgement each change was there, at each node that was current by then: current means that it had reached
    /// `version` at `from` or later.
    pub fn propagation(
        &self,
        changes: &[Change],
        (version, from): (u64, Instant),
    ) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for node in &self.nodes {
            let state = node.state();
            let current = state.reached(version, from).context("a node that is not current")?;
            for change in changes.iter().filter(|change| current <= change.acknowledged) {
                let there = state.reached(change.version, from);
                let there = there.with_context(|| format!("a node lacks version {}", change.version))?;
                times.push(there.saturating_duration_since(change.acknowledged));
            }
        }
        Ok(times)
    }

    /// Dials since nodes began to, that led to no stream.
    pub fn failed_dials(&self) -> u32 {
        self.nodes.iter().map(|node| node.state().failed_dials).sum()
    }

    /// Whether all of them hold this.
    pub fn require(&self, digest: &str) -> anyhow::Result<()> {
        self.require_no_fault()?;
        let differs = self.nodes.iter().find(|node| node.state().held.digest.to_string() != digest);
        ensure!(differs.is_none(), "a node holds something else than its control plane");
        Ok(())
    }

    fn require_no_fault(&self) -> anyhow::Result<()> {
        let faults = self.plane.faults.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(faults.is_empty(), "{} faults of the plane; the first: {}", faults.len(), faults.join("; "));
        Ok(())
    }

    fn last_failure(&self) -> String {
        let failure = self.nodes.iter().find_map(|node| node.state().last_failure.clone());
        failure.map_or_else(|| "no dial has failed".to_owned(), |why| format!("one of them: {why}"))
    }
}

//! What is checked after each step, and in the end.

use std::time::Duration;

use super::{REPLICAS, World};
use crate::{
    checker::{Violation, check_accepts, check_node, check_registry, is_equal},
    node::Node,
    plane::{self, Model, Name, Plane},
};

/// Healing may take this many steps.
const HEALING_STEPS: usize = 400;
const HEALING_STEP: Duration = Duration::from_secs(2);

impl World {
    /// What must be true now.
    pub async fn check(&mut self) -> Result<Plane, Violation> {
        self.history.learn(&self.db).await;
        for acknowledged in self.network.acknowledged() {
            let up_to = self.history.denied_up_to(acknowledged.seq, acknowledged.id);
            let memory = &mut self.memories[acknowledged.node];
            memory.acknowledged(acknowledged.id, up_to, acknowledged.incarnation);
        }
        let plane = Plane::read(&self.db, self.control_plane).await;
        self.incarnation = plane.head.0;
        self.check_plane(&plane)?;
        for (node, memory) in self.nodes.iter().zip(&mut self.memories) {
            let Some(process) = &node.process else { continue };
            check_node((node.number, process, &node.clock), memory, &self.history, &self.asked)?;
        }
        if self.check_registry(&plane).is_err() {
            // A replica may be about to write what it was told: on a busy machine that is seen late.
            self.settle().await;
            self.check_registry(&Plane::read(&self.db, self.control_plane).await)?;
        }
        Ok(plane)
    }

    fn check_registry(&self, plane: &Plane) -> Result<(), Violation> {
        let quiet = self.nodes.iter().filter(|node| self.network.is_quiet(node.number));
        for (node, process) in quiet.filter_map(|node| Some((node, node.process.as_ref()?))) {
            check_registry(node.number, node.id.uuid(), process, plane)?;
        }
        Ok(())
    }

    fn check_plane(&mut self, plane: &Plane) -> Result<(), Violation> {
        if plane::digest(&plane.live) != plane.digest {
            return Err(Violation::OwnDigest);
        }
        for place in self.acknowledged.drain(..) {
            if !self.history.had_version(place) {
                return Err(Violation::NeverCommitted { place });
            }
        }
        let content = plane.content();
        for write in self.uncertain.drain(..) {
            let is_done = write.effects.iter().all(|(name, value)| content.get(name) == value.as_ref());
            if is_done {
                write.apply(&mut self.model);
            }
        }
        let gone: Vec<Name> =
            self.passing.iter().filter(|name| !content.contains_key(*name)).cloned().collect();
        for name in gone {
            self.model.remove(&name);
            if let Name::Consumer(username) = &name {
                self.model.retain(|name, of| !matches!(name, Name::Key(_)) || of != username);
            }
        }
        if content != self.model {
            let differs = |one: &Model, other: &Model| {
                let only = one.iter().filter(|(name, value)| other.get(name) != Some(value));
                format!("{:?}", only.collect::<Vec<_>>())
            };
            return Err(Violation::LostWrite {
                has: differs(&content, &self.model),
                acknowledged: differs(&self.model, &content),
            });
        }
        Ok(())
    }

    /// The faults stop. All become equal to the control plane, and serve what it has.
    pub async fn heal(&mut self) -> Result<(), Violation> {
        self.note("the faults stop".to_owned());
        for number in 0..REPLICAS {
            self.start_replica(number);
        }
        for number in 0..self.nodes.len() {
            self.kill_node(number);
            self.start_node(number, false).await;
        }
        for _ in 0..HEALING_STEPS {
            self.pass(HEALING_STEP).await;
            self.network.cut_half_open();
            self.sweep(0).await;
            self.settle().await;
            self.deliver_all(|_| true).await;
            let plane = self.check().await?;
            let equal = |node: &Node| {
                let process = node.process.as_ref();
                process.is_some_and(|process| is_equal(node.id.uuid(), process, &plane))
            };
            if self.nodes.iter().all(equal) {
                return self.check_end();
            }
        }
        let plane = Plane::read(&self.db, self.control_plane).await;
        let held = self.nodes.iter().map(|node| {
            let process = node.process.as_ref();
            let status = process.map(|process| process.applier.status().borrow().source.clone());
            format!("{:?} {status:?}", process.map(|process| process.position()))
        });
        let held = held.collect::<Vec<_>>();
        Err(Violation::NotEqual(format!(
            "{:?} {:?} and {held:?}, {:?}",
            plane.head, plane.digest, plane.nodes
        )))
    }

    fn check_end(&self) -> Result<(), Violation> {
        for (node, memory) in self.nodes.iter().zip(&self.memories) {
            let process = node.process.as_ref().expect("runs");
            check_accepts((node.number, process, &node.clock), memory, &self.asked)?;
        }
        Ok(())
    }
}

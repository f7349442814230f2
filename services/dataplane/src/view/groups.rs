//! Which groups each consumer is in.

use gateway_model::{ConsumerGroupMember, Entity, Kind, Target};
use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::{Change, scope::Blocked};

/// The memberships. Persistent.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Group and membership, by consumer. Two memberships may say the same, between the changes of one delta.
    of_consumer: OrdMap<Uuid, OrdSet<(Uuid, Uuid)>>,
    /// The consumer and the group of each membership.
    memberships: OrdMap<Uuid, (Uuid, Uuid)>,
    /// Memberships that cannot be read: nobody knows whose they are.
    unreadable: OrdSet<Uuid>,
}

impl Groups {
    /// Takes in a membership, or its deletion. An error says why it cannot be read.
    pub fn apply(&mut self, change: &Change) -> Result<(), String> {
        self.unreadable.remove(&change.id);
        if let Some((consumer, group)) = self.memberships.remove(&change.id)
            && let Some(groups) = self.of_consumer.get_mut(&consumer)
        {
            groups.remove(&(group, change.id));
            if groups.is_empty() {
                self.of_consumer.remove(&consumer);
            }
        }
        let Some(body) = &change.body else { return Ok(()) };
        let read = match Entity::from_wire(Kind::ConsumerGroupMember, body) {
            Ok(Entity::ConsumerGroupMember(member)) => pair(&member).ok_or("names no ids".to_owned()),
            Ok(other) => Err(format!("read as a {}", other.kind().label())),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok((consumer, group)) => {
                self.memberships.insert(change.id, (consumer, group));
                self.of_consumer.entry(consumer).or_default().insert((group, change.id));
                Ok(())
            }
            Err(reason) => {
                self.unreadable.insert(change.id);
                Err(reason)
            }
        }
    }

    /// The groups of a consumer, the oldest first. [`Blocked`] if there may be others.
    pub fn of(&self, consumer: Uuid) -> Result<Vec<Uuid>, Blocked> {
        if !self.unreadable.is_empty() {
            return Err(Blocked);
        }
        let mut groups: Vec<Uuid> =
            self.of_consumer.get(&consumer).into_iter().flatten().map(|(group, _)| *group).collect();
        groups.dedup();
        Ok(groups)
    }
}

fn pair(member: &ConsumerGroupMember) -> Option<(Uuid, Uuid)> {
    let id = |target: &Target| target.id();
    Some((id(&member.consumer)?, id(&member.consumer_group)?))
}

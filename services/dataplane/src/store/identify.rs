//! Who a request is from: read for requests, in one short transaction each.

use gateway_model::{Consumer, Entity, Kind};
use heed::RoTxn;
use uuid::Uuid;

use super::{
    Groups, Lookup, Shared, Store, StoreError,
    generation::Generation,
    index::{Group, Indexed},
};

/// Who a request is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// The credential that says so, as it is stored; `None` where the consumer was named.
    pub credential: Option<(Uuid, Entity)>,
    /// Id of the consumer.
    pub consumer_id: Uuid,
    /// The consumer.
    pub consumer: Consumer,
    /// Unix seconds from which the credential counts no more.
    pub expires_at: Option<u64>,
}

impl Store {
    /// Whom `lookup`, which is for an entity of `kind`, leads to at `now`, in Unix seconds. `None` also when the credential has expired, when it
    /// or its consumer is revoked, or cannot be read by this build. Takes microseconds; blocks only while the map grows.
    pub fn identify(&self, kind: Kind, lookup: &Lookup, now: u64) -> Result<Option<Identified>, StoreError> {
        self.read(|txn, generation| {
            let Some(Indexed { id, consumer, expires_at }) = generation.owner(txn, lookup)? else {
                return Ok(None);
            };
            if expires_at.is_some_and(|end| end <= now) {
                return Ok(None);
            }
            let credential = match kind {
                Kind::Consumer => None,
                kind => match self.entity(txn, generation, kind, id)? {
                    Some(credential) => Some((id, credential)),
                    None => return Ok(None),
                },
            };
            let identified = self.consumer_in(txn, generation, consumer)?;
            Ok(identified.map(|identified| Identified { credential, expires_at, ..identified }))
        })
    }

    /// The consumer with this id. `None` also when it is revoked, or cannot be read by this build.
    pub fn consumer(&self, id: Uuid) -> Result<Option<Identified>, StoreError> {
        self.read(|txn, generation| self.consumer_in(txn, generation, id))
    }

    /// The groups that a consumer is in, without those whose entities are revoked. In no order.
    pub fn groups(&self, consumer: Uuid) -> Result<Groups, StoreError> {
        self.read(|txn, generation| {
            let mut groups =
                Groups { may_be_more: !generation.groups(txn, Uuid::nil())?.is_empty(), ..Groups::default() };
            for (said_by, group) in generation.groups(txn, consumer)? {
                match group {
                    Group::Acl(name) if !self.is_denied(Kind::Acl, said_by) => groups.acl.push(name),
                    Group::Consumers(id) if !self.is_denied(Kind::ConsumerGroupMember, said_by) => {
                        match self.entity(txn, generation, Kind::ConsumerGroup, id)? {
                            Some(Entity::ConsumerGroup(group)) => groups.consumer_groups.push(group.name),
                            _ => groups.may_be_more = true,
                        }
                    }
                    Group::Acl(_) | Group::Consumers(_) | Group::Unreadable => {}
                }
            }
            Ok(groups)
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&RoTxn<'_>, &Generation) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Shared { environment, databases, .. } = &*self.shared;
        environment.read(|txn| read(txn, &databases.serving(txn)?))
    }

    fn consumer_in(
        &self,
        txn: &RoTxn<'_>,
        generation: &Generation,
        id: Uuid,
    ) -> Result<Option<Identified>, StoreError> {
        Ok(match self.entity(txn, generation, Kind::Consumer, id)? {
            Some(Entity::Consumer(consumer)) => {
                Some(Identified { credential: None, consumer_id: id, consumer, expires_at: None })
            }
            _ => None,
        })
    }

    /// The entity; `None` if it is not there, is revoked, or cannot be read.
    fn entity(
        &self,
        txn: &RoTxn<'_>,
        generation: &Generation,
        kind: Kind,
        id: Uuid,
    ) -> Result<Option<Entity>, StoreError> {
        if self.is_denied(kind, id) {
            return Ok(None);
        }
        let stored = generation.get(txn, kind.name(), id)?;
        Ok(stored.and_then(|stored| Entity::from_wire(kind, stored.body).ok()))
    }

    fn is_denied(&self, kind: Kind, id: Uuid) -> bool {
        self.shared.denied.contains(kind.name(), id)
    }
}

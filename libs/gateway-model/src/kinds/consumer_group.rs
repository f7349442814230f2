//! Consumer group: consumers that plugins treat alike. And its members.

use serde_json::json;

use super::{Child, Joins, KindRow, Model, UniqueField};
use crate::record::{Rules, name, record, reference, schema_of, tags};
use crate::rules::NAME;
use crate::{Entity, Kind, OnDelete, Target, UniqueKey};

record! {
    /// Consumers that plugins treat alike.
    pub struct ConsumerGroup keeps empty_lists {
        /// Name, unique in the control plane; may stand for the id in URLs.
        pub name: String = name(NAME).required("name the group"),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "consumer_group",
    collection: "consumer_groups",
    section: "consumer_groups",
    label: "consumer group",
    name_field: Some("name"),
    unique: &[UniqueField::shown("name")],
    grants_access: false,
    children: &[
        Child::new("plugins", "plugins", Kind::Plugin, "consumer_group").written_apart(),
        Child {
            segment: "consumers",
            section: "consumers",
            kind: Kind::ConsumerGroupMember,
            parent_field: "consumer_group",
            joins: Some(Joins {
                kind: Kind::Consumer,
                field: "consumer",
                body_field: "consumer",
                shown_with_parent: true,
            }),
            is_written: true,
        },
    ],
    read: |fields| Entity::ConsumerGroup(super::read(fields)),
    schema: schema_of::<ConsumerGroup>,
    example: || json!({"name": "gold", "tags": ["paying"]}),
};

impl Rules for ConsumerGroup {}

impl Model for ConsumerGroup {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![UniqueKey::new("name", &self.name)]
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

record! {
    /// A consumer's membership in a group.
    pub struct ConsumerGroupMember keeps empty_lists {
        /// The member.
        pub consumer: Target = reference(Kind::Consumer, OnDelete::Cascade).required("name the member"),
        /// The group.
        pub consumer_group: Target = reference(Kind::ConsumerGroup, OnDelete::Cascade).required("name the group"),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const MEMBER_ROW: KindRow = KindRow {
    name: "consumer_group_member",
    collection: "consumer-group-members",
    section: "consumer_group_members",
    label: "member of a consumer group",
    name_field: None,
    unique: &[UniqueField {
        field: "member",
        taken: Some("the consumer is in the group already"),
        repeated: Some("repeats {}"),
    }],
    grants_access: true,
    children: &[],
    read: |fields| Entity::ConsumerGroupMember(super::read(fields)),
    schema: schema_of::<ConsumerGroupMember>,
    example: || json!({"consumer": {"id": super::EXAMPLE_ID}, "consumer_group": {"id": super::EXAMPLE_ID}, "tags": ["paying"]}),
};

impl ConsumerGroupMember {
    /// The unique key of the membership of `consumer` in `group`.
    pub fn key(consumer: &Target, group: &Target) -> UniqueKey {
        let [consumer, group] = [consumer, group].map(|target| Target::to_key(Some(target)));
        UniqueKey { field: "member", value: format!("{group}:{consumer}") }
    }
}

impl Rules for ConsumerGroupMember {}

impl Model for ConsumerGroupMember {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        vec![ConsumerGroupMember::key(&self.consumer, &self.consumer_group)]
    }
}

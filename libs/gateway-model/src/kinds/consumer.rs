//! Consumer: someone who calls the gateway, known by credentials.

use serde_json::json;

use super::{Child, Joins, KindRow, Model, UniqueField};
use crate::record::{Fields, Rules, foreign_id, name, record, schema_of, tags};
use crate::rules::{CUSTOM_ID, USERNAME};
use crate::{Entity, Kind, UniqueKey};

record! {
    /// Someone who calls the gateway. Has a username, a custom id, or both.
    pub struct Consumer keeps empty_lists {
        /// Unique in the control plane; may stand for the id in URLs.
        pub username: Option<String> = name(USERNAME),
        /// The consumer's id in another system, unique in the control plane.
        pub custom_id: Option<String> = foreign_id(CUSTOM_ID),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "consumer",
    collection: "consumers",
    section: "consumers",
    label: "consumer",
    name_field: Some("username"),
    unique: &[UniqueField::shown("username"), UniqueField::shown("custom_id")],
    grants_access: true,
    children: &[
        credential("key-auth", "keyauth_credentials", Kind::KeyAuth),
        credential("basic-auth", "basicauth_credentials", Kind::BasicAuth),
        credential("hmac-auth", "hmacauth_credentials", Kind::HmacAuth),
        credential("jwt", "jwt_secrets", Kind::Jwt),
        credential("mtls-auth", "mtls_auth_credentials", Kind::MtlsAuth),
        credential("oauth2_tokens", "oauth2_tokens", Kind::Oauth2Token),
        credential("acls", "acls", Kind::Acl),
        credential("plugins", "plugins", Kind::Plugin),
        Child {
            segment: "consumer_groups",
            section: "groups",
            kind: Kind::ConsumerGroupMember,
            parent_field: "consumer",
            joins: Some(Joins {
                kind: Kind::ConsumerGroup,
                field: "consumer_group",
                body_field: "group",
                shown_with_parent: false,
            }),
            is_written: true,
        },
    ],
    read: |fields| Entity::Consumer(super::read(fields)),
    schema: schema_of::<Consumer>,
    example: || json!({"username": "alice@shop.example", "custom_id": "42", "tags": ["vip"]}),
};

const fn credential(segment: &'static str, section: &'static str, kind: Kind) -> Child {
    Child::new(segment, section, kind, "consumer")
}

impl Rules for Consumer {
    fn check(&self, fields: &mut Fields<'_>) {
        if !fields.has("username") && !fields.has("custom_id") {
            fields.fail("username", "is required: a consumer needs a `username`, a `custom_id` or both");
        }
    }
}

impl Model for Consumer {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let key = |field, value: &Option<String>| value.as_deref().map(|value| UniqueKey::new(field, value));
        [key("username", &self.username), key("custom_id", &self.custom_id)].into_iter().flatten().collect()
    }

    fn name(&self) -> Option<&str> {
        self.username.as_deref()
    }
}

use access::{Limits, PrincipalKind};
use ids::{OrganizationId, PrincipalId, ServiceName, TokenId};
use oplog::{Operation as _, read_operation};
use replication::{NO_HASH, Origin, Position, Vector};
use serde_json::{Value, json};
use time::macros::datetime;
use uuid::Uuid;

use super::{Operation, OrganizationPut, OrganizationState, ReplacedText, TokenMinted};

fn entry(kind: &str, body: &Value) -> replication::Entry {
    replication::Entry {
        id: Uuid::nil(),
        origin: "identity.us".parse().expect("origin"),
        position: Position { epoch: 1, seq: 1 },
        prev_hash: NO_HASH,
        deps: Vector::default(),
        organization: OrganizationId::from_uuid(Uuid::nil()),
        actor: None,
        authority: Vec::new(),
        kind: kind.to_owned(),
        body: body.to_string(),
        at: 0,
        traceparent: String::new(),
        signature: None,
    }
}

/// The form of the log is a promise to other releases: each operation is spelled out here once.
#[test]
fn has_the_stable_form_of_the_log() {
    let id = "0197a2c0-0000-7000-8000-000000000001";
    let sha256 = "07".repeat(32);
    let forms = [
        (
            "organization.put",
            json!({"name": "Acme", "owner_id": id, "home_region": "us", "state": "active"}),
            Operation::OrganizationPut(OrganizationPut {
                name: "Acme".to_owned(),
                owner_id: id.parse().expect("id"),
                home_region: "us".parse().expect("region"),
                state: OrganizationState::Active,
                deleting: false,
                limits: Limits::default(),
                installs_owner: false,
            }),
        ),
        (
            "principal.put",
            json!({"id": id, "kind": "system_account", "active": true, "not_before": null}),
            Operation::PrincipalPut {
                id: id.parse().expect("id"),
                kind: PrincipalKind::SystemAccount,
                active: true,
                not_before: None,
            },
        ),
        (
            "token.minted",
            json!({
                "id": id, "sha256": sha256, "principal_id": id, "principal_kind": "user", "name": "ci",
                "expires_at": "2026-01-02T03:04:05.5Z", "vector": {"authz.us": {"epoch": 1, "seq": 7}},
            }),
            Operation::TokenMinted(TokenMinted {
                id: id.parse().expect("id"),
                sha256: [7; 32],
                principal_id: id.parse().expect("id"),
                principal_kind: PrincipalKind::User,
                name: "ci".to_owned(),
                name_print: None,
                expires_at: datetime!(2026-01-02 03:04:05.5 UTC),
                vector: Vector::from_iter([(
                    Origin::new(ServiceName::Authz, &"us".parse().expect("region")),
                    Position { epoch: 1, seq: 7 },
                )]),
                parent: None,
                replaces: None,
                session: false,
            }),
        ),
        (
            "token.minted",
            json!({
                "id": id, "sha256": sha256, "principal_id": id, "principal_kind": "user", "name": "",
                "expires_at": "2026-01-02T03:04:05.5Z", "vector": {}, "session": true,
            }),
            Operation::TokenMinted(TokenMinted {
                id: id.parse().expect("id"),
                sha256: [7; 32],
                principal_id: id.parse().expect("id"),
                principal_kind: PrincipalKind::User,
                name: String::new(),
                name_print: None,
                expires_at: datetime!(2026-01-02 03:04:05.5 UTC),
                vector: Vector::default(),
                parent: None,
                replaces: None,
                session: true,
            }),
        ),
        (
            "token.minted",
            json!({
                "id": id, "sha256": sha256, "principal_id": id, "principal_kind": "user", "name": "",
                "name_print": sha256, "expires_at": "2026-01-02T03:04:05.5Z", "vector": {}, "parent": id,
                "replaces": {"sha256": sha256, "ends_at": "2026-01-02T03:04:05Z"},
            }),
            Operation::TokenMinted(TokenMinted {
                id: id.parse().expect("id"),
                sha256: [7; 32],
                principal_id: id.parse().expect("id"),
                principal_kind: PrincipalKind::User,
                name: String::new(),
                name_print: Some([7; 32]),
                expires_at: datetime!(2026-01-02 03:04:05.5 UTC),
                vector: Vector::default(),
                parent: Some(id.parse().expect("id")),
                replaces: Some(ReplacedText { sha256: [7; 32], ends_at: datetime!(2026-01-02 03:04:05 UTC) }),
                session: false,
            }),
        ),
        (
            "token.revoked",
            json!({"id": id, "expires_at": 17}),
            Operation::TokenRevoked { id: id.parse().expect("id"), expires_at: 17 },
        ),
        (
            "token.renamed",
            json!({"id": id, "name": "ci"}),
            Operation::TokenRenamed { id: id.parse().expect("id"), name: "ci".to_owned() },
        ),
        (
            "signing_key.put",
            json!({"id": "us.abc", "jwk": {"kty": "OKP"}}),
            Operation::SigningKeyPut { id: "us.abc".to_owned(), jwk: json!({"kty": "OKP"}) },
        ),
    ];
    for (kind, body, operation) in forms {
        assert_eq!(read_operation::<Operation>(&entry(kind, &body)).expect(kind), operation);
        let tagged = serde_json::to_value(&operation).expect("JSON");
        assert_eq!(tagged, json!({"kind": kind, "body": body}));
    }
}

#[test]
fn what_is_unknown_or_malformed_is_no_operation() {
    let body = json!({"id": PrincipalId::generate()});
    for kind in ["principal.cloned", "token.minted", "token.revoked", ""] {
        assert!(read_operation::<Operation>(&entry(kind, &body)).is_err(), "{kind}");
    }
    let cut = replication::Entry { body: "{".to_owned(), ..entry("principal.removed", &body) };
    assert!(read_operation::<Operation>(&cut).is_err());
}

#[test]
fn tells_what_takes_away() {
    let id = TokenId::generate();
    let operations = [
        (Operation::TokenRevoked { id, expires_at: 0 }, true),
        (Operation::SystemAccountRemoved { id: id.cast() }, true),
        (Operation::PrincipalRemoved { id: id.cast() }, true),
        (Operation::TokenRenamed { id, name: String::new() }, false),
        (Operation::SigningKeyPut { id: String::new(), jwk: Value::Null }, false),
    ];
    for (operation, revokes) in operations {
        assert_eq!(operation.is_revocation(), revokes, "{operation:?}");
    }
}

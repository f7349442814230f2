use super::*;

fn operation() -> Operation {
    let origin: Origin = "authz.us".parse().expect("an origin");
    let other: Origin = "authz.eu".parse().expect("an origin");
    Operation {
        id: Uuid::from_u128(1),
        origin,
        position: Position { epoch: 1, seq: 2 },
        prev_hash: [3; 32],
        deps: [(other, Position { epoch: 4, seq: 5 })].into_iter().collect(),
        organization: OrganizationId::from_uuid(Uuid::from_u128(6)),
        actor: Some(PrincipalId::from_uuid(Uuid::from_u128(7))),
        authority: vec![Uuid::from_u128(8), Uuid::from_u128(9)],
        kind: "assignment.put".into(),
        body: "{}".into(),
        at: 10,
        traceparent: "00-1-2-3".into(),
    }
}

#[test]
fn travels_whole() {
    for operation in [operation(), Operation { actor: None, authority: Vec::new(), ..operation() }] {
        assert_eq!(Operation::from_wire(operation.to_wire()), Ok(operation));
    }
    let broken = |change: fn(&mut wire::Operation)| {
        let mut wire = operation().to_wire();
        change(&mut wire);
        Operation::from_wire(wire).map_err(|Unreadable(field)| field)
    };
    assert_eq!(broken(|wire| wire.id = Default::default()), Err("id"));
    assert_eq!(broken(|wire| wire.origin = "authz".into()), Err("origin"));
    assert_eq!(broken(|wire| wire.prev_hash = vec![0; 31].into()), Err("prev_hash"));
    assert_eq!(broken(|wire| wire.actor_id = vec![0; 15].into()), Err("actor"));
    assert_eq!(broken(|wire| wire.authority = vec![vec![0; 17].into()]), Err("authority"));
    assert_eq!(broken(|wire| wire.organization_id = Default::default()), Err("organization"));
}

#[test]
fn every_part_counts_in_the_chain_hash_but_the_trace() {
    let changes: [fn(&mut Operation); 12] = [
        |operation| operation.id = Uuid::from_u128(99),
        |operation| operation.origin = "authz.ap".parse().expect("an origin"),
        |operation| operation.position.epoch += 1,
        |operation| operation.position.seq += 1,
        |operation| operation.prev_hash[0] += 1,
        |operation| operation.deps = Vector::default(),
        |operation| operation.organization = OrganizationId::from_uuid(Uuid::from_u128(99)),
        |operation| operation.actor = None,
        |operation| operation.authority.clear(),
        |operation| operation.kind.push('x'),
        |operation| operation.body.push(' '),
        |operation| operation.at += 1,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut changed = operation();
        change(&mut changed);
        assert_ne!(changed.hash(), operation().hash(), "change {at}");
    }
    let traced = Operation { traceparent: String::new(), ..operation() };
    assert_eq!(traced.hash(), operation().hash());
}

#[test]
fn a_head_precedes_the_next_operation_only() {
    let head = Head { position: Position { epoch: 1, seq: 1 }, hash: [3; 32] };
    assert!(head.precedes(&operation()));
    assert!(Head { position: Position { epoch: 0, seq: 1 }, ..head }.precedes(&operation()));
    assert!(!Head { position: Position { epoch: 2, seq: 1 }, ..head }.precedes(&operation()));
    assert!(!Head { position: Position { epoch: 1, seq: 2 }, ..head }.precedes(&operation()));
    assert!(!Head { hash: NO_HASH, ..head }.precedes(&operation()));
    assert!(!Head { position: Position { epoch: 1, seq: u64::MAX }, ..head }.precedes(&operation()));
}

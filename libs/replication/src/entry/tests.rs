use super::*;

fn entry() -> Entry {
    let origin: Origin = "authz.us".parse().expect("an origin");
    let other: Origin = "authz.eu".parse().expect("an origin");
    Entry {
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
        signature: None,
    }
}

#[test]
fn travels_whole() {
    for entry in [entry(), Entry { actor: None, authority: Vec::new(), ..entry() }] {
        assert_eq!(Entry::from_wire(entry.to_wire()), Ok(entry));
    }
    let broken = |change: fn(&mut wire::Operation)| {
        let mut wire = entry().to_wire();
        change(&mut wire);
        Entry::from_wire(wire).map_err(|Unreadable(field)| field)
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
    let changes: [fn(&mut Entry); 12] = [
        |entry| entry.id = Uuid::from_u128(99),
        |entry| entry.origin = "authz.ap".parse().expect("an origin"),
        |entry| entry.position.epoch += 1,
        |entry| entry.position.seq += 1,
        |entry| entry.prev_hash[0] += 1,
        |entry| entry.deps = Vector::default(),
        |entry| entry.organization = OrganizationId::from_uuid(Uuid::from_u128(99)),
        |entry| entry.actor = None,
        |entry| entry.authority.clear(),
        |entry| entry.kind.push('x'),
        |entry| entry.body.push(' '),
        |entry| entry.at += 1,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut changed = entry();
        change(&mut changed);
        assert_ne!(changed.hash(), entry().hash(), "change {at}");
    }
    let traced = Entry { traceparent: String::new(), ..entry() };
    assert_eq!(traced.hash(), entry().hash());
}

#[test]
fn a_tip_precedes_the_next_entry_only() {
    let tip = Tip { position: Position { epoch: 1, seq: 1 }, hash: [3; 32] };
    assert!(tip.precedes(&entry()));
    assert!(Tip { position: Position { epoch: 0, seq: 1 }, ..tip }.precedes(&entry()));
    assert!(!Tip { position: Position { epoch: 2, seq: 1 }, ..tip }.precedes(&entry()));
    assert!(!Tip { position: Position { epoch: 1, seq: 2 }, ..tip }.precedes(&entry()));
    assert!(!Tip { hash: NO_HASH, ..tip }.precedes(&entry()));
    assert!(!Tip { position: Position { epoch: 1, seq: u64::MAX }, ..tip }.precedes(&entry()));
}

#[test]
fn a_past_is_what_the_writer_had_seen_and_the_log_up_to_the_entry() {
    let past = entry().past();
    assert!(past.covers(&entry().deps) && past.contains(&entry().dot()));
    assert_eq!(past.len(), 2);
    // An entry that was appended again names a part of its own log as seen; a database has applied all of it.
    let seen = Position { epoch: 1, seq: 1 };
    let again = Entry { deps: [(entry().origin, seen)].into_iter().collect(), ..entry() };
    assert_eq!(again.past().get(&again.origin), Some(again.position));
}

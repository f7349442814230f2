//! What the control plane is told of the health of targets.

use super::*;

#[tokio::test]
async fn health_of_targets_is_told_and_a_state_set_by_hand_is_taken() {
    let region = TestRegion::new();
    let mut plane = plane(&region, region.server()).await;
    let node = Node::following(&region, &plane).await;
    let (mut stream, _) = plane.greeted().await;
    assert_eq!(stream.health().await, wire::Health::default());
    let mut state = State { incarnation: 4, ..State::default() };
    let upstream = entity(Kind::Upstream, 600, 1, &json!({ "name": "orders.internal" }));
    let target = |version, by_hand: Option<ByHand>| {
        let body = json!({ "upstream": { "id": upstream.id }, "target": "192.0.2.1:80" });
        let mut target = entity(Kind::UpstreamTarget, 601, version, &body);
        let mut read = Entity::from_wire(Kind::UpstreamTarget, &target.body).expect("valid");
        if let Entity::UpstreamTarget(target) = &mut read {
            target.by_hand = by_hand;
        }
        target.body = read.to_wire().expect("resolved").into();
        target
    };
    state.commit(&[upstream.clone(), target(1, None)]);
    stream.resync(&state).await;
    let is_up = || node.applier.groups().shown()[0].targets[0].endpoints[0].state;
    assert_eq!(is_up(), balancing::State::Up);
    for (version, is_healthy) in [(2, false), (3, true)] {
        let set = target(version, Some(ByHand { is_healthy, at: version }));
        state.commit(std::slice::from_ref(&set));
        let applied = stream.delta(version - 1, &state, &[set]).await;
        assert!(applied.digest_matches, "{}", applied.error);
        assert_eq!(is_up() == balancing::State::Up, is_healthy);
        let told = stream.health().await;
        let unhealthy = wire::UnhealthyTarget {
            id: Uuid::from_u128(601).as_bytes().to_vec().into(),
            state: wire::unhealthy_target::State::Unhealthy.into(),
            addresses: vec!["192.0.2.1:80".to_owned()],
        };
        assert_eq!(told.targets, if is_healthy { vec![] } else { vec![unhealthy] });
    }
}

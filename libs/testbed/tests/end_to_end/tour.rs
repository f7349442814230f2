//! The tour that `./dev up` takes, with the shop's example.

use testbed::{
    Gateway,
    status::{ControlPlane as Shown, RegionStatus},
    tour::Stage,
};

use crate::{
    fixtures::ControlPlane,
    harness::{run, shared, unique},
};

const SHOP: &str = include_str!("../../../../infra/examples/shop.yaml");
const SHOP_UPSTREAM: &str = "http://127.0.0.1:9000";

#[test]
fn the_shops_file_is_served_and_each_change_takes_effect() {
    run(async {
        let region = shared().await?;
        let control_plane = ControlPlane::create(region, "tour").await?;
        let name = unique("tour");
        let gateway = Gateway::enrol(region, &control_plane.id, &name).await?;
        let mut status = RegionStatus::of(region);
        status.add(Shown { id: control_plane.id.clone(), name }, &gateway);
        let file = SHOP.replace(SHOP_UPSTREAM, &region.upstream().url());

        let report =
            Stage::of(&status, &region.owner().token)?.take("infra/examples/shop.yaml", &file).await?;
        println!("{}", report.describe());
        assert!(report.skipped.is_empty(), "not checked: {:?}", report.skipped);
        assert!(report.routes >= 50 && report.requests > report.routes, "{report:?}");
        let measured: Vec<&str> = report.measured.iter().map(|(what, _)| *what).collect();
        let all = [
            "file applied -> live",
            "route changed -> served",
            "key created -> accepted",
            "key revoked -> refused",
        ];
        assert_eq!(measured, all);
        for (what, measured) in &report.measured {
            assert!(measured.effective.is_some(), "{what} was in effect before the write");
        }
        gateway.process().stop().await?;
        Ok(())
    });
}

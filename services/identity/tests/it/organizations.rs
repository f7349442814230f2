//! `/v3/organizations/me`.

use serde_json::json;

use crate::region::Region;

const ME: &str = "/v3/organizations/me";

#[tokio::test]
async fn shows_the_callers_organization() {
    let region = Region::alone().await;
    let (owner, made) = region.owner().await;
    let shown = owner.get(ME).await.expect(200);
    let expected = json!({
        "id": made.organization_id, "name": "Acme", "owner_id": made.owner_id, "home_region": "us",
        "state": "active", "created_at": "2100-01-01T00:00:00Z", "updated_at": "2100-01-01T00:00:00Z",
    });
    assert_eq!(shown, expected);
    region.stranger().get(ME).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn one_that_has_not_arrived_is_503_and_one_that_cannot_be_read_500() {
    let region = Region::alone().await;
    let (owner, _) = region.owner().await;
    region.sql("UPDATE replicated.organization SET state = 'frozen'").await;
    owner.get(ME).await.problem(500, "internal");
    region.sql("UPDATE replicated.organization SET state = 'suspended'").await;
    assert_eq!(owner.get(ME).await.expect(200)["state"], "suspended");
    region.sql("UPDATE replicated.organization SET home_region = 'Not A Region'").await;
    owner.get(ME).await.problem(500, "internal");
    region.sql("DELETE FROM replicated.organization").await;
    let answer = owner.get(ME).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.problem(503, "not-yet-replicated");
}

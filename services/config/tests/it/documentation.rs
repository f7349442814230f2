//! The document of the whole API, and the page that shows it.

use axum::http::{Method, StatusCode};

use crate::world::World;

#[tokio::test]
async fn the_page_and_its_document_need_nothing_from_elsewhere() {
    let world = World::new().await;
    world.peers.end_session();
    let document = world.get("/documentation/openapi.json").await.expect(StatusCode::OK);
    for path in ["/v3/users/me", "/v3/teams", "/v2/control-planes", "/v1/jwks.json"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    for (file, media_type) in [("", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")]
    {
        let path = format!("/documentation/docs{file}");
        let (headers, text) = world.call(Method::GET, &path).send_for_text().await;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(header("content-type").starts_with(media_type), "{path}");
        assert!(
            header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        for foreign in ["http://", "https://", "innerHTML", "style=", "onclick", "<script>"] {
            assert!(!text.contains(foreign), "{path} has {foreign}");
        }
        world.get(format!("{path}?x=1")).await.problem(StatusCode::BAD_REQUEST);
        world.delete(&path).await.problem(StatusCode::METHOD_NOT_ALLOWED);
    }
}

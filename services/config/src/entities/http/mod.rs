//! `/core-entities`: the table of kinds as endpoints, and the declarative document beside them. Paths and shapes are those
//! that decK and Kong's Terraform provider use. What the endpoints do is in [`handlers`].

mod handlers;
mod input;

use access::Caller;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use gateway_model::{Kind, declarative};
use ids::ControlPlaneId;
use mutation::Key;
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::ArrayBuilder};
use web::{Api, BODY_BYTES_MAX, Endpoint, Path, ProblemType, Query, RawBody};

use self::handlers::{Place, apply_document};
use crate::App;

/// A collection of entities: all of a kind, or those below one entity.
#[derive(Clone, Copy)]
struct Collection {
    kind: Kind,
    parent: Option<Parent>,
}

/// The way to a collection below an entity: the children whose reference `field` points at it.
#[derive(Clone, Copy)]
pub struct Parent {
    kind: Kind,
    segment: &'static str,
    field: &'static str,
}

const NESTED: [(Kind, Parent); 5] = [
    (Kind::KeyAuth, Parent { kind: Kind::Consumer, segment: "key-auth", field: "consumer" }),
    (Kind::Plugin, Parent { kind: Kind::Consumer, segment: "plugins", field: "consumer" }),
    (Kind::Route, Parent { kind: Kind::Service, segment: "routes", field: "service" }),
    (Kind::Plugin, Parent { kind: Kind::Service, segment: "plugins", field: "service" }),
    (Kind::Plugin, Parent { kind: Kind::Route, segment: "plugins", field: "route" }),
];

type EntityBody = RawBody<BODY_BYTES_MAX>;

/// Parameters of every path below a control plane: in a nested one, `entity` is the parent and `child` the entity.
#[derive(Deserialize)]
struct At {
    control_plane_id: ControlPlaneId,
    #[serde(default)]
    entity: String,
    #[serde(default)]
    child: String,
}

/// Examples of refusals.
const KEY_TAKEN: &str = "name: another service has this name";
const TOO_MANY: &str = "a control plane holds at most 100000 entities";
const CHANGED_SINCE: &str = "the entity has changed since: its version is 7";
const STILL_IN_USE: &str = "the service is still in use: delete what refers to it first";

pub fn endpoints(api: Api<App>) -> Api<App> {
    let all = Kind::ALL.into_iter().map(|kind| Collection { kind, parent: None });
    let below = NESTED.into_iter().map(|(kind, parent)| Collection { kind, parent: Some(parent) });
    let api = all.chain(below).fold(api, of);
    let document: RefOr<Schema> = ObjectBuilder::new()
        .description(Some("A `_format_version: \"3.0\"` document in YAML or JSON: the whole configuration."))
        .into();
    let apply = Endpoint::put(
        "/v2/control-planes/{control_plane_id}/declarative",
        "Make the whole configuration as in the document, all or nothing (`?dry_run=true` only tells the difference)",
    );
    api.endpoint(
        apply
            .refuses(ProblemType::Conflict, KEY_TAKEN)
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .body_schema(document, "application/yaml")
            .answers::<Value>(StatusCode::OK),
        async |State(app): State<App>,
               caller: Caller,
               Path(id),
               Query(query),
               RawBody(body): RawBody<{ declarative::DOCUMENT_BYTES_MAX }>| {
            apply_document(app, caller, id, query, body).await
        },
    )
}

impl Collection {
    fn path(self) -> String {
        const BASE: &str = "/v2/control-planes/{control_plane_id}/core-entities";
        match self.parent {
            None => format!("{BASE}/{}", self.kind.collection()),
            Some(parent) => format!("{BASE}/{}/{{entity}}/{}", parent.kind.collection(), parent.segment),
        }
    }

    fn path_of_one(self) -> String {
        let parameter = if self.parent.is_some() { "child" } else { "entity" };
        format!("{}/{{{parameter}}}", self.path())
    }

    /// `" of a service"` in summaries.
    fn of_parent(self) -> String {
        self.parent.map(|parent| format!(" of a {}", parent.kind.label())).unwrap_or_default()
    }

    fn place(self, at: At) -> Place {
        let (parent, entity) = match self.parent {
            None => (None, at.entity),
            Some(parent) => (Some((parent, at.entity)), at.child),
        };
        Place { control_plane: at.control_plane_id, kind: self.kind, parent, entity }
    }
}

/// The five endpoints of a collection.
fn of(api: Api<App>, collection: Collection) -> Api<App> {
    let (kind, label, of_parent) = (collection.kind, collection.kind.label(), collection.of_parent());
    let (all, one) = (collection.path(), collection.path_of_one());
    let list = Endpoint::get(&all, format!("List {}{of_parent}", kind.collection()))
        .answers_schema(StatusCode::OK, list_schema(kind));
    let create = Endpoint::post(&all, format!("Create a {label}{of_parent}"))
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::CREATED, kind.schema());
    let get = Endpoint::get(&one, format!("One {label}{of_parent}, by id or name"))
        .answers_schema(StatusCode::OK, kind.schema());
    let put = Endpoint::put(&one, format!("Create or replace a {label}{of_parent}, by id or name"))
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .refuses(ProblemType::PreconditionFailed, CHANGED_SINCE)
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::OK, kind.schema());
    let delete = Endpoint::delete(&one, format!("Delete a {label}{of_parent}, if it is there"))
        .refuses(ProblemType::InUse, STILL_IN_USE)
        .refuses(ProblemType::PreconditionFailed, CHANGED_SINCE);

    api.endpoint(list, async move |State(app): State<App>, caller: Caller, Path(at), Query(query)| {
        app.list(&caller, collection.place(at), &query).await
    })
    .endpoint(
        create,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(at),
                    key: Option<Key>,
                    RawBody(body): EntityBody| {
            app.create(&caller, collection.place(at), key, &body).await
        },
    )
    .endpoint(get, async move |State(app): State<App>, caller: Caller, Path(at)| {
        app.get(&caller, collection.place(at)).await
    })
    .endpoint(
        put,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(at),
                    headers: HeaderMap,
                    RawBody(body): EntityBody| {
            app.put(&caller, collection.place(at), &headers, &body).await
        },
    )
    .endpoint(
        delete,
        async move |State(app): State<App>, caller: Caller, Path(at), headers: HeaderMap| {
            app.delete(&caller, collection.place(at), &headers).await
        },
    )
}

fn list_schema(kind: Kind) -> RefOr<Schema> {
    let described = |text| ObjectBuilder::new().description(Some(text));
    ObjectBuilder::new()
        .property("data", ArrayBuilder::new().items(kind.schema()))
        .property("next", described("Path of the next page, or null."))
        .property("offset", described("`offset` of the next page, if there is one."))
        .into()
}

//! `/core-entities`: the table of kinds as endpoints. Paths and shapes are those
//! that decK and Kong's Terraform provider use. What the endpoints do is in [`handlers`].

mod config_stores;
mod handlers;
mod health;
pub mod input;
mod members;
pub mod output;
mod patch;
pub mod query;
mod schemas;
mod together;

use access::{Action, Caller};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use gateway_model::{Child, Kind};
use ids::ControlPlaneId;
use mutation::Key;
use serde::Deserialize;
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema, schema::ArrayBuilder};
use web::{Api, BODY_BYTES_MAX, Endpoint, Given, Path, ProblemType, Query, RawBody};

use self::{
    handlers::Place,
    query::{BatchQuery, Extras, ListQuery},
};
use super::{Entities, plan::Selector};
use crate::{app::App, control_planes::ControlPlanes};

/// A collection of entities: all of a kind, or those below one entity.
#[derive(Clone, Copy)]
pub struct Collection {
    kind: Kind,
    /// What a caller must be allowed to do in order to read here, and to write.
    read: Action,
    write: Action,
    parent: Option<Parent>,
}

/// What a collection nests below: a kind, and what the table of kinds says of the children.
#[derive(Clone, Copy)]
pub struct Parent {
    kind: Kind,
    child: &'static Child,
}

type EntityBody = RawBody<BODY_BYTES_MAX>;
type BatchBody = RawBody<{ together::BATCH_BYTES_MAX }>;

/// Parameters of a collection's path. In a nested one, `entity` is the parent.
#[derive(Deserialize)]
struct AtAll {
    control_plane_id: ControlPlaneId,
    entity: Option<String>,
}

/// Parameters of an entity's path. In a nested one, `entity` is the parent and `child` the entity.
#[derive(Deserialize)]
struct AtOne {
    control_plane_id: ControlPlaneId,
    entity: String,
    child: Option<String>,
}

/// Where the collections of a control plane are.
const BASE: &str = "/v2/control-planes/{control_plane_id}/core-entities";

/// Examples of refusals.
const KEY_TAKEN: &str = "name: another service has this name: `orders`";
pub const IMPORT_TAKEN: &str =
    "import_id: an import of other content has this id; choose a new one for each import";
pub const TOO_MANY: &str = "a control plane holds at most 1000000 entities";
pub const TOO_MANY_WAIT: &str =
    "too many requests of this organization wait; send fewer at a time, and try again";
pub const STILL_IN_USE: &str =
    "the service is in use by route 0192d3a4-5b6c-7d8e-9f00-112233445566; delete that first";

/// Adds the endpoints of every collection in the table of kinds, nested ones included, and of their schemas.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let api = schemas::endpoints(collections().fold(api, of));
    config_stores::endpoints(health::endpoints(members::endpoints(together(api))))
}

/// Adds the endpoint for many writes at once.
fn together(api: Api<App>) -> Api<App> {
    let batch = Endpoint::post(
        "/v2/control-planes/{control_plane_id}/batch",
        "Create, put and delete entities of any kinds in one transaction, all or nothing",
    );
    api.endpoint(
        batch
            .query::<BatchQuery>()
            .refuses(ProblemType::Conflict, KEY_TAKEN)
            .refuses(ProblemType::InUse, STILL_IN_USE)
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
            .body::<together::Batch>()
            .answers::<output::BatchAnswer>(StatusCode::OK),
        async |State(planes): State<ControlPlanes>,
               State(entities): State<Entities>,
               caller: Caller,
               Path(id),
               Query(query),
               key: Option<Key>,
               RawBody(body): BatchBody| {
            together::write_together(&planes, &entities, &caller, id, (query, key), body).await
        },
    )
}

/// Every collection that the table of kinds gives. A kind whose actions the policy does not know has none, and a test
/// fails.
fn collections() -> impl Iterator<Item = Collection> {
    let all = Kind::ALL.into_iter().map(|kind| (kind, None));
    let below = Kind::ALL
        .into_iter()
        .flat_map(|kind| kind.children().iter().map(move |child| (child.kind, Some(Parent { kind, child }))))
        // What is listed instead of children has endpoints of its own: `members`.
        .filter(|(_, parent)| parent.is_none_or(|parent| parent.child.joins.is_none()));
    all.chain(below).filter_map(|(kind, parent)| {
        let action = |write| Action::entity(kind.name(), write);
        Some(Collection { kind, read: action(false)?, write: action(true)?, parent })
    })
}

impl Collection {
    fn path(self) -> String {
        match self.parent {
            None => format!("{BASE}/{}", self.kind.collection()),
            Some(Parent { kind, child }) => {
                format!("{BASE}/{}/{{entity}}/{}", kind.collection(), child.segment)
            }
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

    fn place(self, at: &AtAll) -> Place {
        let parent = self.parent.zip(at.entity.as_deref().map(Selector::parse));
        Place { control_plane: at.control_plane_id, collection: self, parent }
    }

    fn place_of_one(self, at: AtOne) -> (Place, Selector) {
        let (parent, entity) = match at.child {
            Some(child) => (Some(at.entity), child),
            None => (None, at.entity),
        };
        let place = self.place(&AtAll { control_plane_id: at.control_plane_id, entity: parent });
        (place, Selector::parse(&entity))
    }
}

/// The six endpoints of a collection.
fn of(api: Api<App>, collection: Collection) -> Api<App> {
    let (kind, label, of_parent) = (collection.kind, collection.kind.label(), collection.of_parent());
    let (all, one) = (collection.path(), collection.path_of_one());
    let name = schema_name(kind);
    let schema = |suffix: &str| RefOr::from(Ref::from_schema_name(format!("{name}{suffix}")));
    let list = Endpoint::get(&all, format!("List {}{of_parent}", kind.collection()))
        .query_parameters(ListQuery::parameters(kind))
        .names(&name, kind.schema())
        .names(format!("{name}Changes"), patch::schema(kind.schema()))
        .names(format!("{name}List"), list_schema(&schema("")))
        .answers_schema(StatusCode::OK, schema("List"));
    let create = Endpoint::post(&all, format!("Create a {label}{of_parent}"))
        .query_parameters(Extras::in_writes(kind))
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
        .body_schema(schema(""), "application/json")
        .answers_schema(StatusCode::CREATED, schema(""));
    let get = Endpoint::get(&one, format!("One {label}{of_parent}, by id or name"))
        .query_parameters(Extras::in_reads(kind))
        .answers_schema(StatusCode::OK, schema(""));
    let put = Endpoint::put(&one, format!("Create or replace a {label}{of_parent}, by id or name"))
        .query_parameters(Extras::in_writes(kind))
        .if_match()
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::LimitReached, TOO_MANY)
        .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
        .body_schema(schema(""), "application/json")
        .answers_schema(StatusCode::OK, schema(""));
    let patch = Endpoint::patch(&one, format!("Change fields of a {label}{of_parent}, by id or name"))
        .query_parameters(Extras::in_writes(kind))
        .if_match()
        .refuses(ProblemType::Conflict, KEY_TAKEN)
        .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
        .body_schema(schema("Changes"), "application/json")
        .answers_schema(StatusCode::OK, schema(""));
    let delete = Endpoint::delete(&one, format!("Delete a {label}{of_parent}, if it is there"))
        .if_match()
        .refuses(ProblemType::InUse, STILL_IN_USE);

    type Planes = State<ControlPlanes>;
    type All = State<Entities>;
    api.endpoint(
        list,
        async move |State(planes): Planes, State(entities): All, caller: Caller, Path(at), given: Given| {
            let query = ListQuery::read(kind, &given)?;
            handlers::list(&planes, &entities, &caller, &collection.place(&at), query).await
        },
    )
    .endpoint(
        create,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at),
                    key: Option<Key>,
                    given: Given,
                    RawBody(body): EntityBody| {
            let body = (Extras::skip_hash(kind, &given), body);
            handlers::create(&planes, &entities, &caller, &collection.place(&at), key, body).await
        },
    )
    .endpoint(
        get,
        async move |State(planes): Planes, State(entities): All, caller: Caller, Path(at), given: Given| {
            let (place, selector) = collection.place_of_one(at);
            let with_members = Extras::with_members(kind, &given);
            handlers::get(&planes, &entities, &caller, (&place, &selector), with_members).await
        },
    )
    .endpoint(
        put,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at),
                    headers: HeaderMap,
                    given: Given,
                    RawBody(body): EntityBody| {
            let (place, selector) = collection.place_of_one(at);
            let body = (Extras::skip_hash(kind, &given), body);
            handlers::put(&planes, &entities, &caller, (&place, selector), &headers, body).await
        },
    )
    .endpoint(
        patch,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at),
                    headers: HeaderMap,
                    RawBody(body): EntityBody| {
            let (place, selector) = collection.place_of_one(at);
            patch::patch(&planes, &entities, &caller, (&place, &selector), &headers, body).await
        },
    )
    .endpoint(
        delete,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at),
                    headers: HeaderMap| {
            let (place, selector) = collection.place_of_one(at);
            handlers::delete(&planes, &entities, &caller, (&place, selector), &headers).await
        },
    )
}

/// The name of a kind's schema, as in `KeyAuth`.
fn schema_name(kind: Kind) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    kind.name().split('_').map(capital).collect()
}

fn list_schema(item: &RefOr<Schema>) -> RefOr<Schema> {
    let described = |text| ObjectBuilder::new().description(Some(text));
    ObjectBuilder::new()
        .property("data", ArrayBuilder::new().items(item.clone()))
        .property("next", described("Path of the next page, or null."))
        .property("offset", described("`offset` of the next page, if there is one."))
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_collections_and_its_actions() {
        let paths: BTreeSet<String> = collections().map(Collection::path).collect();
        for kind in Kind::ALL {
            let base = "/v2/control-planes/{control_plane_id}/core-entities";
            assert!(paths.contains(&format!("{base}/{}", kind.collection())), "{kind:?}: has it actions?");
            for child in kind.children().iter().filter(|child| child.joins.is_none()) {
                assert!(paths.contains(&format!(
                    "{base}/{}/{{entity}}/{}",
                    kind.collection(),
                    child.segment
                )));
            }
        }
        let children = Kind::ALL.into_iter().flat_map(Kind::children).filter(|child| child.joins.is_none());
        assert_eq!(paths.len(), Kind::ALL.len() + children.count());
    }
}

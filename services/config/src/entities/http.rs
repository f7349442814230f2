//! `/core-entities`: one set of handlers for every kind, registered from the table of kinds, and the declarative
//! document beside them. Paths and shapes are those that decK and Kong's Terraform provider use.

use access::{Action, Caller};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Entity, Kind, UniqueKey, declarative};
use ids::ControlPlaneId;
use postgres::{Error, idempotency::Idempotency};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use uuid::Uuid;
use web::{Answer, Api, BODY_BYTES_MAX, Endpoint, Json, Path, Problem, ProblemType, Query, RawBody};

use super::{
    committer::{Committed, Request, show},
    plan::{Command, Selector, name_key},
    refusal, revocations,
    store::{self, Filter, Row},
};
use crate::App;

/// Items in a page unless the caller says otherwise, and at most.
const SIZE_DEFAULT: u32 = 100;
const SIZE_MAX: u32 = 1000;
/// Most tags that a list is narrowed by.
const TAGS_MAX: usize = 5;
/// Bytes of randomness in a generated credential key.
const GENERATED_KEY_BYTES: usize = 24;

/// A collection below an entity: the children whose reference `field` points at it.
struct Nested {
    parent: Kind,
    segment: &'static str,
    child: Kind,
    field: &'static str,
}

const NESTED: [Nested; 5] = [
    Nested { parent: Kind::Consumer, segment: "key-auth", child: Kind::KeyAuth, field: "consumer" },
    Nested { parent: Kind::Consumer, segment: "plugins", child: Kind::Plugin, field: "consumer" },
    Nested { parent: Kind::Service, segment: "routes", child: Kind::Route, field: "service" },
    Nested { parent: Kind::Service, segment: "plugins", child: Kind::Plugin, field: "service" },
    Nested { parent: Kind::Route, segment: "plugins", child: Kind::Plugin, field: "route" },
];

pub fn endpoints(api: Api<App>) -> Api<App> {
    let api = Kind::ALL.into_iter().fold(api, of_kind);
    let api = NESTED.iter().fold(api, nested);
    let document: RefOr<Schema> = ObjectBuilder::new()
        .description(Some("A `_format_version: \"3.0\"` document in YAML or JSON: the whole configuration."))
        .into();
    let apply = Endpoint::put(
        "/v2/control-planes/{control_plane_id}/declarative",
        "Make the whole configuration as in the document, all or nothing (`?dry_run=true` only tells the difference)",
    );
    let apply = apply.body_schema(document, "application/yaml").answers::<Value>(StatusCode::OK);
    api.endpoint(apply, apply_document)
}

fn base(rest: &str) -> String {
    format!("/v2/control-planes/{{control_plane_id}}/core-entities/{rest}")
}

fn of_kind(api: Api<App>, kind: Kind) -> Api<App> {
    let (all, one) = (base(kind.collection()), base(&format!("{}/{{entity}}", kind.collection())));
    let label = kind.label();
    let list = Endpoint::get(&all, format!("List {}", kind.collection()))
        .answers_schema(StatusCode::OK, list_schema(kind));
    let create = Endpoint::post(&all, format!("Create a {label}"))
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::CREATED, kind.schema());
    let get = Endpoint::get(&one, format!("One {label}, by id or name"))
        .answers_schema(StatusCode::OK, kind.schema());
    let put = Endpoint::put(&one, format!("Create or replace a {label}, by id or name"))
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::OK, kind.schema());
    let delete = Endpoint::delete(&one, format!("Delete a {label}, if it is there"));
    api.endpoint(
        list,
        async move |State(app): State<App>, caller: Caller, Path(id): Path<ControlPlaneId>, query| {
            app.list(&caller, id, kind, None, query).await
        },
    )
    .endpoint(
        create,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(id): Path<ControlPlaneId>,
                    key: Idempotency,
                    RawBody(body): EntityBody| {
            app.create(&caller, id, kind, None, key, &body).await
        },
    )
    .endpoint(
        get,
        async move |State(app): State<App>, caller: Caller, Path(path): Path<(ControlPlaneId, String)>| {
            app.get(&caller, path.0, kind, None, &path.1).await
        },
    )
    .endpoint(
        put,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String)>,
                    headers: HeaderMap,
                    RawBody(body): EntityBody| {
            app.put(&caller, path.0, kind, None, &path.1, &headers, &body).await
        },
    )
    .endpoint(
        delete,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String)>,
                    headers: HeaderMap| {
            app.delete(&caller, path.0, kind, None, &path.1, &headers).await
        },
    )
}

fn nested(api: Api<App>, nested: &'static Nested) -> Api<App> {
    let all = base(&format!("{}/{{entity}}/{}", nested.parent.collection(), nested.segment));
    let one = format!("{all}/{{child}}");
    let (kind, label, of) = (nested.child, nested.child.label(), nested.parent.label());
    let list = Endpoint::get(&all, format!("List the {} of a {of}", nested.segment))
        .answers_schema(StatusCode::OK, list_schema(kind));
    let create = Endpoint::post(&all, format!("Create a {label} of a {of}"))
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::CREATED, kind.schema());
    let get =
        Endpoint::get(&one, format!("One {label} of a {of}")).answers_schema(StatusCode::OK, kind.schema());
    let put = Endpoint::put(&one, format!("Create or replace a {label} of a {of}"))
        .body_schema(kind.schema(), "application/json")
        .answers_schema(StatusCode::OK, kind.schema());
    let delete = Endpoint::delete(&one, format!("Delete a {label} of a {of}, if it is there"));
    api.endpoint(
        list,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String)>,
                    query| { app.list(&caller, path.0, kind, Some((nested, path.1)), query).await },
    )
    .endpoint(
        create,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String)>,
                    key: Idempotency,
                    RawBody(body): EntityBody| {
            app.create(&caller, path.0, kind, Some((nested, path.1)), key, &body).await
        },
    )
    .endpoint(
        get,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String, String)>| {
            app.get(&caller, path.0, kind, Some((nested, path.1)), &path.2).await
        },
    )
    .endpoint(
        put,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String, String)>,
                    headers: HeaderMap,
                    RawBody(body): EntityBody| {
            app.put(&caller, path.0, kind, Some((nested, path.1)), &path.2, &headers, &body).await
        },
    )
    .endpoint(
        delete,
        async move |State(app): State<App>,
                    caller: Caller,
                    Path(path): Path<(ControlPlaneId, String, String)>,
                    headers: HeaderMap| {
            app.delete(&caller, path.0, kind, Some((nested, path.1)), &path.2, &headers).await
        },
    )
}

fn list_schema(kind: Kind) -> RefOr<Schema> {
    ObjectBuilder::new()
        .property("data", utoipa::openapi::schema::ArrayBuilder::new().items(kind.schema()))
        .property("next", ObjectBuilder::new().description(Some("Path of the next page, or null.")))
        .property(
            "offset",
            ObjectBuilder::new().description(Some("`offset` of the next page, if there is one.")),
        )
        .into()
}

type EntityBody = RawBody<BODY_BYTES_MAX>;

/// The entity that a nested path goes through, as the path names it.
type Parent = Option<(&'static Nested, String)>;

#[derive(Deserialize)]
pub struct ListQuery {
    size: Option<String>,
    offset: Option<String>,
    tags: Option<String>,
}

#[derive(Deserialize)]
pub struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
}

impl App {
    async fn list(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        kind: Kind,
        parent: Parent,
        Query(query): Query<ListQuery>,
    ) -> Answer<Json<Value>> {
        self.control_plane(caller, id, action(kind, false)?).await?;
        let (size, after, tags) = query.parse()?;
        let parent = self.parent(id, parent.as_ref()).await?;
        let filter = Filter { parent, tags };
        let mut rows = store::list(&self.db, id, kind, &filter, after, i64::from(size) + 1).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let offset = rows.last().filter(|_| more).map(|row| BASE64_URL_SAFE_NO_PAD.encode(row.id.as_bytes()));
        let next = offset.as_ref().map(|offset| {
            format!("/v2/control-planes/{id}/core-entities/{}?size={size}&offset={offset}", kind.collection())
        });
        let data = rows.iter().map(|row| self.shown(row)).collect::<Result<Vec<_>, _>>()?;
        let mut page = json!({"data": data, "next": next});
        if let Some(offset) = offset {
            page["offset"] = offset.into();
        }
        Ok(Json(page))
    }

    async fn get(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        kind: Kind,
        parent: Parent,
        entity: &str,
    ) -> Answer<Response> {
        self.control_plane(caller, id, action(kind, false)?).await?;
        let parent = self.parent(id, parent.as_ref()).await?;
        let row = self.row(id, kind, &Selector::parse(entity), parent).await?;
        let row = row.ok_or_else(|| Problem::not_found(kind.label()))?;
        Ok(with_etag(StatusCode::OK, self.shown(&row)?.to_string(), row.version.cast_unsigned()))
    }

    async fn create(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        kind: Kind,
        parent: Parent,
        idempotency: Idempotency,
        body: &[u8],
    ) -> Answer<Response> {
        self.control_plane(caller, id, action(kind, true)?).await?;
        let parent = self.parent(id, parent.as_ref()).await?;
        let (given_id, entity) = read(kind, body, parent, None)?;
        let command = Command::Create { id: given_id.unwrap_or_else(Uuid::now_v7), entity };
        let request = Request {
            command,
            session: caller.session.clone(),
            idempotency,
            dry_run: false,
            status: (StatusCode::CREATED, StatusCode::CREATED),
        };
        Ok(respond(self.committers.commit(id, request).await?))
    }

    async fn put(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        kind: Kind,
        parent: Parent,
        entity: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Answer<Response> {
        self.control_plane(caller, id, action(kind, true)?).await?;
        let parent = self.parent(id, parent.as_ref()).await?;
        let selector = Selector::parse(entity);
        let name = match &selector {
            Selector::Name(name) => {
                Some(name_key(kind, name).ok_or_else(|| Problem::not_found(kind.label()))?)
            }
            Selector::Id(_) => None,
        };
        let (given_id, read) = read(kind, body, parent, name)?;
        if matches!(selector, Selector::Id(id) if given_id.is_some_and(|given| given != id)) {
            return Err(Problem::invalid_field("id", "must be the id in the path"));
        }
        let command = Command::Upsert {
            selector,
            new_id: given_id.unwrap_or_else(Uuid::now_v7),
            entity: read,
            if_match: if_match(headers)?,
        };
        let request = Request {
            command,
            session: caller.session.clone(),
            idempotency: Idempotency::default(),
            dry_run: false,
            status: (StatusCode::OK, StatusCode::OK),
        };
        Ok(respond(self.committers.commit(id, request).await?))
    }

    /// A credential is revoked first, in its own lane; the ordinary delete follows.
    async fn delete(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        kind: Kind,
        parent: Parent,
        entity: &str,
        headers: &HeaderMap,
    ) -> Answer<Response> {
        self.control_plane(caller, id, action(kind, true)?).await?;
        let parent = self.parent(id, parent.as_ref()).await?;
        let if_match = if_match(headers)?;
        let Some(row) = self.row(id, kind, &Selector::parse(entity), parent).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let revokes = revocations::is_revocation(kind);
        if revokes {
            if if_match.is_some_and(|version| version != row.version.cast_unsigned()) {
                return Err(Problem::new(
                    ProblemType::PreconditionFailed,
                    "If-Match: the entity has another version",
                ));
            }
            revocations::revoke(&self.db, &self.feed, id, kind, row.id).await?;
        }
        let request = Request {
            command: Command::Delete {
                kind,
                selector: Selector::Id(row.id),
                if_match: if_match.filter(|_| !revokes),
            },
            session: caller.session.clone(),
            idempotency: Idempotency::default(),
            dry_run: false,
            status: (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT),
        };
        let committed = self.committers.commit(id, request).await?;
        if revokes {
            revocations::done(&self.db, id, kind, row.id).await?;
        }
        Ok(respond(committed))
    }

    /// The parent's reference field and id; 404 unless it is there.
    async fn parent(
        &self,
        id: ControlPlaneId,
        parent: Option<&(&'static Nested, String)>,
    ) -> Answer<Option<(&'static str, Uuid)>> {
        let Some((nested, name)) = parent else { return Ok(None) };
        let row = self.row(id, nested.parent, &Selector::parse(name), None).await?;
        let row = row.ok_or_else(|| Problem::not_found(nested.parent.label()))?;
        Ok(Some((nested.field, row.id)))
    }

    /// The entity that `selector` names, if it is there and refers to `parent`.
    async fn row(
        &self,
        id: ControlPlaneId,
        kind: Kind,
        selector: &Selector,
        parent: Option<(&'static str, Uuid)>,
    ) -> Answer<Option<Row>> {
        let entity_id = match selector {
            Selector::Id(entity_id) => Some(*entity_id),
            Selector::Name(name) => match name_key(kind, name) {
                Some(key) => store::holder(&self.db, id, kind, &key).await?,
                None => None,
            },
        };
        let Some(entity_id) = entity_id else { return Ok(None) };
        let Some(row) = store::get(&self.db, id, kind, entity_id).await? else { return Ok(None) };
        let Some((field, parent_id)) = parent else { return Ok(Some(row)) };
        let entity = row.entity(&self.seal)?;
        let belongs = entity
            .references()
            .iter()
            .any(|reference| reference.field == field && reference.target.id() == Some(parent_id));
        Ok(belongs.then_some(row))
    }

    fn shown(&self, row: &Row) -> Result<Value, Error> {
        Ok(show(row.entity(&self.seal)?.to_api(), row.id, row.created_at, row.updated_at))
    }
}

async fn apply_document(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(query): Query<ApplyQuery>,
    RawBody(body): RawBody<{ declarative::DOCUMENT_BYTES_MAX }>,
) -> Answer<Response> {
    app.control_plane(&caller, id, Action::ConfigApply).await?;
    // Parsing a large document takes a while: not on a thread that serves others.
    let document = tokio::task::spawn_blocking(move || {
        let text = std::str::from_utf8(&body).map_err(|error| {
            Problem::new(ProblemType::MalformedBody, format!("the document is not UTF-8: {error}"))
        })?;
        declarative::parse(text).map_err(|invalid| refusal(&invalid))
    });
    let document = document.await.map_err(Problem::internal)??;
    let request = Request {
        command: Command::Apply { document: document.into(), namespace: id.uuid() },
        session: caller.session.clone(),
        idempotency: Idempotency::default(),
        dry_run: query.dry_run,
        status: (StatusCode::OK, StatusCode::OK),
    };
    Ok(respond(app.committers.commit(id, request).await?))
}

fn action(kind: Kind, write: bool) -> Answer<Action> {
    Action::entity(kind.name(), write).ok_or_else(|| Problem::internal("a kind without actions"))
}

/// Reads an entity's body. Below a parent, the reference to it is the path's; under a name, so is the name.
fn read(
    kind: Kind,
    body: &[u8],
    parent: Option<(&'static str, Uuid)>,
    name: Option<UniqueKey>,
) -> Answer<(Option<Uuid>, Entity)> {
    let mut value = gateway_model::parse_body(body).map_err(|invalid| refusal(&invalid))?;
    if let (Some((field, id)), Some(fields)) = (parent, value.as_object_mut()) {
        fields.insert(field.to_owned(), json!({ "id": id }));
    }
    if let (Some(key), Some(fields)) = (name, value.as_object_mut()) {
        let given = fields.entry(key.field).or_insert(Value::Null);
        if given.is_null() {
            *given = key.value.into();
        } else if *given != Value::String(key.value) {
            return Err(Problem::invalid_field(
                key.field,
                "must be the one in the path; put it under its id to rename it",
            ));
        }
    }
    let id = gateway_model::body_id(&value).map_err(|invalid| refusal(&invalid))?;
    let mut entity = Entity::from_api(kind, &value).map_err(|invalid| refusal(&invalid))?;
    if let Entity::KeyAuth(credential) = &mut entity
        && credential.needs_key()
    {
        let key = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; GENERATED_KEY_BYTES]>());
        credential.set_key(key).map_err(Problem::internal)?;
    }
    Ok((id, entity))
}

fn if_match(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag =
        value.to_str().ok().and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    tag.map(Some).ok_or_else(|| {
        Problem::new(
            ProblemType::InvalidParameter,
            "If-Match: send the ETag of an earlier answer, quotes included",
        )
    })
}

fn respond(committed: Committed) -> Response {
    if committed.body.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    with_etag(committed.status, committed.body, committed.version)
}

fn with_etag(status: StatusCode, body: String, version: u64) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

impl ListQuery {
    fn parse(&self) -> Answer<(u32, Option<Uuid>, Vec<String>)> {
        let size = match self.size.as_deref().map(str::parse::<u32>) {
            None => SIZE_DEFAULT,
            Some(Ok(size)) if (1..=SIZE_MAX).contains(&size) => size,
            Some(_) => return Err(invalid_parameter("size", &format!("a number from 1 to {SIZE_MAX}"))),
        };
        let after = self.offset.as_deref().filter(|offset| !offset.is_empty()).map(|offset| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(offset).ok()?;
            Uuid::from_slice(&bytes).ok()
        });
        let after = match after {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => {
                return Err(invalid_parameter("offset", "use `offset` of the previous answer, unchanged"));
            }
        };
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.contains('/') {
            return Err(invalid_parameter(
                "tags",
                "separate tags by commas: entities with all of them are listed",
            ));
        }
        let tags: Vec<String> = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if tags.len() > TAGS_MAX {
            return Err(invalid_parameter("tags", &format!("at most {TAGS_MAX}")));
        }
        Ok((size, after, tags))
    }
}

fn invalid_parameter(field: &str, reason: &str) -> Problem {
    let mut problem = Problem::new(ProblemType::InvalidParameter, format!("{field}: {reason}"));
    problem.fields.push(web::FieldError { field: field.to_owned(), reason: reason.to_owned() });
    problem
}

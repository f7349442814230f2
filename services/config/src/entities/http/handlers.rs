//! What the endpoints of a collection do, for every kind alike.

use access::{Action, Caller};
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Kind, declarative};
use ids::ControlPlaneId;
use mutation::Key;
use postgres::Error;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Answer, Json, Problem, ProblemType};

use super::{
    Parent,
    input::{ApplyQuery, ListQuery, if_match, read, respond, with_etag},
};
use crate::{
    App,
    entities::{
        committer::{Request, show},
        plan::{Command, Selector, name_key},
        refusal, revocations,
        store::{self, Filter, Row},
    },
};

/// What a path names: a collection, or an entity in it.
pub struct Place {
    pub control_plane: ControlPlaneId,
    pub kind: Kind,
    /// The way through another entity, and that entity's id or name.
    pub parent: Option<(Parent, String)>,
    /// Id or name; empty for the collection itself.
    pub entity: String,
}

impl Place {
    /// What a caller needs for reading or writing here.
    fn action(&self, write: bool) -> Answer<Action> {
        Action::entity(self.kind.name(), write).ok_or_else(|| Problem::internal("a kind without actions"))
    }

    /// The collection as a path names it; `parent` is the resolved one.
    fn collection(&self, parent: Option<(&'static str, Uuid)>) -> String {
        match (&self.parent, parent) {
            (Some((way, _)), Some((_, id))) => format!("{}/{id}/{}", way.kind.collection(), way.segment),
            _ => self.kind.collection().to_owned(),
        }
    }
}

/// The tags of a filter as a further query parameter, or nothing.
fn tags_of(filter: &Filter) -> String {
    let tags = filter.tags.join(",");
    let tags: String = url::form_urlencoded::byte_serialize(tags.as_bytes()).collect();
    if tags.is_empty() { tags } else { format!("&tags={tags}") }
}

impl App {
    pub async fn list(&self, caller: &Caller, place: Place, query: &ListQuery) -> Answer<Json<Value>> {
        let (id, kind) = (place.control_plane, place.kind);
        self.control_plane(caller, id, place.action(false)?).await?;
        let (size, after, tags) = query.parse()?;
        let filter = Filter { parent: self.parent(&place).await?, tags };
        let mut rows = store::list(&self.db, id, kind, &filter, after, i64::from(size) + 1).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let offset = rows.last().filter(|_| more).map(|row| BASE64_URL_SAFE_NO_PAD.encode(row.id.as_bytes()));
        let (collection, tags) = (place.collection(filter.parent), tags_of(&filter));
        let next = offset.as_ref().map(|offset| {
            format!("/v2/control-planes/{id}/core-entities/{collection}?size={size}&offset={offset}{tags}")
        });
        let data = rows.iter().map(|row| self.shown(row)).collect::<Result<Vec<_>, _>>()?;
        let mut page = json!({"data": data, "next": next});
        if let Some(offset) = offset {
            page["offset"] = offset.into();
        }
        Ok(Json(page))
    }

    pub async fn get(&self, caller: &Caller, place: Place) -> Answer<Response> {
        self.control_plane(caller, place.control_plane, place.action(false)?).await?;
        let row = self.row(&place).await?.ok_or_else(|| Problem::not_found(place.kind.label()))?;
        Ok(with_etag(StatusCode::OK, self.shown(&row)?.to_string(), row.version.cast_unsigned()))
    }

    pub async fn create(
        &self,
        caller: &Caller,
        place: Place,
        key: Option<Key>,
        body: &[u8],
    ) -> Answer<Response> {
        self.control_plane(caller, place.control_plane, place.action(true)?).await?;
        let (given_id, entity) = read(place.kind, body, self.parent(&place).await?, None)?;
        let request = Request {
            command: Command::Create { id: given_id.unwrap_or_else(Uuid::now_v7), entity },
            session: caller.session.clone(),
            key,
            dry_run: false,
            status: (StatusCode::CREATED, StatusCode::CREATED),
        };
        Ok(respond(self.committers.commit(place.control_plane, request).await?))
    }

    pub async fn put(
        &self,
        caller: &Caller,
        place: Place,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Answer<Response> {
        self.control_plane(caller, place.control_plane, place.action(true)?).await?;
        let selector = Selector::parse(&place.entity);
        let name = match &selector {
            Selector::Name(name) => {
                Some(name_key(place.kind, name).ok_or_else(|| Problem::not_found(place.kind.label()))?)
            }
            Selector::Id(_) => None,
        };
        let (given_id, entity) = read(place.kind, body, self.parent(&place).await?, name)?;
        if matches!(selector, Selector::Id(id) if given_id.is_some_and(|given| given != id)) {
            return Err(Problem::invalid_field("id", "must be the id in the path"));
        }
        let new_id = given_id.unwrap_or_else(Uuid::now_v7);
        let request = Request {
            command: Command::Upsert { selector, new_id, entity, if_match: if_match(headers)? },
            session: caller.session.clone(),
            key: None,
            dry_run: false,
            status: (StatusCode::OK, StatusCode::OK),
        };
        Ok(respond(self.committers.commit(place.control_plane, request).await?))
    }

    /// A credential is revoked first, in its own lane; the ordinary delete follows.
    pub async fn delete(&self, caller: &Caller, place: Place, headers: &HeaderMap) -> Answer<Response> {
        let (id, kind) = (place.control_plane, place.kind);
        self.control_plane(caller, id, place.action(true)?).await?;
        let if_match = if_match(headers)?;
        let Some(row) = self.row(&place).await? else { return Ok(StatusCode::NO_CONTENT.into_response()) };
        let revokes = revocations::is_revocation(kind);
        if revokes {
            if if_match.is_some_and(|version| version != row.version.cast_unsigned()) {
                let detail = "If-Match: the entity has another version; read it again";
                return Err(Problem::new(ProblemType::PreconditionFailed, detail));
            }
            revocations::revoke(&self.db, &self.feed, id, kind, row.id).await?;
        }
        let if_match = if_match.filter(|_| !revokes);
        let request = Request {
            command: Command::Delete { kind, selector: Selector::Id(row.id), if_match },
            session: caller.session.clone(),
            key: None,
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
    async fn parent(&self, place: &Place) -> Answer<Option<(&'static str, Uuid)>> {
        let Some((parent, name)) = &place.parent else { return Ok(None) };
        let row = self.find(place.control_plane, parent.kind, &Selector::parse(name)).await?;
        let row = row.ok_or_else(|| Problem::not_found(parent.kind.label()))?;
        Ok(Some((parent.field, row.id)))
    }

    /// The entity that the path names, if it is there, below the parent that the path names.
    async fn row(&self, place: &Place) -> Answer<Option<Row>> {
        let parent = self.parent(place).await?;
        let found = self.find(place.control_plane, place.kind, &Selector::parse(&place.entity)).await?;
        let (Some(row), Some((field, id))) = (&found, parent) else { return Ok(found) };
        let entity = row.entity(&self.seal)?;
        let mut references = entity.references().into_iter();
        let below = references.any(|reference| reference.field == field && reference.target.id() == Some(id));
        Ok(found.filter(|_| below))
    }

    async fn find(&self, id: ControlPlaneId, kind: Kind, selector: &Selector) -> Result<Option<Row>, Error> {
        let entity = match selector {
            Selector::Id(entity) => Some(*entity),
            Selector::Name(name) => match name_key(kind, name) {
                Some(key) => store::holder(&self.db, id, kind, &key).await?,
                None => None,
            },
        };
        match entity {
            Some(entity) => store::get(&self.db, id, kind, entity).await,
            None => Ok(None),
        }
    }

    fn shown(&self, row: &Row) -> Result<Value, Error> {
        Ok(show(row.entity(&self.seal)?.to_api(), row.id, row.created_at, row.updated_at))
    }
}

pub async fn apply_document(
    app: App,
    caller: Caller,
    id: ControlPlaneId,
    query: ApplyQuery,
    body: Bytes,
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
        key: None,
        dry_run: query.dry_run,
        status: (StatusCode::OK, StatusCode::OK),
    };
    Ok(respond(app.committers.commit(id, request).await?))
}

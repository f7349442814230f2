//! What the endpoints of a collection do. It is the same for every kind.

use access::Caller;
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Entity, Kind};
use ids::ControlPlaneId;
use mutation::Key;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Json, Problem};

use super::{
    Collection, Parent,
    input::{Input, if_match, read},
    members::Side,
    output,
    query::ListQuery,
};
use crate::{
    control_planes::ControlPlanes,
    entities::{
        CommitError, Entities, Refusal,
        committer::{Actor, Keep, Outcome, Request, Task},
        known::EntityId,
        plan::{Command, Selector},
        revocations,
        store::{self, EntityRow, Filter, Listed, Wanted},
    },
    error::Answer,
    rows::RowError,
};

/// The collection that a path names.
pub struct Place {
    /// From the path; not checked to exist.
    pub control_plane: ControlPlaneId,
    /// The kind of entities and the actions that reading and writing them need.
    pub collection: Collection,
    /// The entity that the collection is nested below, as the path names it; `None` for a collection of all entities of a kind.
    pub parent: Option<(Parent, Selector)>,
}

/// A parent that exists: the field by which its children refer to it, and its id.
type Found = (&'static str, Uuid);

impl Place {
    pub(super) fn kind(&self) -> Kind {
        self.collection.kind
    }

    /// The collection's path below `core-entities`, with the id of the resolved parent.
    fn path(&self, parent: Option<Found>) -> String {
        match (&self.parent, parent) {
            (Some((way, _)), Some((_, id))) => {
                format!("{}/{id}/{}", way.kind.collection(), way.child.segment)
            }
            _ => self.kind().collection().to_owned(),
        }
    }
}

/// One page of the collection, as decK reads it: `data`, `next` and `offset`. Entities come in order of their ids.
pub async fn list(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    place: &Place,
    query: ListQuery,
) -> Answer<Json<Value>> {
    let (id, kind) = (place.control_plane, place.kind());
    planes.authorize(caller, id, place.collection.read).await?;
    let ListQuery { size, after, filter, rest } = query;
    let filter = Filter { parent: entities.parent(place).await?, ..filter };
    let Listed { rows, more } = store::list(&entities.db, id, kind, &filter, after, i64::from(size)).await?;
    let offset = rows.last().filter(|_| more).map(|row| offset(row.id));
    let path = place.path(filter.parent);
    let next = offset.as_ref().map(|offset| {
        format!("/v2/control-planes/{id}/core-entities/{path}?size={size}&offset={offset}{rest}")
    });
    let sealing = entities.sealing(id);
    let shown = rows.iter().map(|row| Ok(output::show(&row.shown(&sealing)?)));
    let data = shown.collect::<Result<Vec<_>, RowError>>()?;
    let mut page = json!({"data": data, "next": next});
    if let Some(offset) = offset {
        page["offset"] = offset.into();
    }
    Ok(Json(page))
}

/// Where the page after the entity `last` begins.
pub(super) fn offset(last: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(last.as_bytes())
}

/// One entity with its `ETag`; 404 if there is none. A group of consumers comes with its members, if `with_members`.
pub async fn get(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    (place, selector): (&Place, &Selector),
    with_members: bool,
) -> Answer<Response> {
    planes.authorize(caller, place.control_plane, place.collection.read).await?;
    let row = entities.row(place, selector).await?;
    let row = row.ok_or_else(|| Problem::not_found(place.kind().label()))?;
    let shown = row.shown(&entities.sealing(place.control_plane))?;
    let Some(side) = Side::shown_with(place.kind()) else {
        return Ok(output::entity(StatusCode::OK, &shown));
    };
    let around = side.around(entities, place.control_plane, &shown, with_members).await?;
    Ok(output::with_more(StatusCode::OK, &shown, around))
}

/// Makes an entity and answers 201 with it. A retry with the same idempotency key gets the same answer.
pub async fn create(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    place: &Place,
    key: Option<Key>,
    (skip_hash, body): (bool, Bytes),
) -> Answer<Response> {
    planes.authorize(caller, place.control_plane, place.collection.write).await?;
    let input = Input {
        control_plane: place.control_plane,
        kind: place.kind(),
        body,
        parent: entities.parent(place).await?,
        skip_hash,
        name: None,
    };
    let (given_id, entity) = entities.read(caller, input).await?;
    let request = Request {
        keep: key.map(|key| Keep { key, render: output::kept }),
        ..Request::plain(
            Command::Create { id: given_id.unwrap_or_else(Uuid::now_v7), entity },
            Actor::Person(caller.clone()),
        )
    };
    let outcome = entities.committers.commit(place.control_plane, request).await?;
    Ok(output::outcome(StatusCode::CREATED, &outcome))
}

/// Makes the entity as the body says, whether it exists or not. With `If-Match`, only at that version.
pub async fn put(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    (place, selector): (&Place, Selector),
    headers: &HeaderMap,
    (skip_hash, body): (bool, Bytes),
) -> Answer<Response> {
    planes.authorize(caller, place.control_plane, place.collection.write).await?;
    let kind = place.kind();
    let name = match &selector {
        Selector::Name(name) if kind.name_key(name).is_none() => {
            return Err(Problem::not_found(kind.label()).into());
        }
        Selector::Name(name) => Some(name.clone()),
        Selector::Id(_) => None,
    };
    let input = Input {
        control_plane: place.control_plane,
        kind,
        body,
        parent: entities.parent(place).await?,
        skip_hash,
        name,
    };
    let (given_id, entity) = entities.read(caller, input).await?;
    if matches!(selector, Selector::Id(id) if given_id.is_some_and(|given| given != id)) {
        return Err(Problem::invalid_field("id", "must be the id in the path").into());
    }
    let new_id = given_id.unwrap_or_else(Uuid::now_v7);
    let command = Command::Upsert { selector, new_id, entity, if_match: if_match(headers)? };
    let outcome = entities.write(caller, place.control_plane, command).await?;
    Ok(output::outcome(StatusCode::OK, &outcome))
}

/// Deletes an entity. If it grants access, it is revoked first, so that nodes deny it before the delete is committed.
pub async fn delete(
    planes: &ControlPlanes,
    entities: &Entities,
    caller: &Caller,
    (place, selector): (&Place, Selector),
    headers: &HeaderMap,
) -> Answer<Response> {
    let (id, kind) = (place.control_plane, place.kind());
    planes.authorize(caller, id, place.collection.write).await?;
    let if_match = if_match(headers)?;
    let Some(row) = entities.row(place, &selector).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let entity = EntityId { kind, id: row.id };
    let selector = Selector::Id(row.id);
    if !kind.grants_access() {
        let outcome = entities.write(caller, id, Command::Delete { kind, selector, if_match }).await?;
        return Ok(output::outcome(StatusCode::OK, &outcome));
    }
    if if_match.is_some_and(|version| version != row.version()) {
        return Err(CommitError::from(Refusal::OtherVersion).into());
    }
    let outcome = entities.revoke_and_delete(caller, id, entity).await?;
    Ok(output::outcome(StatusCode::OK, &outcome))
}

impl Entities {
    /// Reads an entity's body, when it is the organization's turn.
    async fn read(&self, caller: &Caller, input: Input) -> Answer<(Option<Uuid>, Entity)> {
        let organization = caller.session.organization;
        self.validation.bodies.run(organization, move || read(input)).await?
    }

    /// Commits a write that needs no idempotency key: repeating it leads to the same configuration.
    pub(super) async fn write(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        command: Command,
    ) -> Answer<Outcome> {
        let request = Request::plain(command, Actor::Person(caller.clone()));
        Ok(self.committers.commit(id, request).await?)
    }

    /// Commits writes in one version, all or nothing. Repeating them leads to the same configuration.
    pub(super) async fn write_all(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        commands: Vec<Command>,
    ) -> Answer<Outcome> {
        let actor = Actor::Person(caller.clone());
        let task = Task::Together(commands);
        let request = Request { task, actor, keep: None, progress: None };
        Ok(self.committers.commit(id, request).await?)
    }

    /// Revokes an entity that grants access, and deletes it.
    pub(super) async fn revoke_and_delete(
        &self,
        caller: &Caller,
        id: ControlPlaneId,
        entity: EntityId,
    ) -> Answer<Outcome> {
        revocations::revoke(&self.db, &self.feed, id, entity).await?;
        // A revocation cannot be taken back, so `If-Match` is not checked any more: a concurrent write does not keep the entity.
        let selector = Selector::Id(entity.id);
        let outcome =
            self.write(caller, id, Command::Delete { kind: entity.kind, selector, if_match: None }).await?;
        revocations::done(&self.db, id, entity).await?;
        Ok(outcome)
    }

    /// The parent that the path names; `None` if it names none, 404 if there is no such entity.
    pub(super) async fn parent(&self, place: &Place) -> Answer<Option<Found>> {
        let Some((parent, selector)) = &place.parent else { return Ok(None) };
        let row = self.find(place.control_plane, parent.kind, selector).await?;
        let row = row.ok_or_else(|| Problem::not_found(parent.kind.label()))?;
        Ok(Some((parent.child.parent_field, row.id)))
    }

    /// The entity that the path names, if it is there, below the parent that the path names.
    pub(super) async fn row(&self, place: &Place, selector: &Selector) -> Answer<Option<EntityRow>> {
        let parent = self.parent(place).await?;
        let found = self.find(place.control_plane, place.kind(), selector).await?;
        let (Some(row), Some((field, id))) = (&found, parent) else { return Ok(found) };
        let entity = row.entity(&self.sealing(place.control_plane))?;
        let mut references = entity.references().into_iter();
        let below = references.any(|reference| reference.field == field && reference.target.id() == Some(id));
        Ok(found.filter(|_| below))
    }

    pub(super) async fn find(
        &self,
        id: ControlPlaneId,
        kind: Kind,
        selector: &Selector,
    ) -> Result<Option<EntityRow>, RowError> {
        match Wanted::new(id, kind, selector) {
            Some(wanted) => Ok(self.rows.find(wanted).await?),
            None => Ok(None),
        }
    }
}

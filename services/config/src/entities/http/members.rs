//! Members of consumer groups in the forms of Kong's API: consumers below a group, and groups below a consumer. A membership is an
//! entity like every other; here it is made, found and deleted by the two that it joins.

use std::collections::HashMap;

use access::Caller;
use axum::{
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{Child, Entity, Joins, Kind};
use ids::ControlPlaneId;
use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema, schema::Type};
use uuid::Uuid;
use web::{Api, Endpoint, Given, Json, Path, Problem, ProblemType, RawBody};

use super::{AtAll, AtOne, BASE, Collection, EntityBody, list_schema, output, query::ListQuery, schema_name};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    entities::{
        CommitError, Entities, Refusal,
        committer::Shown,
        known::EntityId,
        plan::{Command, Selector},
        store::{self, EntityRow, Filter, Listed},
    },
    error::Answer,
    rows::RowError,
};

/// Most members that are shown with their group, or taken out at once. Of larger ones there are pages.
const SHOWN_MAX: usize = 50_000;
/// Members that are read at once.
const PAGE: i64 = 1000;

/// One side of a kind that joins two: what is above in the path, and what is listed below it. The table of kinds says which there are.
#[derive(Clone, Copy)]
pub(super) struct Side {
    above: Kind,
    child: &'static Child,
    joins: Joins,
}

impl Side {
    fn all() -> impl Iterator<Item = Side> {
        Kind::ALL.into_iter().flat_map(|above| {
            let children = above.children().iter();
            children.filter_map(move |child| Some(Side { above, child, joins: child.joins? }))
        })
    }

    /// What one entity of `kind` is shown with.
    pub(super) fn shown_with(kind: Kind) -> Option<Side> {
        Side::all().find(|side| side.above == kind && side.joins.shown_with_parent)
    }
}

/// Adds the endpoints of each side.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let with_its_collection = |side: Side| {
        let collection =
            super::collections().find(|one| one.kind == side.child.kind && one.parent.is_none())?;
        Some((collection, side))
    };
    Side::all().filter_map(with_its_collection).fold(api, of_side)
}

type Planes = State<ControlPlanes>;
type All = State<Entities>;

fn of_side(api: Api<App>, (memberships, side): (Collection, Side)) -> Api<App> {
    let (above, listed, joining) = (side.above.label(), side.joins.kind.label(), side.child.kind);
    let all = format!("{BASE}/{}/{{entity}}/{}", side.above.collection(), side.child.segment);
    let one = format!("{all}/{{child}}");
    let item: RefOr<Schema> = Ref::from_schema_name(schema_name(side.joins.kind)).into();
    let body: RefOr<Schema> = ObjectBuilder::new()
        .property(
            side.joins.body_field,
            ObjectBuilder::new().schema_type(Type::String).description(Some("Id or name.")),
        )
        .required(side.joins.body_field)
        .into();
    let list = Endpoint::get(&all, format!("List the {}s of a {above}", listed))
        .query_parameters(ListQuery::parameters(joining))
        .answers_schema(StatusCode::OK, list_schema(&item));
    let add = Endpoint::post(&all, format!("Put a {listed} below a {above}; it may be there already"))
        .refuses(ProblemType::TooManyRequests, super::TOO_MANY_WAIT)
        .body_schema(body, "application/json")
        .answers::<Value>(StatusCode::CREATED);
    let remove = Endpoint::delete(&one, format!("Take a {listed} from a {above}, if it is there"));
    let remove_all = Endpoint::delete(&all, format!("Take all {listed}s from a {above}"))
        .refuses(ProblemType::TooManyRequests, super::TOO_MANY_WAIT);
    api.endpoint(
        list,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at): Path<AtAll>,
                    given: Given| {
            let query = ListQuery::read(joining, &given)?;
            planes.authorize(&caller, at.control_plane_id, memberships.read).await?;
            side.list(&entities, at, query).await
        },
    )
    .endpoint(
        add,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at): Path<AtAll>,
                    RawBody(body): EntityBody| {
            planes.authorize(&caller, at.control_plane_id, memberships.write).await?;
            side.add(&entities, &caller, at, &body).await
        },
    )
    .endpoint(
        remove,
        async move |State(planes): Planes, State(entities): All, caller: Caller, Path(at): Path<AtOne>| {
            planes.authorize(&caller, at.control_plane_id, memberships.write).await?;
            side.remove(&entities, &caller, at).await
        },
    )
    .endpoint(
        remove_all,
        async move |State(planes): Planes, State(entities): All, caller: Caller, Path(at): Path<AtAll>| {
            planes.authorize(&caller, at.control_plane_id, memberships.write).await?;
            side.remove_all(&entities, &caller, at).await
        },
    )
}

impl Side {
    /// One page of what is listed, in order of the memberships' ids.
    async fn list(self, entities: &Entities, at: AtAll, query: ListQuery) -> Answer<Json<Value>> {
        let id = at.control_plane_id;
        let above = self.above(entities, id, at.entity.as_deref().unwrap_or_default()).await?;
        let ListQuery { size, after, filter, rest } = query;
        let filter = Filter { parent: Some((self.child.parent_field, above.id)), ..filter };
        let (members, last) = self.members(entities, id, &filter, after, i64::from(size)).await?;
        let offset = last.map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.as_bytes()));
        let path = format!("{}/{}/{}", self.above.collection(), above.id, self.child.segment);
        let next = offset.as_ref().map(|offset| {
            format!("/v2/control-planes/{id}/core-entities/{path}?size={size}&offset={offset}{rest}")
        });
        let mut page = json!({"data": members, "next": next});
        if let Some(offset) = offset {
            page["offset"] = offset.into();
        }
        Ok(Json(page))
    }

    async fn add(self, entities: &Entities, caller: &Caller, at: AtAll, body: &Bytes) -> Answer<Response> {
        let id = at.control_plane_id;
        let above = self.above(entities, id, at.entity.as_deref().unwrap_or_default()).await?;
        let value = gateway_model::parse_body(body)?;
        let Joins { kind, body_field, .. } = self.joins;
        let named = value.get(body_field).and_then(Value::as_str).filter(|named| !named.is_empty());
        let Some(named) = named else {
            let reason = format!("is required: give the id or name of a {}", kind.label());
            return Err(Problem::invalid_field(body_field, reason).into());
        };
        let Some(member) = entities.find(id, kind, &Selector::parse(named)).await? else {
            let reason = format!("names a {} that is not there", kind.label());
            return Err(Problem::invalid_field(body_field, reason).into());
        };
        let membership = self.membership(above.id, member.id)?;
        if self.holder(entities, id, &membership).await?.is_none() {
            entities.write(caller, id, Command::Create { id: Uuid::now_v7(), entity: membership }).await?;
        }
        let sealing = entities.sealing(id);
        let shown = json!({
            self.child.parent_field: output::show(&above.shown(&sealing)?),
            self.child.segment: [output::show(&member.shown(&sealing)?)],
        });
        let json = (header::CONTENT_TYPE, "application/json");
        Ok((StatusCode::CREATED, [json], shown.to_string()).into_response())
    }

    async fn remove(self, entities: &Entities, caller: &Caller, at: AtOne) -> Answer<StatusCode> {
        let id = at.control_plane_id;
        let above = self.above(entities, id, &at.entity).await?;
        let named = at.child.as_deref().unwrap_or_default();
        let Some(member) = entities.find(id, self.joins.kind, &Selector::parse(named)).await? else {
            return Ok(StatusCode::NO_CONTENT);
        };
        let membership = self.membership(above.id, member.id)?;
        if let Some(membership) = self.holder(entities, id, &membership).await? {
            let membership = EntityId { kind: self.child.kind, id: membership };
            entities.revoke_and_delete(caller, id, membership).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    }

    /// Deletes all at once what joins, in one version.
    async fn remove_all(self, entities: &Entities, caller: &Caller, at: AtAll) -> Answer<StatusCode> {
        let (id, kind) = (at.control_plane_id, self.child.kind);
        let above = self.above(entities, id, at.entity.as_deref().unwrap_or_default()).await?;
        let filter = Filter { parent: Some((self.child.parent_field, above.id)), ..Filter::default() };
        let (mut deletes, mut after) = (Vec::new(), None);
        loop {
            let Listed { rows, more } = store::list(&entities.db, id, kind, &filter, after, PAGE).await?;
            let selectors = rows.iter().map(|row| Selector::Id(row.id));
            deletes.extend(selectors.map(|selector| Command::Delete { kind, selector, if_match: None }));
            if deletes.len() > SHOWN_MAX {
                return Err(CommitError::from(Refusal::CascadeTooLarge(SHOWN_MAX)).into());
            }
            after = rows.last().map(|row| row.id);
            if !more {
                break;
            }
        }
        if !deletes.is_empty() {
            entities.write_all(caller, id, deletes).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    }

    /// What the path names; 404 if it is not there.
    async fn above(self, entities: &Entities, id: ControlPlaneId, named: &str) -> Answer<EntityRow> {
        let row = entities.find(id, self.above, &Selector::parse(named)).await?;
        Ok(row.ok_or_else(|| Problem::not_found(self.above.label()))?)
    }

    /// What joins the two.
    fn membership(self, above: Uuid, listed: Uuid) -> Answer<Entity> {
        let body = json!({ self.child.parent_field: {"id": above}, self.joins.field: {"id": listed} });
        Ok(Entity::from_api(self.child.kind, &body)?)
    }

    /// The id of the entity that joins what `membership` joins, if there is one.
    async fn holder(
        self,
        entities: &Entities,
        id: ControlPlaneId,
        membership: &Entity,
    ) -> Result<Option<Uuid>, RowError> {
        match membership.unique_keys().first() {
            Some(key) => store::holder(&entities.db, id, self.child.kind, key).await,
            None => Ok(None),
        }
    }

    /// What the memberships after `after` lead to, as shown; and the last membership, where there are more.
    async fn members(
        self,
        entities: &Entities,
        id: ControlPlaneId,
        filter: &Filter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Answer<(Vec<Value>, Option<Uuid>)> {
        let kind = self.child.kind;
        let Listed { rows, more } = store::list(&entities.db, id, kind, filter, after, limit).await?;
        let sealing = entities.sealing(id);
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            let membership = row.entity(&sealing)?;
            let references = membership.references();
            let listed = references.iter().find(|reference| reference.field == self.joins.field);
            ids.extend(listed.and_then(|reference| reference.target.id()));
        }
        let found = store::get_many(&entities.db, id, self.joins.kind, &ids).await?;
        let mut found: HashMap<Uuid, EntityRow> = found.into_iter().map(|row| (row.id, row)).collect();
        let in_order = ids.iter().filter_map(|id| found.remove(id));
        let shown = in_order.map(|row| Ok(output::show(&row.shown(&sealing)?)));
        let shown = shown.collect::<Result<Vec<_>, RowError>>()?;
        Ok((shown, rows.last().filter(|_| more).map(|row| row.id)))
    }

    /// What Kong's clients expect beside the fields of one group: the group itself, its members, and plugins of its own. `with_members`:
    /// whether the members are asked for.
    pub(super) async fn around(
        self,
        entities: &Entities,
        id: ControlPlaneId,
        above: &Shown,
        with_members: bool,
    ) -> Answer<Map<String, Value>> {
        let filter = Filter { parent: Some((self.child.parent_field, above.id.id)), ..Filter::default() };
        let (mut members, mut after) = (Vec::new(), None);
        let mut has_more = with_members;
        while has_more {
            let (page, last) = self.members(entities, id, &filter, after, PAGE).await?;
            members.extend(page);
            if members.len() > SHOWN_MAX {
                let reason = format!(
                    "is required: the group has more than {SHOWN_MAX} members; send `list_consumers=false`"
                );
                return Err(Problem::invalid_parameter("list_consumers", &reason).into());
            }
            has_more = last.is_some();
            after = last;
        }
        Ok(Map::from_iter([
            (self.child.parent_field.to_owned(), output::show(above)),
            (self.child.segment.to_owned(), members.into()),
            ("plugins".to_owned(), json!([])),
        ]))
    }
}

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
use gateway_model::{ConsumerGroupMember, Entity, Kind, Target};
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
        Entities,
        known::EntityId,
        plan::{Command, Selector},
        store::{self, EntityRow, Filter, Listed},
    },
    error::Answer,
    rows::RowError,
};

/// Most members that are shown with their group. Larger ones are read page by page.
const SHOWN_MAX: usize = 50_000;
/// Members that are read at once.
const PAGE: i64 = 1000;

/// The members of one side of a membership: what is above in the path, and what is listed below it.
#[derive(Clone, Copy)]
struct Side {
    above: Kind,
    /// The field of a membership that refers to it.
    above_field: &'static str,
    listed: Kind,
    listed_field: &'static str,
    segment: &'static str,
    /// The field of a body that names what is added, by id or name.
    body_field: &'static str,
    /// Key of the list in the answer to a `POST`.
    added: &'static str,
}

const SIDES: [Side; 2] = [
    Side {
        above: Kind::ConsumerGroup,
        above_field: "consumer_group",
        listed: Kind::Consumer,
        listed_field: "consumer",
        segment: "consumers",
        body_field: "consumer",
        added: "consumers",
    },
    Side {
        above: Kind::Consumer,
        above_field: "consumer",
        listed: Kind::ConsumerGroup,
        listed_field: "consumer_group",
        segment: "consumer_groups",
        body_field: "group",
        added: "consumer_groups",
    },
];

/// Adds the endpoints of both sides.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let memberships = super::collections()
        .find(|collection| collection.kind == Kind::ConsumerGroupMember && collection.parent.is_none());
    memberships.into_iter().flat_map(|memberships| SIDES.map(|side| (memberships, side))).fold(api, of_side)
}

type Planes = State<ControlPlanes>;
type All = State<Entities>;

fn of_side(api: Api<App>, (memberships, side): (Collection, Side)) -> Api<App> {
    let (above, listed) = (side.above.label(), side.listed.label());
    let all = format!("{BASE}/{}/{{entity}}/{}", side.above.collection(), side.segment);
    let one = format!("{all}/{{child}}");
    let item: RefOr<Schema> = Ref::from_schema_name(schema_name(side.listed)).into();
    let body: RefOr<Schema> = ObjectBuilder::new()
        .property(
            side.body_field,
            ObjectBuilder::new().schema_type(Type::String).description(Some("Id or name.")),
        )
        .required(side.body_field)
        .into();
    let list = Endpoint::get(&all, format!("List the {}s of a {above}", listed))
        .query_parameters(ListQuery::parameters(Kind::ConsumerGroupMember))
        .answers_schema(StatusCode::OK, list_schema(&item));
    let add = Endpoint::post(&all, format!("Put a {listed} below a {above}; it may be there already"))
        .refuses(ProblemType::TooManyRequests, super::TOO_MANY_WAIT)
        .body_schema(body, "application/json")
        .answers::<Value>(StatusCode::CREATED);
    let remove = Endpoint::delete(&one, format!("Take a {listed} from a {above}, if it is there"));
    api.endpoint(
        list,
        async move |State(planes): Planes,
                    State(entities): All,
                    caller: Caller,
                    Path(at): Path<AtAll>,
                    given: Given| {
            let query = ListQuery::read(Kind::ConsumerGroupMember, &given)?;
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
}

impl Side {
    /// One page of what is listed, in order of the memberships' ids.
    async fn list(self, entities: &Entities, at: AtAll, query: ListQuery) -> Answer<Json<Value>> {
        let id = at.control_plane_id;
        let above = self.above(entities, id, at.entity.as_deref().unwrap_or_default()).await?;
        let ListQuery { size, after, filter, rest } = query;
        let filter = Filter { parent: Some((self.above_field, above.id)), ..filter };
        let (members, last) = self.members(entities, id, &filter, after, i64::from(size)).await?;
        let offset = last.map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.as_bytes()));
        let path = format!("{}/{}/{}", self.above.collection(), above.id, self.segment);
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
        let named = value.get(self.body_field).and_then(Value::as_str).filter(|named| !named.is_empty());
        let Some(named) = named else {
            let reason = format!("is required: give the id or name of a {}", self.listed.label());
            return Err(Problem::invalid_field(self.body_field, reason).into());
        };
        let Some(member) = entities.find(id, self.listed, &Selector::parse(named)).await? else {
            let reason = format!("names a {} that is not there", self.listed.label());
            return Err(Problem::invalid_field(self.body_field, reason).into());
        };
        if self.membership(entities, id, above.id, member.id).await?.is_none() {
            let membership =
                json!({ self.above_field: {"id": above.id}, self.listed_field: {"id": member.id} });
            let entity = Entity::from_api(Kind::ConsumerGroupMember, &membership)?;
            entities.write(caller, id, Command::Create { id: Uuid::now_v7(), entity }).await?;
        }
        let sealing = entities.sealing(id);
        let shown = json!({
            self.above_field: output::show(&above.shown(&sealing)?),
            self.added: [output::show(&member.shown(&sealing)?)],
        });
        let json = (header::CONTENT_TYPE, "application/json");
        Ok((StatusCode::CREATED, [json], shown.to_string()).into_response())
    }

    async fn remove(self, entities: &Entities, caller: &Caller, at: AtOne) -> Answer<StatusCode> {
        let id = at.control_plane_id;
        let above = self.above(entities, id, &at.entity).await?;
        let named = at.child.as_deref().unwrap_or_default();
        let Some(member) = entities.find(id, self.listed, &Selector::parse(named)).await? else {
            return Ok(StatusCode::NO_CONTENT);
        };
        if let Some(membership) = self.membership(entities, id, above.id, member.id).await? {
            let membership = EntityId { kind: Kind::ConsumerGroupMember, id: membership };
            entities.revoke_and_delete(caller, id, membership).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    }

    /// What the path names; 404 if it is not there.
    async fn above(self, entities: &Entities, id: ControlPlaneId, named: &str) -> Answer<EntityRow> {
        let row = entities.find(id, self.above, &Selector::parse(named)).await?;
        Ok(row.ok_or_else(|| Problem::not_found(self.above.label()))?)
    }

    /// The id of the membership that joins the two, if there is one.
    async fn membership(
        self,
        entities: &Entities,
        id: ControlPlaneId,
        above: Uuid,
        listed: Uuid,
    ) -> Result<Option<Uuid>, RowError> {
        let (above, listed) = (Target::Id(above), Target::Id(listed));
        let (consumer, group) = if self.above == Kind::Consumer { (above, listed) } else { (listed, above) };
        let key = ConsumerGroupMember::key(&consumer, &group);
        store::holder(&entities.db, id, Kind::ConsumerGroupMember, &key).await
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
        let kind = Kind::ConsumerGroupMember;
        let Listed { rows, more } = store::list(&entities.db, id, kind, filter, after, limit).await?;
        let sealing = entities.sealing(id);
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            let membership = row.entity(&sealing)?;
            let references = membership.references();
            let listed = references.iter().find(|reference| reference.field == self.listed_field);
            ids.extend(listed.and_then(|reference| reference.target.id()));
        }
        let found = store::get_many(&entities.db, id, self.listed, &ids).await?;
        let mut found: HashMap<Uuid, EntityRow> = found.into_iter().map(|row| (row.id, row)).collect();
        let in_order = ids.iter().filter_map(|id| found.remove(id));
        let shown = in_order.map(|row| Ok(output::show(&row.shown(&sealing)?)));
        let shown = shown.collect::<Result<Vec<_>, RowError>>()?;
        Ok((shown, rows.last().filter(|_| more).map(|row| row.id)))
    }
}

/// What Kong's clients expect beside the fields of one group: the group itself, its members, and plugins of its own. `with_members`:
/// whether the members are asked for.
pub async fn around_group(
    entities: &Entities,
    id: ControlPlaneId,
    group: &Value,
    with_members: bool,
) -> Answer<Map<String, Value>> {
    let [side, _] = SIDES;
    let mut members = Vec::new();
    let group_id = group.get("id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
    if let (true, Some(group_id)) = (with_members, group_id) {
        let filter = Filter { parent: Some((side.above_field, group_id)), ..Filter::default() };
        let mut after = None;
        loop {
            let (page, last) = side.members(entities, id, &filter, after, PAGE).await?;
            members.extend(page);
            if members.len() > SHOWN_MAX {
                let reason = format!(
                    "is required: the group has more than {SHOWN_MAX} members; send `list_consumers=false`"
                );
                return Err(Problem::invalid_parameter("list_consumers", &reason).into());
            }
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    Ok(Map::from_iter([
        ("consumer_group".to_owned(), group.clone()),
        ("consumers".to_owned(), members.into()),
        ("plugins".to_owned(), json!([])),
    ]))
}

//! `/v3/audit-logs`: the audit log in pages, and whole.

use std::{collections::VecDeque, io, net::IpAddr, sync::Arc, time::Duration};

use access::{Action, Caller, Resource};
use audit_log::{ChainState, EntryType, Filter, Line, Outcome, PAGE_MAX, ReadError, Record};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::stream::try_unfold;
use ids::OrganizationId;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Type},
};
use web::{Api, Endpoint, Given, Json, Parameter, Problem, ProblemType, Query, QueryParameters, Values};

use super::{AuditLogs, Cursor};
use crate::{app::App, error::Answer};

/// Most entries of a page.
const SIZE_MAX: u32 = PAGE_MAX - 1;
const SIZE: &str = "page[size]";
const AFTER: &str = "page[after]";
const FROM: &str = "filter[ts][gte]";
const UNTIL: &str = "filter[ts][lte]";
const TYPE: &str = "filter[type]";
const ACTOR: &str = "filter[actor]";
const ACTION: &str = "filter[action]";
const OUTCOME: &str = "filter[outcome]";
const CLIENT_IP: &str = "filter[client_ip]";
const USER_AGENT: &str = "filter[user_agent]";

/// Adds the endpoints that read the audit log.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let lines = ObjectBuilder::new().schema_type(Type::String).description(Some(
        "JSON lines (`application/x-ndjson`): for each service a line `{\"record\": \"chain\", …}` with the signed end of its chain, \
         then its entries, `{\"record\": \"entry\", …}`. `landbridge audit verify --file` reads it.",
    ));
    api.endpoint(
        Endpoint::get(
            "/v3/audit-logs",
            "The audit log of the region, oldest first: what was written, what was refused, who signed on",
        )
        .query::<Asked>()
        .answers::<AuditLogPage>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::get(
            "/v3/audit-logs/export",
            "The whole audit log of the region, in a form that can be verified",
        )
        .refuses(ProblemType::TooManyRequests, "4 exports are under way; try again later")
        .answers_schema(StatusCode::OK, lines.into()),
        export,
    )
}

/// Which entries, and how many.
struct Asked {
    size: u32,
    after: Cursor,
    filter: Filter,
}

impl QueryParameters for Asked {
    fn parameters() -> Vec<Parameter> {
        let time = |name, meaning| Parameter::text(name, meaning, "2026-01-31T12:00:00Z");
        vec![
            Parameter::new(
                SIZE,
                Values::Number { min: 1, max: SIZE_MAX.into() },
                "Most entries of a page.",
                "100",
            )
            .default("20"),
            Parameter::text(
                AFTER,
                "Where the page begins: `meta.page.next` or `meta.page.resume` of an earlier answer, unchanged.",
                "eyJhdXRoeiI6MX0",
            ),
            time(FROM, "Only entries from then on (RFC 3339)."),
            time(UNTIL, "Only entries until then, that moment included (RFC 3339)."),
            Parameter::new(
                TYPE,
                Values::OneOf(EntryType::NAMES),
                "Only entries of this type.",
                "authorization",
            ),
            Parameter::text(
                ACTOR,
                "Only what this user or system account did.",
                "0192d3a4-5b6c-7d8e-9f00-112233445566",
            ),
            Parameter::text(ACTION, "Only entries with this action.", "route.put"),
            Parameter::new(
                OUTCOME,
                Values::OneOf(Outcome::NAMES),
                "Only entries with this outcome.",
                "denied",
            ),
            Parameter::text(
                CLIENT_IP,
                "Only what came from this address, as identity has noted it. In the organization's home region only.",
                "192.0.2.1",
            ),
            Parameter::text(
                USER_AGENT,
                "Only what this user agent has sent, as identity has noted it. In the organization's home region only.",
                "curl/8.5.0",
            ),
        ]
    }

    fn read(given: &Given) -> Result<Self, Problem> {
        let text = |name: &str| given.text(name).map(str::to_owned);
        let actor = given.text(ACTOR).map(str::parse).transpose();
        let filter = Filter {
            from: moment(given, FROM)?,
            until: moment(given, UNTIL)?,
            kind: text(TYPE),
            actor: actor.map_err(|_| Problem::invalid_parameter(ACTOR, "must be a UUID"))?,
            action: text(ACTION),
            outcome: text(OUTCOME),
            with_clients: true,
            client_ip: address(given)?,
            user_agent: text(USER_AGENT),
            ..Filter::default()
        };
        let after = given.text(AFTER).map(cursor).transpose()?.unwrap_or_default();
        Ok(Self { size: given.number(SIZE).unwrap_or(20), after, filter })
    }
}

fn moment(given: &Given, name: &str) -> Result<Option<OffsetDateTime>, Problem> {
    let parsed = given.text(name).map(|text| OffsetDateTime::parse(text, &Rfc3339)).transpose();
    parsed.map_err(|_| {
        Problem::invalid_parameter(name, "must be a moment as RFC 3339 writes it, as in 2026-01-31T12:00:00Z")
    })
}

/// An address in the one form in which it is kept.
fn address(given: &Given) -> Result<Option<String>, Problem> {
    let parsed = given.text(CLIENT_IP).map(str::parse::<IpAddr>).transpose();
    let parsed =
        parsed.map_err(|_| Problem::invalid_parameter(CLIENT_IP, "must be an IPv4 or IPv6 address"))?;
    Ok(parsed.map(|address| address.to_canonical().to_string()))
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let read = bytes.and_then(|bytes| serde_json::from_slice::<Cursor>(&bytes).ok());
    // A database counts up to there.
    let read = read.filter(|cursor| cursor.values().all(|seq| i64::try_from(*seq).is_ok()));
    read.ok_or_else(|| {
        Problem::invalid_parameter(
            AFTER,
            "use `meta.page.next` or `meta.page.resume` of an earlier answer, unchanged",
        )
    })
}

fn cursor_text(cursor: &Cursor) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditLogPage)]
struct AuditLogPage {
    /// The entries, in the order of their times; of each service in the order of its chain.
    data: Vec<Record>,
    meta: AuditLogMeta,
}

#[derive(Serialize, ToSchema)]
struct AuditLogMeta {
    page: AuditLogCursors,
}

#[derive(Serialize, ToSchema)]
struct AuditLogCursors {
    /// Most entries of a page, as the request asked, or by default.
    size: u32,
    /// `page[after]` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// `page[after]` of a later request for the entries that come after these. Always there.
    resume: String,
}

async fn list(
    State(logs): State<AuditLogs>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Answer<Json<AuditLogPage>> {
    caller.may(Action::AuditRead, &Resource::Iam).await?;
    let page = logs.page(caller.organization(), &asked.after, &asked.filter, asked.size).await;
    let page = page.map_err(|error| match error {
        ReadError::Unavailable(unavailable) => Problem::from(unavailable),
        ReadError::ClientsElsewhere => {
            let named = if asked.filter.client_ip.is_some() { CLIENT_IP } else { USER_AGENT };
            Problem::invalid_parameter(named, &error.to_string())
        }
    })?;
    let resume = cursor_text(&page.cursor);
    let next = page.more.then(|| resume.clone());
    let meta = AuditLogMeta { page: AuditLogCursors { size: asked.size, next, resume } };
    Ok(Json(AuditLogPage { data: page.records, meta }))
}

async fn export(State(logs): State<AuditLogs>, caller: Caller) -> Answer<Response> {
    caller.may(Action::AuditRead, &Resource::Iam).await?;
    let Ok(turn) = Arc::clone(&logs.exports).try_acquire_owned() else {
        let text = format!("{} exports are under way; try again later", super::EXPORTS_MAX);
        return Err(Problem::too_many_requests(text, Duration::from_secs(5)).into());
    };
    let organization = caller.organization();
    let states = logs.states(organization).await.map_err(Problem::from)?;
    let export = Export { logs, organization, states: states.into(), current: None, _turn: turn };
    // An answer that breaks off is cut off, so nobody takes it for the whole.
    let body = try_unfold(export, |mut export| async move {
        let next = export.next().await?;
        Ok::<_, io::Error>(next.map(|bytes| (bytes, export)))
    });
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// An export under way.
struct Export {
    logs: AuditLogs,
    organization: OrganizationId,
    /// Chains that have not begun.
    states: VecDeque<ChainState>,
    /// The one that is written, and up to which entry it has been.
    current: Option<(ChainState, u64)>,
    _turn: OwnedSemaphorePermit,
}

impl Export {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while let Some((state, after)) = &mut self.current {
            let place = &state.chain.place;
            let source = self.logs.sources.iter().find(|source| source.service() == place.service);
            let filter = Filter {
                after: *after,
                up_to: Some(state.seq),
                limit: SIZE_MAX,
                with_clients: true,
                ..Filter::default()
            };
            let records = match source {
                Some(source) if *after < state.seq => source.read(self.organization, &filter).await,
                _ => Ok(Vec::new()),
            };
            let records = records.map_err(io::Error::other)?;
            match records.last() {
                Some(last) => {
                    *after = last.seq;
                    return lines(records).map(Some);
                }
                None => self.current = None,
            }
        }
        let Some(state) = self.states.pop_front() else { return Ok(None) };
        let bytes = line(&Line::Chain(state.clone()))?;
        let begins_after = state.floor_seq;
        self.current = Some((state, begins_after));
        Ok(Some(bytes))
    }
}

fn line(line: &Line) -> io::Result<Bytes> {
    let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

fn lines(records: Vec<Record>) -> io::Result<Bytes> {
    let mut all = Vec::new();
    for record in records {
        all.extend(line(&Line::Entry(record))?);
    }
    Ok(all.into())
}

/// Where entries begin that are made from now on.
pub async fn newest(logs: &AuditLogs, organization: OrganizationId) -> Result<Cursor, Problem> {
    let states = logs.states(organization).await?;
    Ok(states.into_iter().map(|state| (state.chain.place.service, state.seq)).collect())
}

#[cfg(test)]
mod tests {
    use ids::ServiceName;

    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text_and_nothing_else_is_one() {
        let one = Cursor::from([(ServiceName::Authz, 7), (ServiceName::Config, 1)]);
        assert_eq!(cursor(&cursor_text(&one)), Ok(one));
        for text in [
            "",
            "x",
            "e30=",
            &BASE64_URL_SAFE_NO_PAD.encode(r#"{"edge":1}"#),
            &BASE64_URL_SAFE_NO_PAD.encode(r#"{"authz":9223372036854775808}"#),
        ] {
            assert!(cursor(text).is_err(), "{text}");
        }
    }
}

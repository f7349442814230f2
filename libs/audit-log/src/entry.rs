//! Entries on their way into the table `audit`. The one place that inserts them.

use std::{borrow::Cow, sync::Arc};

use access::{PrincipalKind, Requested, Whose};
use ids::{OrganizationId, PrincipalId, TokenId};
use postgres::{Error, SqlId};
use sqlx::PgConnection;
use tokio::time::Instant;
use web::ProblemType;

use crate::clients;

/// Longest target that is kept, bytes.
const TARGET_BYTES_MAX: usize = 512;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryType {
    /// Something was written.
    Change,
    /// A request was refused because its caller may not do that.
    Authorization,
    /// Somebody signed on or out or got a new password, or tried to, also with a token that has ended.
    Authentication,
    /// The log says something of itself: that entries were dropped.
    Notice,
}

impl EntryType {
    /// Every name, as `filter[type]` takes it.
    pub const NAMES: &'static [&'static str] = &["change", "authorization", "authentication", "notice"];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Authorization => "authorization",
            Self::Authentication => "authentication",
            Self::Notice => "notice",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Allowed,
    /// It was refused.
    Denied,
    /// It could not be done: a token had ended, or a password was wrong.
    Failed,
}

impl Outcome {
    /// Every name, as `filter[outcome]` takes it.
    pub const NAMES: &'static [&'static str] = &["allowed", "denied", "failed"];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Who did what, to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The organization in whose audit log the entry stands.
    pub organization: OrganizationId,
    /// `None` for the operator and for services.
    pub actor: Option<PrincipalId>,
    /// What the actor is, where that is known.
    pub actor_kind: Option<PrincipalKind>,
    /// The access token of the request; `None` where nobody's token was used.
    pub session: Option<TokenId>,
    /// As in `team.create`; of a refused request the action that was asked for, as in `route:Write`.
    pub action: Cow<'static, str>,
    /// What it was about: an id, or a path of ids; of a refused request its path.
    pub target: String,
    /// What the entry is about.
    pub kind: EntryType,
    /// How it ended.
    pub outcome: Outcome,
    /// The problem that was answered, if one was.
    pub problem: Option<ProblemType>,
    /// How many equal ones the entry stands for, at least 1.
    pub count: u32,
    /// When the first of them was; `None`: now.
    pub first: Option<Instant>,
    /// When the last of them was, if there are several.
    pub last: Option<Instant>,
    /// The request; `None` for what no request brought about.
    pub requested: Option<Arc<Requested>>,
}

impl Entry {
    /// That `action` was done to `target` in `organization`, by a service or the operator, for no request.
    pub fn change(
        organization: OrganizationId,
        action: impl Into<Cow<'static, str>>,
        target: impl Into<String>,
    ) -> Self {
        Self {
            organization,
            actor: None,
            actor_kind: None,
            session: None,
            action: action.into(),
            target: target.into(),
            kind: EntryType::Change,
            outcome: Outcome::Allowed,
            problem: None,
            count: 1,
            first: None,
            last: None,
            requested: None,
        }
    }

    /// The same, done by `whose` with the request `requested`.
    pub fn by(self, whose: Whose, requested: Arc<Requested>) -> Self {
        Self {
            actor: Some(whose.principal),
            actor_kind: Some(whose.kind),
            session: whose.session,
            requested: Some(requested),
            ..self
        }
    }

    fn requested(&self, part: fn(&Requested) -> &str) -> Option<&str> {
        self.requested.as_deref().map(part).filter(|text| !text.is_empty())
    }
}

/// The stable name of a kind of principal.
pub const fn kind_name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::SystemAccount => "system_account",
        PrincipalKind::Operator => "operator",
    }
}

/// Writes `entries`, in one statement. Their times are by the clock of the database: that of the transaction, less how long ago they were.
pub async fn insert(connection: &mut PgConnection, entries: &[Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let clients = clients::keep(connection, entries).await?;
    let all = || entries.iter();
    let now = Instant::now();
    let ago = |moment: Instant| now.saturating_duration_since(moment).as_secs_f64();
    sqlx::query(
        "INSERT INTO audit (organization_id, actor_id, session_id, action, target, actor_kind, type, outcome, problem,
                            count, request_id, trace_id, method, route, at, last_at, client_hash)
         SELECT organization, actor, session, action, target, actor_kind, type, outcome, problem, count, request,
                trace, method, route, now() - make_interval(secs => first), now() - make_interval(secs => last), client
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::float8[],
                     $16::float8[], $17::bytea[])
             AS given (organization, actor, session, action, target, actor_kind, type, outcome, problem, count,
                       request, trace, method, route, first, last, client)",
    )
    .bind(all().map(|entry| SqlId(entry.organization)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.actor.map(SqlId)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.session.map(SqlId)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.action.as_ref()).collect::<Vec<_>>())
    .bind(all().map(|entry| cut(&entry.target)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.actor_kind.map(kind_name)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.problem.map(ProblemType::name)).collect::<Vec<_>>())
    .bind(all().map(|entry| i64::from(entry.count)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.requested(|request| &request.id)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.requested(|request| &request.trace)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.requested(|request| request.method.as_str())).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.requested(|request| &request.route)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.first.map_or(0.0, ago)).collect::<Vec<_>>())
    .bind(all().map(|entry| entry.last.map(ago)).collect::<Vec<_>>())
    .bind(clients)
    .execute(connection)
    .await?;
    Ok(())
}

fn cut(target: &str) -> &str {
    target.get(..target.floor_char_boundary(TARGET_BYTES_MAX)).unwrap_or(target)
}

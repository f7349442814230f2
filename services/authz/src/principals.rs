//! Organizations, principals and the ends of sessions. They come from identity's log of this region, and go on to the other regions as
//! operations of authz's own log. How far identity's log is applied is stored in the transaction that appends them, so a batch that
//! is sent twice has one effect.
//!
//! That place has no epoch. After a restore of identity's database alone, identity sends from the place that is stored here.

use std::time::Duration;

use clock::Clock;
use ids::{OrganizationId, PrincipalId, Region, TokenId, UserId, kinds};
use oplog::{Author, Log, LogTx};
use policy::PredefinedTeam;
use postgres::SqlId;
use proto::authz::v1::Operation as ProtoOperation;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use web::labels::Labels;

use crate::{
    Answer, Error,
    apply::Rows,
    operation::{Kind, Operation, Status, TeamPut, administrators_id},
};

/// Pause between two sweeps of expired sessions.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Longer than any signed token lives, in seconds: one may have been made from a session just before it expired.
const SIGNED_TOKEN_SECONDS_MAX: i64 = 3600;
/// Sessions that one sweep forgets in one transaction.
const SWEEP_MAX: i64 = 1000;

/// Operations of identity's log were not applied.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The write failed. The sender tries again.
    #[error(transparent)]
    Failed(#[from] Error),
    /// The sender has to go back to `applied`.
    #[error("operation {seq} comes after {applied}: the ones between are missing")]
    Gap { seq: u64, applied: u64 },
    /// Identity's log stops here, visibly. A newer release has to read it.
    #[error("operation {seq} of kind `{kind}` cannot be read: {reason}")]
    Unreadable { seq: u64, kind: String, reason: String },
}

impl From<oplog::NotWritten> for FeedError {
    fn from(error: oplog::NotWritten) -> Self {
        Self::Failed(error.into())
    }
}

impl From<postgres::Error> for FeedError {
    fn from(error: postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// One operation of identity's log, as far as authz needs it.
struct Fed {
    seq: u64,
    organization: OrganizationId,
    changes: Vec<Operation>,
    /// What the organization's first operation makes besides: its predefined team, and its owner as a member of that.
    founding: Vec<Operation>,
}

/// Appends those of `operations` that are new to authz's log; answers the sequence number up to which the log of `origin` is applied
/// now.
pub async fn apply(log: &Log<Rows>, origin: &str, operations: &[ProtoOperation]) -> Result<u64, FeedError> {
    let mut fed: Vec<Fed> = Vec::with_capacity(operations.len());
    for operation in operations {
        if let Some(last) = fed.last().filter(|last| operation.seq != last.seq + 1) {
            return Err(FeedError::Gap { seq: operation.seq, applied: last.seq });
        }
        fed.push(read(operation)?);
    }
    let origin = origin.to_owned();
    let written = log.write(Author::operator(), move |tx| Box::pin(feed(tx, origin, fed))).await;
    written.map(|written| written.value)
}

async fn feed(tx: &mut LogTx<Rows>, origin: String, fed: Vec<Fed>) -> Result<u64, FeedError> {
    let mut applied = cursor(tx.connection(), &origin).await?;
    let fresh: Vec<Fed> = fed.into_iter().filter(|fed| fed.seq > applied).collect();
    if let Some(first) = fresh.first().filter(|first| first.seq != applied + 1) {
        return Err(FeedError::Gap { seq: first.seq, applied });
    }
    for Fed { seq, organization, changes, founding } in fresh {
        let is_new = !founding.is_empty() && !exists(tx.connection(), organization).await?;
        let founding = founding.into_iter().filter(|_| is_new);
        for change in changes.into_iter().chain(founding) {
            tx.append(organization, change).await.map_err(Error::from)?;
        }
        applied = seq;
    }
    sqlx::query("UPDATE origin_cursor SET applied = $2 WHERE origin = $1")
        .bind(&origin)
        .bind(applied.cast_signed())
        .execute(tx.connection())
        .await
        .map_err(postgres::Error::from)?;
    Ok(applied)
}

async fn exists(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<bool, postgres::Error> {
    let (exists,) = sqlx::query_as("SELECT EXISTS (SELECT FROM replicated.organization WHERE id = $1)")
        .bind(SqlId(organization))
        .fetch_one(connection)
        .await?;
    Ok(exists)
}

/// How far `origin` is applied. Locks the cursor until the transaction ends.
async fn cursor(connection: &mut PgConnection, origin: &str) -> Result<u64, postgres::Error> {
    sqlx::query("INSERT INTO origin_cursor (origin, applied) VALUES ($1, 0) ON CONFLICT DO NOTHING")
        .bind(origin)
        .execute(&mut *connection)
        .await?;
    let (applied,): (i64,) = sqlx::query_as("SELECT applied FROM origin_cursor WHERE origin = $1 FOR UPDATE")
        .bind(origin)
        .fetch_one(connection)
        .await?;
    Ok(applied.cast_unsigned())
}

#[derive(Deserialize)]
struct OrganizationPut {
    owner_id: UserId,
    home_region: Region,
    state: Status,
    /// Whether the owner is a new one.
    #[serde(default)]
    installs_owner: bool,
}

#[derive(Deserialize)]
struct PrincipalPut {
    id: PrincipalId,
    kind: Kind,
    active: bool,
    #[serde(default)]
    not_before: Option<i64>,
}

#[derive(Deserialize)]
struct PrincipalRemoved {
    id: PrincipalId,
}

#[derive(Deserialize)]
struct TokenRevoked {
    id: TokenId,
    expires_at: i64,
}

fn body<'a, T: Deserialize<'a>>(operation: &'a ProtoOperation) -> Result<T, FeedError> {
    serde_json::from_slice(&operation.body).map_err(|error| unreadable(operation, &error))
}

fn unreadable(operation: &ProtoOperation, reason: &dyn std::fmt::Display) -> FeedError {
    FeedError::Unreadable { seq: operation.seq, kind: operation.kind.clone(), reason: reason.to_string() }
}

/// What an operation of identity's log means for decisions.
fn read(operation: &ProtoOperation) -> Result<Fed, FeedError> {
    let organization: OrganizationId =
        operation.organization_id.parse().map_err(|error| unreadable(operation, &error))?;
    let mut founding = Vec::new();
    let changes = match operation.kind.as_str() {
        "organization.put" => {
            let OrganizationPut { owner_id, home_region, state, installs_owner } = body(operation)?;
            founding = found(organization, owner_id);
            let put = Operation::OrganizationPut { suspended: state.is_suspended(), home_region };
            let (team_id, principal_id) = (administrators_id(organization), owner_id.cast());
            let installed = installs_owner.then_some(Operation::MemberAdded { team_id, principal_id });
            [put].into_iter().chain(installed).collect()
        }
        "organization.removed" => vec![Operation::OrganizationRemoved {}],
        "principal.put" => {
            let PrincipalPut { id, kind, active, not_before } = body(operation)?;
            vec![Operation::PrincipalPut { id, kind, active, not_before }]
        }
        "principal.removed" => {
            let PrincipalRemoved { id } = body(operation)?;
            vec![Operation::PrincipalRemoved { id }]
        }
        "token.revoked" => {
            let TokenRevoked { id, expires_at } = body(operation)?;
            vec![Operation::SessionRevoked { id, expires_at }]
        }
        // Nothing that a decision reads.
        "token.minted"
        | "token.renamed"
        | "system_account.put"
        | "system_account.removed"
        | "signing_key.put" => Vec::new(),
        _ => return Err(unreadable(operation, &"this release does not know it")),
    };
    Ok(Fed { seq: operation.seq, organization, changes, founding })
}

/// The predefined team, and the owner as a member of it.
fn found(organization: OrganizationId, owner: UserId) -> Vec<Operation> {
    let (team_id, owner) = (administrators_id(organization), owner.cast());
    vec![
        Operation::PrincipalPut { id: owner, kind: Kind::User, active: true, not_before: None },
        Operation::TeamPut(TeamPut {
            id: team_id,
            name: PredefinedTeam::OrganizationAdmin.name().to_owned(),
            description: Some(PredefinedTeam::OrganizationAdmin.description().to_owned()),
            predefined: true,
            labels: Labels::new(),
        }),
        Operation::MemberAdded { team_id, principal_id: owner },
    ]
}

/// Forgets sessions that were revoked in this region and have expired since, every hour until `stop`. So only sessions that could
/// still be used are remembered.
pub async fn sweep_sessions(
    log: Log<Rows>,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    pace::every(SWEEP_INTERVAL, "expired sessions are forgotten", stop, || sweep_once(&log, &clock)).await;
    Ok(())
}

/// Forgets, by `clock`, at most a thousand sessions that were revoked in this region and have expired since.
pub async fn sweep_once(log: &Log<Rows>, clock: &Clock) -> Answer<()> {
    let before = clock.unix_seconds() - SIGNED_TOKEN_SECONDS_MAX;
    let expired = expired(log.db(), log.origin().region(), before).await?;
    if expired.is_empty() {
        return Ok(());
    }
    let written = log.write(Author::operator(), move |tx| {
        Box::pin(async move {
            for (id, organization) in expired {
                let forgotten = Operation::SessionForgotten { id: id.into() };
                tx.append(organization.into(), forgotten).await?;
            }
            Answer::Ok(())
        })
    });
    written.await?;
    Ok(())
}

type Expired = (SqlId<kinds::Token>, SqlId<kinds::Organization>);

/// Sessions that were revoked in `region` and would have expired before `before`, in Unix seconds.
async fn expired(db: &PgPool, region: &Region, before: i64) -> Result<Vec<Expired>, postgres::Error> {
    Ok(sqlx::query_as(
        "SELECT id, organization_id FROM replicated.revoked_session
         WHERE region = $1 AND expires_at < $2 LIMIT $3",
    )
    .bind(region.as_str())
    .bind(before)
    .bind(SWEEP_MAX)
    .fetch_all(db)
    .await?)
}

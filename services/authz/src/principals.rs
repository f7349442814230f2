//! Principals, fed by identity's log. The cursor moves in the transaction that applies the operations, so that a
//! batch sent twice has one effect.

use std::time::Duration;

use ids::{OrganizationId, PrincipalId, TeamId, TokenId, UserId, kinds};
use policy::PredefinedTeam;
use postgres::{Error, SqlId};
use proto::authz::v1::Operation as ProtoOperation;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::operation::{Kind, Operation};

/// Pause between two sweeps of expired sessions.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Database(#[from] Error),
    #[error("operation {seq} comes after {applied}: the ones between are missing")]
    Gap { seq: u64, applied: u64 },
    /// Stops the origin visibly; a newer release has to read it.
    #[error("operation {seq} of kind `{kind}` cannot be read: {reason}")]
    Unreadable { seq: u64, kind: String, reason: String },
}

/// Applies what is new of `operations`; answers the cursor and the place of the last change in authz's own log.
pub async fn apply(
    db: &PgPool,
    origin: &str,
    operations: &[ProtoOperation],
) -> Result<(u64, Option<u64>), ApplyError> {
    let mut transaction = db.begin().await.map_err(Error::from)?;
    let mut applied = cursor(&mut transaction, origin).await?;
    let mut logged = None;
    for operation in operations {
        if operation.seq <= applied {
            continue;
        }
        if operation.seq != applied + 1 {
            return Err(ApplyError::Gap { seq: operation.seq, applied });
        }
        for change in apply_one(&mut transaction, operation).await? {
            logged = Some(change);
        }
        applied = operation.seq;
    }
    sqlx::query("UPDATE origin_cursor SET applied = $2 WHERE origin = $1")
        .bind(origin)
        .bind(applied.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(Error::from)?;
    transaction.commit().await.map_err(Error::from)?;
    Ok((applied, logged))
}

/// Forgets revoked sessions that have expired since, every hour until `stop`: memory is bounded by tokens that live.
pub async fn sweep_sessions(db: PgPool, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    postgres::every(SWEEP_INTERVAL, "expired sessions are forgotten", stop, || sweep_once(&db)).await
}

async fn sweep_once(db: &PgPool) -> Result<(), Error> {
    let mut transaction = db.begin().await?;
    // Longer than any signed token lives that was made from the session just before its end.
    let expired: Vec<(SqlId<kinds::Token>, SqlId<kinds::Organization>)> = sqlx::query_as(
        "DELETE FROM replicated.revoked_session WHERE expires_at < extract(epoch FROM now()) - 3600
         RETURNING id, organization_id",
    )
    .fetch_all(&mut *transaction)
    .await?;
    for (id, organization) in expired {
        Operation::SessionForgotten { id: id.into() }.append(&mut transaction, organization.into()).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// How far `origin` is applied. Locks the cursor until the transaction ends.
async fn cursor(connection: &mut PgConnection, origin: &str) -> Result<u64, Error> {
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
struct OrganizationCreated {
    owner_id: UserId,
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
struct SessionRevoked {
    id: TokenId,
    expires_at: i64,
}

fn body<'a, T: Deserialize<'a>>(operation: &'a ProtoOperation) -> Result<T, ApplyError> {
    serde_json::from_slice(&operation.body).map_err(|error| unreadable(operation, &error))
}

fn unreadable(operation: &ProtoOperation, reason: &dyn std::fmt::Display) -> ApplyError {
    ApplyError::Unreadable { seq: operation.seq, kind: operation.kind.clone(), reason: reason.to_string() }
}

/// Applies one operation of identity's; answers the places of the changes in authz's own log.
async fn apply_one(
    connection: &mut PgConnection,
    operation: &ProtoOperation,
) -> Result<Vec<u64>, ApplyError> {
    let organization: OrganizationId =
        operation.organization_id.parse().map_err(|error| unreadable(operation, &error))?;
    let changes = match operation.kind.as_str() {
        "organization.created" => organization_created(connection, organization, &body(operation)?).await?,
        "principal.put" => vec![principal_put(connection, organization, body(operation)?).await?],
        "principal.removed" => {
            let PrincipalRemoved { id } = body(operation)?;
            sqlx::query("DELETE FROM replicated.principal WHERE id = $1 AND organization_id = $2")
                .bind(SqlId(id))
                .bind(SqlId(organization))
                .execute(&mut *connection)
                .await
                .map_err(Error::from)?;
            vec![Operation::PrincipalRemoved { id }]
        }
        "session.revoked" => {
            let SessionRevoked { id, expires_at } = body(operation)?;
            sqlx::query(
                "INSERT INTO replicated.revoked_session (id, organization_id, expires_at) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(SqlId(id))
            .bind(SqlId(organization))
            .bind(expires_at)
            .execute(&mut *connection)
            .await
            .map_err(Error::from)?;
            vec![Operation::SessionRevoked { id }]
        }
        // A place in the log that a token's text names; nothing that a decision reads.
        "token.minted" => Vec::new(),
        _ => return Err(unreadable(operation, &"this release does not know it")),
    };
    let mut logged = Vec::with_capacity(changes.len());
    for change in changes {
        logged.push(change.append(connection, organization).await?);
    }
    Ok(logged)
}

async fn principal_put(
    connection: &mut PgConnection,
    organization: OrganizationId,
    put: PrincipalPut,
) -> Result<Operation, Error> {
    sqlx::query(
        "INSERT INTO replicated.principal (id, organization_id, kind, active, not_before) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET active = excluded.active,
             not_before = greatest(principal.not_before, excluded.not_before)",
    )
    .bind(SqlId(put.id))
    .bind(SqlId(organization))
    .bind(match put.kind {
        Kind::User => "user",
        Kind::SystemAccount => "system_account",
    })
    .bind(put.active)
    .bind(put.not_before)
    .execute(connection)
    .await?;
    Ok(Operation::PrincipalPut { id: put.id, kind: put.kind, active: put.active, not_before: put.not_before })
}

/// The organization, its predefined team, and its owner as a member. The owner's own entry in the log follows.
async fn organization_created(
    connection: &mut PgConnection,
    organization: OrganizationId,
    created: &OrganizationCreated,
) -> Result<Vec<Operation>, Error> {
    let team_name = PredefinedTeam::OrganizationAdmin.name();
    // Derived, so that every region makes the same team.
    let team = TeamId::from_uuid(Uuid::new_v5(&organization.uuid(), team_name.as_bytes()));
    let owner: PrincipalId = created.owner_id.cast();
    sqlx::query(
        "INSERT INTO replicated.organization (id, status) VALUES ($1, 'active') ON CONFLICT DO NOTHING",
    )
    .bind(SqlId(organization))
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO replicated.team (id, organization_id, name, description, predefined) VALUES ($1, $2, $3, $4, true)
         ON CONFLICT DO NOTHING",
    )
    .bind(SqlId(team))
    .bind(SqlId(organization))
    .bind(team_name)
    .bind(PredefinedTeam::OrganizationAdmin.description())
    .execute(&mut *connection)
    .await?;
    let owner_put = PrincipalPut { id: owner, kind: Kind::User, active: true, not_before: None };
    let owner_put = principal_put(connection, organization, owner_put).await?;
    sqlx::query(
        "INSERT INTO replicated.membership (team_id, principal_id, organization_id) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(SqlId(team))
    .bind(SqlId(owner))
    .bind(SqlId(organization))
    .execute(connection)
    .await?;
    Ok(vec![
        Operation::OrganizationPut { suspended: false },
        owner_put,
        Operation::TeamPut { id: team, predefined: true },
        Operation::MemberAdded { team_id: team, principal_id: owner },
    ])
}

//! Entities with an end. Gateways deny them from that moment on, each by its own clock; here they are deleted some time later, like
//! everything else: as a change of the configuration.

use std::time::Duration;

use ids::kinds;
use postgres::SqlId;
use sqlx::FromRow;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Entities, Refusal,
    committer::{Actor, CommitError, Request},
    plan::{Command, Selector},
};
use crate::rows::{self, RowError};

/// Pause between two searches.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Most deletes of one search.
const SWEEP_MAX: i64 = 1000;

#[derive(FromRow)]
struct DueRow {
    control_plane_id: SqlId<kinds::ControlPlane>,
    organization_id: SqlId<kinds::Organization>,
    kind: String,
    id: Uuid,
    version: i64,
}

/// Deletes entities whose time has come. Runs until the drain.
pub async fn sweep(entities: Entities, drain: CancellationToken) -> anyhow::Result<()> {
    let stop = drain.cancelled_owned();
    pace::every(SWEEP_INTERVAL, "expired entities are deleted", stop, || sweep_once(&entities)).await;
    Ok(())
}

/// Deletes such entities once. One that was changed meanwhile stays until the next search.
pub async fn sweep_once(entities: &Entities) -> Result<(), RowError> {
    let due: Vec<DueRow> = sqlx::query_as(
        "SELECT e.control_plane_id, c.organization_id, e.kind, e.id, e.version
         FROM regional.entity AS e JOIN regional.control_plane AS c ON c.id = e.control_plane_id
         WHERE e.expires_at < now() AND NOT e.deleted ORDER BY e.expires_at LIMIT $1",
    )
    .bind(SWEEP_MAX)
    .fetch_all(&entities.db)
    .await?;
    for row in due {
        let kind = rows::kind("regional.entity", &row.kind)?;
        let command = Command::Delete {
            kind,
            selector: Selector::Id(row.id),
            if_match: Some(row.version.cast_unsigned()),
        };
        let request = Request::plain(command, Actor::Service(row.organization_id.into()));
        match entities.committers.commit(row.control_plane_id.into(), request).await {
            Ok(_) | Err(CommitError::Refused(Refusal::OtherVersion)) => {}
            Err(error) => tracing::warn!(%error, id = %row.id, "an expired entity was not deleted yet"),
        }
    }
    Ok(())
}

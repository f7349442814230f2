//! `/v2/control-planes/{id}/imports`, and how an import is answered.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use ids::{ControlPlaneId, PrincipalId};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tracing::Instrument as _;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Api, Cursor, Cursored, Endpoint, Json, Path, Problem, Query};

use super::{End, Import, ImportResult, Imports, Phase, Running, Source, store};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    error::{Answer, Error},
};

/// Adds the endpoints that show imports.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes/{control_plane_id}/imports";
    const ONE: &str = "/v2/control-planes/{control_plane_id}/imports/{import_id}";
    api.endpoint(
        Endpoint::get(
            ALL,
            "List imports, the newest first: what runs, how far it has come, and what it came to",
        )
        .query::<Cursor>()
        .answers::<Cursored<ImportBody>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::get(ONE, "One import: how far it has come, or what it came to")
            .answers::<ImportBody>(StatusCode::OK),
        get,
    )
}

/// What an import came to.
#[derive(Serialize, ToSchema)]
#[schema(as = DoneImport)]
pub struct Done {
    /// Names the import: `…/imports/{import_id}` shows it for a week.
    pub import_id: Option<Uuid>,
    #[serde(flatten)]
    pub result: ImportResult,
}

/// A write of many entities, all or nothing. It is remembered for a week, and the newest 100 of a control plane are.
#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
struct ImportBody {
    /// A UUID: the one that the client sent as `import_id`, or a new one.
    id: Uuid,
    source: Source,
    /// Whether it only tells what it would change.
    dry_run: bool,
    /// Who began it: a user or a system account.
    begun_by: PrincipalId,
    #[serde(with = "time::serde::rfc3339")]
    begun_at: OffsetDateTime,
    /// When it was last heard of: about each second while it runs.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// Null while it runs, and of one that was abandoned.
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    phase: Phase,
    /// How much of the phase is done, in entities. Of an import that has ended: of its last phase.
    done: u64,
    /// How much the phase has to do; null where that is not known.
    total: Option<u64>,
    /// What it came to; null unless it was committed, or planned as a dry run.
    result: Option<ImportResult>,
    /// Why it failed, as the request was answered; null unless it did.
    #[schema(value_type = Option<Object>)]
    problem: Option<Value>,
}

impl From<Import> for ImportBody {
    fn from(import: Import) -> Self {
        let Import { id, source, dry_run, begun_by, begun_at, seen_at, ended_at, at, result, problem } =
            import;
        Self {
            id,
            source,
            dry_run,
            begun_by,
            begun_at,
            updated_at: seen_at,
            ended_at,
            phase: at.phase,
            done: at.done,
            total: at.total,
            result,
            problem,
        }
    }
}

async fn list(
    State(planes): State<ControlPlanes>,
    State(imports): State<Imports>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<ImportBody>>> {
    planes.authorize(&caller, id, Action::CpRetrieve).await?;
    let found = store::list(&imports.db, id, cursor.after()?, cursor.limit()).await?;
    let page = cursor.page(found, store::place);
    let data = page.data.into_iter().map(ImportBody::from).collect();
    Ok(Json(Cursored { data, meta: page.meta }))
}

async fn get(
    State(planes): State<ControlPlanes>,
    State(imports): State<Imports>,
    caller: Caller,
    Path((id, import)): Path<(ControlPlaneId, Uuid)>,
) -> Answer<Json<ImportBody>> {
    planes.authorize(&caller, id, Action::CpRetrieve).await?;
    let found = store::find(&imports.db, id, import).await?;
    Ok(Json(found.ok_or_else(|| Problem::not_found("import"))?.into()))
}

/// Does the work of an import to its end, also when its client goes away. `came_to` says of what the work answers what the import came to.
pub async fn carry_out<T: Send + 'static>(
    import: Running,
    work: impl Future<Output = Answer<T>> + Send + 'static,
    came_to: fn(&T) -> ImportResult,
) -> Answer<T> {
    let to_the_end = async move {
        let answer = work.await.map_err(Problem::from);
        let end = match &answer {
            Ok(answer) => End::Done(came_to(answer)),
            // A problem is text and numbers, which are always JSON.
            Err(problem) => End::Failed(serde_json::to_value(problem.body()).unwrap_or_default()),
        };
        import.end(end).await;
        Ok(answer?)
    };
    let task = tokio::spawn(to_the_end.in_current_span());
    task.await.unwrap_or_else(|error| Err(Error::from(Problem::internal(error))))
}

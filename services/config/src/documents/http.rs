//! `/declarative`: the configuration of a control plane as one document.

use access::{Action, Caller};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use ids::ControlPlaneId;
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema},
};
use uuid::Uuid;
use web::{Api, Endpoint, Path, ProblemType, Query};

use super::{
    Counts, Documents,
    apply::Asked,
    body::{Received, receive},
    check::check,
    export,
};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    entities::{
        difference::{Action as Change, Change as Described},
        http::{
            IMPORT_TAKEN, STILL_IN_USE, TOO_MANY, TOO_MANY_WAIT,
            input::if_match,
            output::{rendered, with_etag},
            query::{ApplyQuery, ExportQuery},
        },
    },
    error::Answer,
    imports::{
        Begun, ImportResult, New, Source,
        http::{Done, carry_out},
    },
    validation::Unread,
};

const OTHER_CONFIGURATION: &str = "If-Match: the configuration has another version; read it again";

/// Adds the endpoints of documents.
pub fn endpoints(api: Api<App>) -> Api<App> {
    let document = |words: &str| -> RefOr<Schema> { ObjectBuilder::new().description(Some(words)).into() };
    const DECLARATIVE: &str = "/v2/control-planes/{control_plane_id}/declarative";
    let put = Endpoint::put(
        DECLARATIVE,
        "Make the whole configuration as in the document, all or nothing (`?dry_run=true` only tells the difference)",
    );
    let get = Endpoint::get(
        DECLARATIVE,
        "The whole configuration as a document, in YAML or JSON as `Accept` says: applied again, it changes nothing",
    );
    api.endpoint(
        put.query::<ApplyQuery>()
            .if_match()
            .refuses(ProblemType::PreconditionFailed, OTHER_CONFIGURATION)
            .refuses(ProblemType::Conflict, IMPORT_TAKEN)
            .refuses(ProblemType::InUse, STILL_IN_USE)
            .refuses(ProblemType::LimitReached, TOO_MANY)
            .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
            .body_schema(
                document(
                    "A document in decK's format, of `_format_version` \"1.1\", \"2.1\" or \"3.0\", in YAML or JSON: the whole \
                     configuration, or with `_info.select_tags` the part of it that has these tags. YAML may have 32 MiB; JSON, sent as \
                     `application/json`, 512 MiB.",
                ),
                "application/yaml",
            )
            .answers::<Applied>(StatusCode::OK),
        apply,
    )
    .endpoint(
        get.query::<ExportQuery>()
            .refuses(ProblemType::TooManyRequests, TOO_MANY_WAIT)
            .answers_schema(StatusCode::OK, document("A `_format_version: \"3.0\"` document.")),
        async |State(planes): State<ControlPlanes>,
               State(documents): State<Documents>,
               caller: Caller,
               Path(id),
               Query(query),
               headers: HeaderMap| {
            export::export(&planes, &documents, &caller, id, query, &headers).await
        },
    )
}

/// Makes what the document owns of the configuration as it says, in one version. Answers how many changed.
async fn apply(
    State(planes): State<ControlPlanes>,
    State(documents): State<Documents>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(query): Query<ApplyQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    planes.authorize(&caller, id, Action::ConfigApply).await?;
    let if_match = if_match(&headers)?;
    let (spools, organization) = (documents.spools(), caller.organization());
    let Received { text, hash, turn } =
        receive(&spools, &documents.on_disk, organization, &headers, body).await?;
    let begun = documents.imports.begin(New {
        control_plane: id,
        id: query.import_id,
        source: Source::Declarative,
        dry_run: query.dry_run,
        begun_by: caller.principal(),
        content: &hash,
    });
    let import = match begun.await? {
        Begun::Runs(import) => import,
        Begun::Committed { id, result } => return Ok(Applied::before(id, result).into_response()),
    };
    let progress = import.progress();
    let work = async move {
        // Held until the end, as is what it stands for.
        let _turn = turn;
        let read = {
            let (documents, progress, own) = (documents.clone(), progress.clone(), caller.session.limits);
            move || check(id, text, &spools, &documents.limits.of(own), &progress)
        };
        let document = documents.validation.documents.run(organization, read).await??;
        let _written = documents.written.take(organization).await.map_err(Unread::from)?;
        let asked = Asked { control_plane: id, dry_run: query.dry_run, if_match, caller, progress };
        documents.apply(document, &asked).await
    };
    let counts = carry_out(import, work, Counts::result).await?;
    Ok(Applied::from(&counts).into_response())
}

impl Counts {
    fn result(&self) -> ImportResult {
        let Self { version, created, updated, deleted, .. } = *self;
        ImportResult { version, created, updated, deleted }
    }
}

/// What a document came to.
#[derive(Serialize, ToSchema)]
#[schema(as = AppliedDocument)]
struct Applied {
    #[serde(flatten)]
    done: Done,
    /// Whether nothing was written.
    dry_run: bool,
    /// Of a dry run: what the first 1,000 changes would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<DocumentChange>>,
    /// Of a dry run: how many more there would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_omitted: Option<usize>,
}

/// What happens to one entity. Values are not told: some are secrets.
#[derive(Serialize, ToSchema)]
struct DocumentChange {
    /// `create`, `update` or `delete`.
    action: &'static str,
    /// Such as `service` or `key_auth`.
    kind: &'static str,
    id: Uuid,
    /// What people call it, if it has a name.
    name: Option<String>,
    /// The fields that an update changes, such as `config.message`: at most 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
}

impl Applied {
    /// Of a document whose import was committed before.
    fn before(import: Uuid, result: ImportResult) -> Self {
        let done = Done { import_id: Some(import), result };
        Self { done, dry_run: false, changes: None, changes_omitted: None }
    }

    fn into_response(self) -> Response {
        with_etag(StatusCode::OK, rendered(&self), self.done.result.version)
    }
}

impl From<&Counts> for Applied {
    fn from(counts: &Counts) -> Self {
        let Counts { created, updated, deleted, dry_run, ref changes, import, .. } = *counts;
        let omitted = (created + updated + deleted).saturating_sub(changes.len());
        Self {
            done: Done { import_id: Some(import), result: counts.result() },
            dry_run,
            changes: dry_run.then(|| changes.iter().map(DocumentChange::from).collect()),
            changes_omitted: dry_run.then_some(omitted),
        }
    }
}

impl From<&Described> for DocumentChange {
    fn from(Described { id, name, action, fields }: &Described) -> Self {
        Self {
            action: action.as_str(),
            kind: id.kind.name(),
            id: id.id,
            name: name.clone(),
            fields: (*action == Change::Update).then(|| fields.clone()),
        }
    }
}

//! `POST /v1/authz/check`.

use std::collections::BTreeSet;

use access::{Caller, Resource, Verdict};
use axum::{extract::State, http::StatusCode};
use ids::ControlPlaneId;
use policy::Decision;
use replication::Vector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Problem, Protection};

use super::{Error, QUESTIONS_MAX, Question};
use crate::{Answer, app::App, decisions::Asker, index::Snapshot};

/// Adds the endpoint.
pub fn endpoints(api: Api<App>) -> Api<App> {
    api.endpoint(
        Endpoint::post("/v1/authz/check", "What may I do? Up to 100 questions at once")
            .protection(Protection::Caller)
            .body::<CheckBody>()
            .answers::<CheckAnswers>(StatusCode::OK),
        check,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckBody {
    checks: Vec<Question>,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswers {
    /// In the order of the questions.
    answers: Vec<CheckAnswer>,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswer {
    /// Whether the caller may do it. Never on a control plane that is not known.
    allowed: bool,
    /// Whether the control plane that the question is about is known as one of the organization's: a role on it has been assigned, as
    /// it is when a control plane is made. Always true of other questions.
    known: bool,
    /// What decided: `assignment:<id>`, `policy:<id>` or `system:<name>`.
    reasons: Vec<String>,
}

/// The control plane that a question is about, if it is about a single one.
fn control_plane(resource: &Resource) -> Option<ControlPlaneId> {
    match resource {
        Resource::ControlPlane { id, .. } => Some(*id),
        _ => None,
    }
}

/// Those of the control planes `asked` that are known as the organization's. One that is not known here may be on its way: 503 if
/// that cannot be told.
async fn known(
    app: &App,
    caller: &Caller,
    asked: &BTreeSet<ControlPlaneId>,
) -> Answer<BTreeSet<ControlPlaneId>> {
    let find = async || app.known.find(&app.db, caller.organization(), asked).await;
    let known = find().await?;
    if known.len() == asked.len() {
        return Ok(known);
    }
    app.decider.settle(&caller.session.vector).await?;
    Ok(find().await?)
}

async fn check(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CheckBody>,
) -> Answer<Json<CheckAnswers>> {
    if body.checks.len() > QUESTIONS_MAX {
        return Err(Error::TooMany.into());
    }
    let asker = Asker::from(&caller.session);
    let asking = asker.policy_caller();
    let questions = body.checks.into_iter().enumerate();
    let questions = questions.map(|(place, question)| question.read(place)).collect::<Result<Vec<_>, _>>()?;
    let asked = questions.iter().filter_map(|(_, resource)| control_plane(resource)).collect();
    let known = known(&app, &caller, &asked).await?;
    let decider = &app.decider;
    let mut answers = Vec::with_capacity(questions.len());
    let mut seen = Vector::default();
    for (action, resource) in questions {
        if control_plane(&resource).is_some_and(|id| !known.contains(&id)) {
            answers.push(CheckAnswer { allowed: false, known: false, reasons: Vec::new() });
            continue;
        }
        let decide = |snapshot: &Snapshot| decider.decide(snapshot, &asking, action, &resource);
        let (decision, snapshot) = decider.ask(&asker, &caller.seen(), decide, Decision::is_allowed).await?;
        match decision.verdict {
            Verdict::Unauthenticated => return Err(Error::SessionEnded.into()),
            Verdict::Suspended => return Err(Problem::organization_inactive().into()),
            Verdict::Allow | Verdict::Deny => {}
        }
        seen.merge(&snapshot.seen(caller.organization()));
        answers.push(CheckAnswer {
            allowed: decision.is_allowed(),
            known: true,
            reasons: decision.reasons.iter().map(ToString::to_string).collect(),
        });
    }
    // What is not known may be so because of rows.
    if answers.iter().all(|answer| answer.known) {
        caller.rests_on_decisions(&seen);
    }
    Ok(Json(CheckAnswers { answers }))
}

//! `POST /v1/authz/check`.

use access::{Caller, Verdict};
use axum::{extract::State, http::StatusCode};
use policy::{Decision, Index};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Protection};

use super::{Error, QUESTIONS_MAX, Question};
use crate::{
    Answer,
    app::App,
    decisions::{Asker, Decider},
};

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
    allowed: bool,
    /// What decided: `assignment:<id>`, `policy:<id>` or `system:<name>`.
    reasons: Vec<String>,
}

async fn check(
    State(decider): State<Decider>,
    caller: Caller,
    Json(body): Json<CheckBody>,
) -> Answer<Json<CheckAnswers>> {
    if body.checks.len() > QUESTIONS_MAX {
        return Err(Error::TooMany.into());
    }
    let asker = Asker::from(&caller.session);
    let asking = asker.policy_caller();
    let mut answers = Vec::with_capacity(body.checks.len());
    for (place, question) in body.checks.into_iter().enumerate() {
        let (action, resource) = question.read(place)?;
        let decide = |index: &Index| index.decide(&asking, action, &resource);
        let (decision, _) = decider.ask(&asker, &caller.seen(), decide, Decision::is_allowed).await?;
        if decision.verdict == Verdict::Unauthenticated {
            return Err(Error::SessionEnded.into());
        }
        answers.push(CheckAnswer {
            allowed: decision.is_allowed(),
            reasons: decision.reasons.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(Json(CheckAnswers { answers }))
}

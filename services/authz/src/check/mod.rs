//! Questions of the form "may I do this on that?", many at once.

pub mod http;
mod store;

use access::{Action, Resource};
use ids::{ControlPlaneId, Region};
use serde::Deserialize;
pub use store::Known;
use utoipa::ToSchema;

/// Most questions in one request.
pub const QUESTIONS_MAX: usize = 100;

/// A question cannot be answered. `question` is its place in the request, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("at most {QUESTIONS_MAX} at once")]
    TooMany,
    #[error("no such action")]
    UnknownAction { question: usize },
    #[error("name the control plane's region too")]
    RegionMissing { question: usize },
    #[error("the token's session has ended")]
    SessionEnded,
}

/// One question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// As in `route:Write`; `GET /v3/roles` and the errors of refused requests name actions.
    action: String,
    #[serde(default)]
    on: On,
}

/// What a question is about: one control plane (both fields), all control planes of a region (`region` alone), or the organization's
/// identity configuration (neither).
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct On {
    control_plane_id: Option<ControlPlaneId>,
    #[schema(value_type = Option<String>)]
    region: Option<Region>,
}

impl Question {
    /// The action and the resource meant; `place` is the question's in the request.
    fn read(self, place: usize) -> Result<(Action, Resource), Error> {
        let action = self.action.parse().map_err(|_| Error::UnknownAction { question: place })?;
        let resource = match (self.on.control_plane_id, self.on.region) {
            (Some(id), Some(region)) => Resource::ControlPlane { id, region, labels: Default::default() },
            (None, Some(region)) => Resource::ControlPlanes { region },
            (None, None) => Resource::Iam,
            (Some(_), None) => return Err(Error::RegionMissing { question: place }),
        };
        Ok((action, resource))
    }
}

//! Why an attempt failed, in words for whoever reads the status of the entity.

use instant_acme::{Error, Problem};

use crate::{entities::CommitError, rows::RowError};

/// Characters of what is kept of an error. An ACME server may say more.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the ACME server or the hook answered, or did not.
    #[error("{0}")]
    Refused(String),
    /// The ACME server was asked too much.
    #[error("{0}")]
    RateLimited(String),
    /// The ACME server does not know the account.
    #[error("{0}")]
    NoAccount(String),
    /// Something else is asked for now, or nothing, or this process ends: there is nothing to tell.
    #[error("the attempt was left off")]
    LeftOff,
    /// Another replica works on it.
    #[error("another replica works on the order")]
    Lost,
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Rows(#[from] RowError),
}

impl Failure {
    /// A refusal in words. They come from elsewhere: their length is bounded, and they are one line.
    pub fn refused(message: impl AsRef<str>) -> Self {
        Self::Refused(cut(message.as_ref()))
    }

    /// What the log says. An ACME server may repeat the e-mail address, which no log has.
    pub fn logged(&self) -> String {
        let words = self.to_string();
        let words = words.split(' ').map(|word| if word.contains('@') { "…" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }

    /// What the owner of the entity is told. What went wrong inside of the region is in its log.
    pub fn told(&self) -> String {
        match self {
            Self::Refused(message) | Self::RateLimited(message) | Self::NoAccount(message) => message.clone(),
            Self::Commit(CommitError::Refused(refusal)) => cut(&refusal.to_string()),
            Self::Commit(_) | Self::Rows(_) | Self::LeftOff | Self::Lost => {
                "the order could not be worked on in this region; it is tried again".to_owned()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => of_problem(&problem),
            Error::Timeout(_) => Self::refused("the ACME server did not come to an end in time"),
            other => Self::refused(format!("the ACME server: {other}")),
        }
    }
}

fn of_problem(problem: &Problem) -> Failure {
    let message = cut(&format!("the ACME server: {}", words(problem)));
    match problem.r#type.as_deref().and_then(|name| name.rsplit(':').next()) {
        Some("rateLimited") => Failure::RateLimited(message),
        Some("accountDoesNotExist") => Failure::NoAccount(message),
        _ => Failure::Refused(message),
    }
}

/// What a problem says, its parts included.
pub fn words(problem: &Problem) -> String {
    let name = problem.r#type.as_deref().and_then(|name| name.rsplit(':').next()).unwrap_or_default();
    let detail = problem.detail.as_deref().unwrap_or("no reason was given");
    let parts = problem.subproblems.iter().filter_map(|part| part.detail.as_deref());
    parts.fold(format!("{detail} ({name})"), |text, part| format!("{text}; {part}"))
}

fn cut(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MESSAGE_CHARS_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(problem: serde_json::Value) -> Failure {
        Error::Api(serde_json::from_value(problem).expect("a problem")).into()
    }

    #[test]
    fn what_the_server_says_is_told_in_one_line_of_bounded_length() {
        let problem = json!({"type": "urn:ietf:params:acme:error:dns", "detail": "no\nsuch name",
                             "subproblems": [{"detail": "a.example"}]});
        assert_eq!(failure(problem).told(), "the ACME server: no such name (dns); a.example");
        let email =
            json!({"type": "invalidContact", "detail": "contact \"mailto:ops@shop.example\" is not valid"});
        let logged = failure(email).logged();
        assert_eq!(logged, "the ACME server: contact … is not valid (invalidContact)");
        let long = failure(json!({"type": "x", "detail": "y".repeat(5000)})).told();
        assert_eq!(long.chars().count(), MESSAGE_CHARS_MAX);
        let limited = failure(json!({"type": "urn:ietf:params:acme:error:rateLimited"}));
        assert!(matches!(limited, Failure::RateLimited(_)));
        let unknown = failure(json!({"type": "urn:ietf:params:acme:error:accountDoesNotExist"}));
        assert!(matches!(unknown, Failure::NoAccount(_)));
    }
}

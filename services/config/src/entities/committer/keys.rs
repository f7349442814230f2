//! The idempotency keys of a batch: claimed, let go and kept in one statement each, however many of its requests have one.

use access::Place;
use mutation::{Key, Written, idempotency};
use sqlx::PgConnection;

use super::{CommitError, Outcome, Rendered, Request};

/// Claims the keys of `requests`. Answers of each request whether it may go on: no if another one has its key.
pub async fn claim(
    connection: &mut PgConnection,
    requests: &[Request],
) -> Result<Vec<bool>, mutation::Error> {
    let mut claimed = idempotency::claim(connection, &of(requests.iter())).await?.into_iter();
    let may_go_on = |request: &Request| match request.keep {
        Some(_) => claimed.next().unwrap_or(false),
        None => true,
    };
    Ok(requests.iter().map(may_go_on).collect())
}

/// Lets go of the keys of refused requests, which do not use them up: the client may correct the body and send it again.
pub async fn release<T>(
    connection: &mut PgConnection,
    requests: &[Request],
    planned: &[Result<T, CommitError>],
) -> Result<(), mutation::Error> {
    let refused = requests.iter().zip(planned);
    let refused = refused.filter(|(_, planned)| matches!(planned, Err(CommitError::Refused(_))));
    idempotency::release(connection, &of(refused.map(|(request, _)| request))).await
}

/// Keeps the answers of requests, which have made the version of `place`.
pub async fn keep(
    connection: &mut PgConnection,
    requests: &[Request],
    answers: &[Result<Outcome, CommitError>],
    place: Place,
) -> Result<(), mutation::Error> {
    let mut sealed = Vec::new();
    for (request, answer) in requests.iter().zip(answers) {
        if let (Some(keep), Ok(outcome)) = (&request.keep, answer) {
            let Rendered { status, etag, body } = (keep.render)(outcome);
            let written = Written { places: place.into(), ..Written::default() };
            sealed.push(keep.key.seal_answer(status, etag.as_deref(), &body, written)?);
        }
    }
    idempotency::keep(connection, &sealed).await
}

fn of<'a>(requests: impl Iterator<Item = &'a Request>) -> Vec<&'a Key> {
    requests.filter_map(|request| Some(&request.keep.as_ref()?.key)).collect()
}

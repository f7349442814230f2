//! Read your write: a request may name versions of configurations, by the consistency token of the answer to a write. It waits until the
//! gateway serves the one of its control plane. Example: a script makes a key and uses it at once, at any gateway; without the token it
//! might be answered 401.
//!
//! A token proves nothing here, and allows nothing: whoever makes one up waits for it, for a moment, and gets 503.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use sync::Places;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::failure::Failure;
use crate::status::Status;

/// The header of requests that carries tokens, as in the API.
pub const CONSISTENCY: HeaderName = HeaderName::from_static(sync::CONSISTENCY);
/// Longest time that a request waits.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Most requests of a gateway that wait at once.
const WAITING_MAX: usize = 1024;
/// Most tokens that one request may carry.
const TOKENS_MAX: usize = 8;

/// What the gateway of a control plane serves, and who waits for more.
#[derive(Debug)]
pub struct Served {
    status: watch::Receiver<Status>,
    turns: Semaphore,
}

impl Served {
    /// Nobody waits. `status` says what is served.
    pub fn new(status: watch::Receiver<Status>) -> Self {
        Self { status, turns: Semaphore::new(WAITING_MAX) }
    }

    /// Takes the tokens out of a request's headers, and waits until what they name is served: 503 after [`WAIT_MAX`], and at once if
    /// [`WAITING_MAX`] wait already.
    pub async fn reach(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        let places = read(headers)?;
        headers.remove(CONSISTENCY);
        let mut status = self.status.clone();
        if status.borrow_and_update().serves(&places) {
            return Ok(());
        }
        let _turn = self.turns.try_acquire().map_err(|_| Failure::not_yet_served())?;
        match timeout(WAIT_MAX, status.wait_for(|status| status.serves(&places))).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure::not_yet_served()),
        }
    }
}

/// What all tokens of a request name together.
fn read(headers: &HeaderMap) -> Result<Places, Failure> {
    let mut places = Places::default();
    let texts =
        headers.get_all(CONSISTENCY).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    for (count, text) in texts.enumerate() {
        let text = std::str::from_utf8(text).ok().filter(|_| count < TOKENS_MAX);
        let (_, named) = sync::split(text.ok_or_else(Failure::no_token)?.trim());
        if let Some(named) = named {
            places.merge(&Places::read(named).map_err(|_| Failure::no_token())?);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use ids::{ControlPlaneId, NodeId};
    use sync::{Digest, Place};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        status::{ControlPlaneStatus, Source},
        store::Incarnation,
    };

    fn plane(number: u128) -> ControlPlaneId {
        ControlPlaneId::from_uuid(Uuid::from_u128(number))
    }

    /// A gateway of control plane 1 that serves version 5 of incarnation 2.
    fn gateway() -> (watch::Sender<Status>, Served) {
        let source = ControlPlaneStatus { id: Some(plane(1)), ..ControlPlaneStatus::default() };
        let node = NodeId::from_uuid(Uuid::from_u128(9));
        let mut status = Status::new(node, OffsetDateTime::UNIX_EPOCH, Source::ControlPlane(source));
        status.configuration.incarnation = Incarnation::new(2);
        status.configuration.version = 5;
        status.configuration.digest = Digest::default().to_string();
        let (status, received) = watch::channel(status);
        (status, Served::new(received))
    }

    fn request(tokens: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append(CONSISTENCY, HeaderValue::from_str(token).expect("a value"));
        }
        headers
    }

    fn token(control_plane: u128, incarnation: u64, version: u64) -> String {
        let place = Place { control_plane: plane(control_plane), incarnation, version };
        Places::from(place).behind("sealed".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_served_or_is_of_others_is_not_waited_for() {
        let (_status, served) = gateway();
        let many = [token(1, 2, 5), token(2, 1, 99)].join(", ");
        for tokens in
            [&[token(1, 2, 5)][..], &[token(1, 1, 99)], &[token(2, 9, 9)], &["old".to_owned()], &[many]]
        {
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let mut headers = request(&tokens);
            let began = tokio::time::Instant::now();
            served.reach(&mut headers).await.unwrap_or_else(|failure| panic!("{tokens:?}: {failure}"));
            assert!(headers.is_empty(), "the upstream sees no token");
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_version_is_waited_for_and_for_a_moment_only() {
        let (status, served) = gateway();
        for newer in [token(1, 2, 6), token(1, 3, 1)] {
            let failure = served.reach(&mut request(&["sealed", &newer])).await.expect_err("not served");
            assert_eq!((failure.status.as_u16(), failure.reason), (503, "not-yet-served"));
        }
        let (newer, mut headers) = (token(1, 2, 6), HeaderMap::new());
        headers.insert(CONSISTENCY, newer.parse().expect("a value"));
        let reaching = served.reach(&mut headers);
        let serving = async {
            tokio::time::sleep(WAIT_MAX / 2).await;
            status.send_modify(|status| status.configuration.version = 6);
        };
        let (reached, ()) = tokio::join!(reaching, serving);
        reached.expect("served by now");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_wait() {
        let (_status, served) = gateway();
        let _all = served.turns.acquire_many(WAITING_MAX as u32).await.expect("free");
        let began = tokio::time::Instant::now();
        served.reach(&mut request(&[&token(1, 2, 6)])).await.expect_err("too many wait");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_is_no_token_is_a_bad_request() {
        let (_status, served) = gateway();
        for wrong in ["a~b~c", "sealed~!", &"sealed,".repeat(TOKENS_MAX), &token(1, 2, 6).repeat(20)] {
            let failure = served.reach(&mut request(&[wrong])).await.expect_err("refused");
            assert_eq!(failure.status.as_u16(), 400, "{wrong}");
        }
    }
}

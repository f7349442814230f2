//! A client that follows the recipe of README.md ("A client that retries"): one key for each intended POST, made before the first attempt;
//! the same request again after no answer, 429, 502, 503 and 504, and while the first attempt still runs; nothing else is repeated.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use testbed::{Answer, Api, api};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// Longest time of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(12);
/// Longest time until an intended write is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause after an attempt without an answer, or whose answer names none. It doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A caller of one or several regions.
pub struct Client {
    /// Attempts of one write go to these in turn.
    regions: Vec<Api>,
    /// What the answers so far rest on.
    consistency: Option<String>,
}

/// What one write came to.
pub struct Done {
    /// The answer's body.
    pub body: Value,
    /// Attempts that it took, one at least.
    pub attempts: u32,
    /// Whether the answer was kept from an attempt whose own answer was lost.
    pub replayed: bool,
}

/// What to do after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Done,
    /// The same request again, after this pause if the answer names one.
    Again(Option<Duration>),
    Stop,
}

impl Client {
    /// A caller of `regions`, each of which can do what is asked.
    pub fn new(regions: Vec<Api>) -> Self {
        Self { regions, consistency: None }
    }

    /// Sends a POST until it is done. Fails if it is refused for good, or not done in two minutes.
    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Done> {
        let (key, deadline) = (Uuid::new_v4().to_string(), Instant::now() + PATIENCE);
        let mut pause = PAUSE;
        for attempts in 1.. {
            let region = self.regions.get(attempts as usize % self.regions.len()).context("a region")?;
            let region = match &self.consistency {
                Some(token) => region.with_consistency(token),
                None => region.clone(),
            };
            // An attempt that breaks off may have been done.
            let answer =
                timeout(ATTEMPT_MAX, region.post_once(path, body, &key)).await.ok().and_then(Result::ok);
            let asked = match (after(answer.as_ref()), &answer) {
                (Next::Done, Some(answer)) => {
                    self.consistency = answer.consistency().map(str::to_owned).or(self.consistency.take());
                    let replayed = answer.header("idempotent-replayed") == Some("true");
                    return Ok(Done { body: answer.json()?, attempts, replayed });
                }
                (Next::Again(asked), _) => asked,
                (Next::Done | Next::Stop, answer) => bail!("{path} (key {key}) is refused: {answer:?}"),
            };
            anyhow::ensure!(Instant::now() < deadline, "{path} (key {key}) is not done: {answer:?}");
            sleep(asked.unwrap_or(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        bail!("too many attempts")
    }
}

/// What the recipe says after this answer, or after none.
fn after(answer: Option<&Answer>) -> Next {
    let Some(answer) = answer else { return Next::Again(None) };
    let named =
        answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    match answer.status {
        200..=299 => Next::Done,
        429 | 502..=504 => Next::Again(named),
        409 if answer.text.contains("urn:landbridge:problem:idempotency-key-in-use") => Next::Again(named),
        _ => Next::Stop,
    }
}

/// The API of `region`, with connections of its own.
pub fn caller(region: &testbed::Region) -> anyhow::Result<Api> {
    let http = api::https_client(&region.ca_file())?;
    Ok(Api::new(http, region.edge_url(), Some(&region.owner().token)))
}

//! Sending a request to the gateway and judging the answer.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Context;
use reqwest::{
    Method, Url,
    header::{HOST, HeaderMap, HeaderName},
};

use super::plan::{Case, Credential, Expected, Request};
use crate::upstream::{ECHO_HEADER, Echo};

/// Pause between two requests while waiting for a change.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Statuses by which a gateway itself says that it does not serve a request.
const NOT_SERVED: [u16; 3] = [401, 404, 503];
/// What an error shows of a body, in characters.
const BODY_SHOWN_MAX: usize = 200;

/// A gateway to send requests to.
#[derive(Clone, Debug)]
pub struct Probe {
    http: reqwest::Client,
    gateway: String,
}

/// What came back.
#[derive(Debug)]
struct Seen {
    status: u16,
    /// What the echo upstream received, if it answered.
    echo: Option<Echo>,
    text: String,
}

impl Probe {
    /// `gateway` as in `http://127.0.0.1:8000`.
    pub fn new(http: reqwest::Client, gateway: &str) -> Self {
        Self { http, gateway: gateway.to_owned() }
    }

    /// Checks a case once; the error says what came instead.
    pub async fn check(&self, case: &Case) -> anyhow::Result<()> {
        let seen = self.send(&case.request, case.credential.as_ref()).await?;
        judge(&case.expected, &seen).map_err(|found| anyhow::anyhow!("{}: {found}", describe(case)))
    }

    /// Whether the case holds now.
    pub async fn holds(&self, case: &Case) -> anyhow::Result<bool> {
        let seen = self.send(&case.request, case.credential.as_ref()).await?;
        Ok(judge(&case.expected, &seen).is_ok())
    }

    /// Asks every millisecond until the case holds, and returns the time since `started`.
    pub async fn until_holds(
        &self,
        case: &Case,
        started: Instant,
        deadline: Duration,
    ) -> anyhow::Result<Duration> {
        let mut ticks = pace::ticks(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            let outcome = self.check(case).await;
            match outcome {
                Ok(()) => return Ok(started.elapsed()),
                Err(error) if started.elapsed() >= deadline => {
                    return Err(error.context(format!("not within {} s", deadline.as_secs())));
                }
                Err(_) => {}
            }
        }
    }

    async fn send(&self, request: &Request, credential: Option<&Credential>) -> anyhow::Result<Seen> {
        let mut url: Url = format!("{}{}", self.gateway, request.path).parse()?;
        let mut headers = HeaderMap::new();
        if let Some(host) = &request.host {
            headers.insert(HOST, host.parse()?);
        }
        match credential {
            Some(Credential { name, in_header: true, key }) => {
                headers.insert(name.parse::<HeaderName>()?, key.parse()?);
            }
            Some(Credential { name, in_header: false, key }) => {
                url.query_pairs_mut().append_pair(name, key);
            }
            None => {}
        }
        let method = Method::from_bytes(request.method.as_bytes())?;
        let sent = self.http.request(method, url).headers(headers).send();
        let answer = sent.await.with_context(|| format!("{} {}", request.method, request.path))?;
        let status = answer.status().as_u16();
        let is_echo = answer.headers().contains_key(ECHO_HEADER);
        let text = answer.text().await?;
        let echo = is_echo.then(|| serde_json::from_str(&text).ok()).flatten();
        Ok(Seen { status, echo, text })
    }
}

/// Whether the answer is the expected one; the error describes what was found.
fn judge(expected: &Expected, seen: &Seen) -> Result<(), String> {
    let is_met = match expected {
        Expected::Gateway(status) => seen.status == *status && seen.echo.is_none(),
        Expected::Upstream { echo_below: Some(paths) } => {
            seen.status == 200 && seen.echo.as_ref().is_some_and(|echo| is_below(&echo.path, paths))
        }
        Expected::Upstream { echo_below: None } => !NOT_SERVED.contains(&seen.status),
    };
    if is_met { Ok(()) } else { Err(found(expected, seen)) }
}

fn is_below(path: &str, paths: &BTreeSet<String>) -> bool {
    paths.iter().any(|below| {
        path.strip_prefix(below.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn found(expected: &Expected, seen: &Seen) -> String {
    let expected = match expected {
        Expected::Gateway(status) => format!("{status} from the gateway"),
        Expected::Upstream { echo_below: Some(paths) } => format!("the echo of a path below {paths:?}"),
        Expected::Upstream { echo_below: None } => "an upstream's answer".to_owned(),
    };
    let shown: String = seen.text.chars().take(BODY_SHOWN_MAX).collect();
    format!("expected {expected}, got {} {shown}", seen.status)
}

fn describe(case: &Case) -> String {
    let Request { method, host, path } = &case.request;
    let host = host.as_ref().map(|host| format!(" at {host}")).unwrap_or_default();
    let key = if case.credential.is_some() { "with key" } else { "without key" };
    format!("route {}: {method} {path}{host} {key}", case.route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: u16, echo_path: Option<&str>) -> Seen {
        let echo = echo_path.map(|path| Echo {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: None,
            headers: Default::default(),
            body_length: 0,
        });
        Seen { status, echo, text: String::new() }
    }

    fn is_met(expected: &Expected, seen: &Seen) -> bool {
        judge(expected, seen).is_ok()
    }

    #[test]
    fn a_status_of_the_gateway_does_not_come_from_the_upstream() {
        assert!(is_met(&Expected::Gateway(401), &seen(401, None)));
        assert!(!is_met(&Expected::Gateway(401), &seen(401, Some("/a"))));
        assert!(!is_met(&Expected::Gateway(401), &seen(403, None)));
    }

    #[test]
    fn the_echo_shows_which_service_it_was() {
        let below = Expected::Upstream { echo_below: Some(["/a".to_owned(), "/b/c".to_owned()].into()) };
        for (path, met) in
            [("/a", true), ("/a/1", true), ("/b/c/", true), ("/ab", false), ("/b", false), ("/", false)]
        {
            assert_eq!(is_met(&below, &seen(200, Some(path))), met, "{path}");
        }
        assert!(!is_met(&below, &seen(404, Some("/a"))) && !is_met(&below, &seen(200, None)));
    }

    #[test]
    fn any_other_upstream_may_answer_what_it_likes() {
        let any = Expected::Upstream { echo_below: None };
        assert!(is_met(&any, &seen(500, None)) && is_met(&any, &seen(204, None)));
        assert!(!is_met(&any, &seen(404, None)) && !is_met(&any, &seen(401, None)));
    }
}

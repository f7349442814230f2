//! Whatever is sent to whichever endpoint, the answer is a problem: nothing breaks. Goes through all operations of the
//! OpenAPI documents, so that no new one is left out.

use std::fs;

use access::{OpaqueToken, TokenKind};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::ServiceName;

use crate::{
    fixtures::send_text,
    harness::{run, shared},
    operations::{self, Things},
};

/// Bodies that nothing takes.
fn hostile_bodies() -> Vec<Vec<u8>> {
    let texts = [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"name\": {}1{}}}", "[".repeat(2000), "]".repeat(2000)),
        "{\"name\": \"\\u0000\", \"username\": \"\\u0000\", \"host\": \"\\u0000\", \"description\": \"\\u0000\"}".to_owned(),
        "{\"name\": \"\\ud800\"}".to_owned(),
        "{\"name\": 1e999}".to_owned(),
        "{\"name\": \"a\", \"name\": \"b\"}".to_owned(),
        format!("{{\"name\": \"{}\"}}", "a".repeat(100_000)),
        format!("{{\"{}\": 1}}", "k".repeat(100_000)),
        "\u{feff}{}x".to_owned(),
        "nul".to_owned(),
    ];
    let mut bodies: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    bodies.push(b"{\"name\": \"\xff\"}".to_vec());
    bodies.push(vec![0; 100]);
    bodies
}

#[test]
fn hostile_bodies_are_refused_by_every_endpoint() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let mut wrong = Vec::new();
        for operation in operations::all(region).await? {
            if ![Method::POST, Method::PUT, Method::PATCH].contains(&operation.method)
                || !operation.has_body()
            {
                continue;
            }
            let api = operation.api(region).await?;
            for body in hostile_bodies() {
                let start =
                    String::from_utf8_lossy(body.get(..body.len().min(40)).unwrap_or_default()).into_owned();
                let answer =
                    send_text(&api, operation.method.clone(), &operation.fill(things)?, body).await?;
                if !(400..500).contains(&answer.status) || answer.expect_problem(answer.status).is_err() {
                    wrong.push(format!(
                        "{} {start:?}: {} {}",
                        operation.describe(),
                        answer.status,
                        answer.text
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{} answers are no refusals:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    });
}

/// Parts of paths that name nothing.
fn hostile_names() -> Vec<String> {
    let names = [
        "%00",
        "a%00b",
        "%ff%fe",
        "%2e%2e%2f%2e%2e",
        "%F0%9F%92%A5",
        "%27%20OR%201=1--",
        "*",
        "%25",
        "%0d%0a",
        "-1",
    ];
    names.iter().map(|name| (*name).to_owned()).chain(["a".repeat(5000)]).collect()
}

const HOSTILE_QUERIES: [&str; 14] = [
    "tags=%00",
    "tags=%ff",
    "filter[name]=%00",
    "filter[name][eq]=%00",
    "page[after]=%00",
    "page[after]=bnVsbA",
    "page[after]=e30",
    "page[size]=99999999999999999999",
    "offset=%00",
    "size=%00",
    "version=99999999999999999999&wait=99999999999999999999s",
    "wait=%00",
    "dry_run=%00",
    "=&&==%",
];

#[test]
fn hostile_paths_and_queries_break_no_endpoint() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let mut wrong = Vec::new();
        for operation in operations::all(region).await? {
            let api = operation.api(region).await?;
            let path = operation.fill(things)?;
            let queries = HOSTILE_QUERIES.iter().map(|query| format!("{path}?{query}"));
            let queries: Vec<String> =
                if operation.method == Method::GET { queries.collect() } else { Vec::new() };
            for path in operation.fill_hostile(things, &hostile_names())?.into_iter().chain(queries) {
                let request = api.request(operation.method.clone(), &path);
                let request =
                    if operation.has_body() { request.json(&json!({ "host": 1 })) } else { request };
                let answer = api.send(request).await?;
                let is_fine = match answer.status {
                    200 => operation.method == Method::GET,
                    // What is not there is deleted already.
                    204 => operation.method == Method::DELETE,
                    status => (400..500).contains(&status) && answer.expect_problem(status).is_ok(),
                };
                if !is_fine {
                    let path = path.get(..path.len().min(200)).unwrap_or_default();
                    wrong.push(format!("{} {path}: {} {}", operation.method, answer.status, answer.text));
                }
            }
        }
        assert!(wrong.is_empty(), "{} answers are no refusals:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn hostile_words_in_every_field_are_refused() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let mut wrong = Vec::new();
        for operation in operations::all(region).await?.iter().filter(|operation| operation.has_body()) {
            let Some(body) = operation.json_body(things)? else { continue };
            let api = operation.api(region).await?;
            for (place, changed) in with_each_word_replaced(&body, &["\0", "a\0b", &"a".repeat(100_000)]) {
                let answer =
                    send_text(&api, operation.method.clone(), &operation.fill(things)?, changed).await?;
                if !(400..500).contains(&answer.status) {
                    wrong.push(format!(
                        "{} {place}: {} {}",
                        operation.describe(),
                        answer.status,
                        answer.text
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{} answers are no refusals:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    });
}

/// The body with one of its texts replaced, for each text and replacement; with the place as a JSON pointer.
fn with_each_word_replaced(body: &Value, replacements: &[&str]) -> Vec<(String, String)> {
    let mut places = Vec::new();
    collect_texts(body, String::new(), &mut places);
    let mut changed = Vec::new();
    for place in places {
        for replacement in replacements {
            let mut body = body.clone();
            if let Some(text) = body.pointer_mut(&place) {
                *text = json!(replacement);
            }
            changed.push((place.clone(), body.to_string()));
        }
    }
    changed
}

fn collect_texts(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::String(_) => places.push(at),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| collect_texts(item, format!("{at}/{index}"), places));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect_texts(member, format!("{at}/{name}"), places));
        }
        _ => {}
    }
}

/// Whatever somebody without a token sends is answered, and is no line that an operator would have to read.
#[test]
fn what_a_stranger_sends_is_no_warning() {
    run(async {
        let region = shared().await?;
        let things = Things::shared().await?;
        let log = |service| fs::read_to_string(region.process(service).log());
        let before = ServiceName::ALL.map(|service| log(service).map(|text| text.len()));
        let unknown = |region: &str, place: u64| {
            OpaqueToken::plain(TokenKind::System, &region.parse().expect("a region"), place, [9; 24])
                .expose()
                .to_owned()
        };
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = |kid: &str| {
            let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}).to_string();
            format!("{}.{}.{}", encode(&header), encode("{}"), encode("signature"))
        };
        let tokens = [
            unknown("us", 1),
            unknown("us", u64::MAX),
            unknown("nowhere", 7),
            signed("us.\0"),
            signed("us.unknown"),
            signed("nowhere.unknown"),
            signed(&"x".repeat(3000)),
            "garbage".to_owned(),
        ];
        for operation in operations::all(region).await? {
            for token in &tokens {
                let api = region.api(operation.service).with_token(token);
                let answer = operation.send(&api, things).await?;
                let is_fine = operation.protection == "public" || (400..500).contains(&answer.status);
                assert!(is_fine, "{} {token}: {} {}", operation.describe(), answer.status, answer.text);
            }
        }
        for service in ServiceName::ALL {
            let api = region.api(service).anonymous();
            for path in ["/", "/nowhere", "/v3/%00", "/v3/teams?x=1", "/a/%2e%2e/b", "/v1/jwks.json?%00=%00"]
            {
                api.get(path).await?;
            }
            for body in hostile_bodies() {
                send_text(&api, Method::POST, "/v1/nodes/enrol", body).await?;
            }
        }
        let mut loud = Vec::new();
        for (service, before) in ServiceName::ALL.into_iter().zip(before) {
            let text = log(service)?;
            assert!(text.contains("INFO"), "levels are spelt otherwise");
            let lines = text.get(before?..).unwrap_or_default().lines();
            loud.extend(
                lines.filter(|line| line.contains("WARN") || line.contains("ERROR")).map(str::to_owned),
            );
        }
        assert!(loud.is_empty(), "{} lines:\n{}", loud.len(), loud.join("\n"));
        Ok(())
    });
}

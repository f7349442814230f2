//! basic-auth: a request with the username and password of a consumer passes, as a request of that consumer.
//!
//! A password that was right once is remembered by its keyed hash, so that only the first request of a user waits for the slow hash.

use std::{rc::Rc, sync::Arc};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use gateway_model::{Kind, plugin::basic_auth::Config};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    Answer, Compiled, Exchange, Identity, Make, NotExecutable, Phases, Plugin, Then, Verdict,
    authentication::{Fallback, Said, admit, challenge, credentials, unauthorized},
    identities::Secret,
    passwords::{Busy, Passwords},
};
use crate::store::{Lookup, StoreError};

/// Where credentials may stand, in the order in which they are looked for.
const HEADERS: [HeaderName; 2] = [header::PROXY_AUTHORIZATION, header::AUTHORIZATION];

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The compiled plugin.
#[derive(Debug)]
pub struct BasicAuth(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    fallback: Fallback,
    hide: bool,
    challenge: HeaderValue,
    passwords: Passwords,
}

impl Compiled for BasicAuth {
    type Config = Config;
    const PRIORITY: u32 = 1100;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        Ok(Self(Arc::new(Settings {
            fallback: Fallback::new(config.anonymous.as_deref()),
            hide: config.hide_credentials,
            challenge: challenge("Basic", Some(&config.realm))?,
            passwords: make.tools.passwords().clone(),
        })))
    }
}

impl Plugin for BasicAuth {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let settings = &self.0;
        if settings.fallback.is_done(exchange) {
            return Ok(Verdict::Pass);
        }
        let Some(shown) = shown(exchange) else { return settings.refuse(exchange) };
        let (identities, now) = (exchange.identities, exchange.now);
        let lookup = Lookup::basic_auth(&shown.username);
        let Some(identity) = identities.by_credential(Kind::BasicAuth, &lookup, now)? else {
            return settings.refuse(exchange);
        };
        let (Secret::Password(hash), Some(credential)) = (&identity.secret, identity.credential) else {
            return settings.refuse(exchange);
        };
        if identities.knows_password(credential, hash, &shown.password) {
            return settings.conclude(exchange, identity, true);
        }
        if !entity_secrets::is_dear(hash) {
            let is_right = entity_secrets::is_password(hash, identity.consumer, &shown.password);
            return settings.conclude(exchange, identity, is_right);
        }
        let (settings, hash) = (settings.clone(), hash.clone());
        Ok(Verdict::Wait(Box::pin(async move {
            let checking = settings.passwords.check(hash.clone(), identity.consumer, shown.password.clone());
            let checked = checking.await;
            let then: Then = Box::new(move |exchange| match checked {
                Ok(is_right) => {
                    if is_right {
                        exchange.identities.remember_password(credential, &hash, &shown.password);
                    }
                    settings.conclude(exchange, identity, is_right)
                }
                Err(Busy) => Ok(Verdict::Answer(Answer::Message {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    message: "Too many passwords are being checked; try again".to_owned(),
                    headers: vec![(header::RETRY_AFTER, HeaderValue::from_static("1"))],
                })),
            });
            then
        })))
    }
}

impl Settings {
    fn conclude(
        &self,
        exchange: &mut Exchange<'_, '_>,
        identity: Rc<Identity>,
        is_right: bool,
    ) -> Result<Verdict, StoreError> {
        if !is_right {
            return self.refuse(exchange);
        }
        self.hide(exchange);
        admit(exchange, identity);
        Ok(Verdict::Pass)
    }

    fn refuse(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let answer = unauthorized("Unauthorized", &self.challenge);
        self.fallback.refuse(exchange, answer, |exchange| self.hide(exchange))
    }

    fn hide(&self, exchange: &mut Exchange<'_, '_>) {
        if self.hide {
            HEADERS.iter().for_each(|name| drop(exchange.headers.remove(name)));
        }
    }
}

/// What a request shows. Never printed.
struct Shown {
    username: String,
    password: Vec<u8>,
}

/// The credentials of the first header that has some. Two different ones are none: nobody knows which the upstream would read.
fn shown(exchange: &Exchange<'_, '_>) -> Option<Shown> {
    HEADERS.iter().find_map(|name| match credentials(exchange.headers, name, "Basic") {
        Said::Once(text) => read(text),
        Said::Nothing | Said::Several => None,
    })
}

fn read(text: &str) -> Option<Shown> {
    let mut username = BASE64.decode(text).ok()?;
    let colon = memchr::memchr(b':', &username)?;
    let password = username.get(colon + 1..)?.to_vec();
    username.truncate(colon);
    let username = String::from_utf8(username).ok().filter(|name| !name.is_empty())?;
    Some(Shown { username, password })
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{
        super::testing::{self, Known, Outcome, get, settings},
        *,
    };

    fn plugin(config: Value) -> BasicAuth {
        match settings("basic-auth", config) {
            PluginConfig::BasicAuth(config) => testing::compile(&config).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn credential(id: u128, username: &str, password: &str) -> (Kind, u128, Value) {
        let consumer = json!({ "id": Uuid::from_u128(1) });
        (Kind::BasicAuth, id, json!({ "consumer": consumer, "username": username, "password": password }))
    }

    fn known() -> Known {
        // SHA-1 of "old00000000-0000-0000-0000-000000000001".
        let mut sha1 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
        sha1.update(format!("old{}", Uuid::from_u128(1)).as_bytes());
        let of_kong = format!("$kong-sha1${}", hex::encode(sha1.finish()));
        Known::new(&[
            (Kind::Consumer, 1, json!({ "username": "alice" })),
            (Kind::Consumer, 9, json!({ "username": "nobody" })),
            credential(2, "al ice", "pass:word"),
            credential(3, "from-kong", &of_kong),
        ])
    }

    fn shown(known: &Known, plugin: &BasicAuth, text: &str) -> Outcome {
        let header = format!("Basic {}", BASE64_STANDARD.encode(text));
        get("/").header("authorization", &header).show_by(&known.identities, plugin)
    }

    #[test]
    fn the_right_password_passes_the_first_time_and_again() {
        let (known, plain) = (known(), plugin(json!({ "hide_credentials": true })));
        for text in ["al ice:pass:word", "al ice:pass:word", "from-kong:old"] {
            let outcome = shown(&known, &plain, text);
            assert!(outcome.passed(), "{text}");
            assert_eq!(outcome.headers["x-consumer-username"], "alice");
            assert_eq!(outcome.headers["x-credential-identifier"], text.split_once(':').unwrap().0);
            assert!(!outcome.headers.contains_key("authorization"));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_challenge() {
        let (known, plain) = (known(), plugin(json!({})));
        let good = BASE64_STANDARD.encode("al ice:pass:word");
        assert!(shown(&known, &plain, "al ice:pass:word").passed());
        let long = "x".repeat(50_000);
        let outcomes = [
            get("/").show_by(&known.identities, &plain),
            get("/").header("authorization", &format!("Bearer {good}")).show_by(&known.identities, &plain),
            get("/").header("authorization", &good).show_by(&known.identities, &plain),
            get("/").header("authorization", "Basic ~~~").show_by(&known.identities, &plain),
            get("/").header("authorization", "Basic ").show_by(&known.identities, &plain),
            get("/")
                .header("authorization", &format!("Basic {good}"))
                .header("authorization", "Basic eDp4")
                .show_by(&known.identities, &plain),
            shown(&known, &plain, "al ice:pass:wor"),
            shown(&known, &plain, "Al ice:pass:word"),
            shown(&known, &plain, "al ice:"),
            shown(&known, &plain, "al ice"),
            shown(&known, &plain, ":pass:word"),
            shown(&known, &plain, ""),
            shown(&known, &plain, &format!("al ice:{long}")),
            shown(&known, &plain, &format!("{long}:x")),
            shown(&known, &plain, "from-kong:new"),
        ];
        for (number, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.refused(), (StatusCode::UNAUTHORIZED, "Unauthorized"), "{number}");
            assert_eq!(outcome.answer_header("www-authenticate"), Some("Basic realm=\"service\""));
            assert!(outcome.consumer.is_none());
        }
    }

    #[test]
    fn a_password_ends_with_its_change() {
        let (known, plain) = (known(), plugin(json!({})));
        assert!(shown(&known, &plain, "al ice:pass:word").passed());
        known.put(&[credential(2, "al ice", "another")]);
        assert!(!shown(&known, &plain, "al ice:pass:word").passed());
        assert!(shown(&known, &plain, "al ice:another").passed());
    }

    #[test]
    fn who_shows_no_right_password_may_count_as_somebody() {
        let known = known();
        let optional = plugin(json!({ "anonymous": "nobody", "hide_credentials": true }));
        for text in ["al ice:wrong", "", "bob:x"] {
            let outcome = shown(&known, &optional, text);
            assert!(outcome.passed() && outcome.consumer.unwrap().is_anonymous, "{text}");
            assert!(!outcome.headers.contains_key("authorization"));
        }
    }
}

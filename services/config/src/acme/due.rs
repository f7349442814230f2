//! When a certificate is ordered: pure. It is when there is none that is as the entity says, and when the one that there is has had most of its
//! life. What failed is tried again after pauses that double.
//!
//! Let's Encrypt issues the same certificate five times a week at most, and forgives five failures an hour. Nothing here comes near that: an
//! issued certificate is not ordered again before half of its life is over, and pauses begin with a minute.

use std::time::Duration;

use gateway_model::{AcmeCertificate, AcmeIssued, AcmeKey, AcmeKeyType, AcmeLeaf};
use uuid::Uuid;

/// Pause after the first failure; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Pause after an answer that too much was asked of the ACME server, at least.
const RATE_LIMITED_PAUSE_MIN: Duration = Duration::from_secs(60 * 60);
/// A pause is shortened by up to this part of it, so that what failed together is not tried again together.
const PAUSE_SPREAD: u64 = 4;
/// A renewal comes earlier by up to this part of the certificate's life, by its id, so that what was ordered together is not renewed together.
const RENEWAL_SPREAD: i64 = 24;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What is known of the orders of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What was asked for; `None`: nothing yet.
    pub request: Option<[u8; 32]>,
    /// Attempts at it since the last success.
    pub attempts: u32,
    /// Unix seconds before which nothing is done, unless something else is asked for.
    pub due_at: i64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing before these Unix seconds. `attempts`: that many count from now on.
    Wait { until: i64, attempts: u32 },
    /// A certificate is ordered; this is attempt number `attempt`, from 1.
    Order { attempt: u32 },
}

/// What an order asks for, as a hash: something else is asked for without a pause.
pub fn request(certificate: &AcmeCertificate) -> [u8; 32] {
    let AcmeCertificate {
        domains,
        account_email,
        directory,
        challenge,
        cert_type,
        rsa_key_size,
        eab_kid,
        ..
    } = certificate;
    let mut domains = domains.clone();
    domains.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    let size = rsa_key_size.to_string();
    let texts = [account_email.as_str(), challenge.as_str(), cert_type.as_str(), size.as_str()];
    let optional = [directory, eab_kid].map(|text| text.as_deref().unwrap_or_default());
    for text in texts.into_iter().chain(optional).chain(domains.iter().map(String::as_str)) {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// What is to be done at `now`, Unix seconds, for the entity `id`.
pub fn next(id: Uuid, certificate: &AcmeCertificate, past: &Past, now: i64) -> Next {
    let needed_at = needed_at(id, certificate);
    if needed_at > now {
        return Next::Wait { until: needed_at, attempts: 0 };
    }
    if past.request != Some(request(certificate)) || past.attempts == 0 {
        return Next::Order { attempt: 1 };
    }
    if past.due_at > now {
        return Next::Wait { until: past.due_at, attempts: past.attempts };
    }
    Next::Order { attempt: past.attempts.saturating_add(1) }
}

/// Unix seconds from which a new certificate is needed; 0: there is none that is as the entity says.
pub fn needed_at(id: Uuid, certificate: &AcmeCertificate) -> i64 {
    let issued = certificate.state.as_ref().and_then(|state| state.issued.as_ref());
    let leaf = issued.and_then(AcmeIssued::leaf);
    match issued.zip(leaf).filter(|(issued, leaf)| fits(certificate, issued, leaf)) {
        Some((_, leaf)) => renewal_at(id, &leaf, certificate.renew_threshold_days),
        None => 0,
    }
}

/// Whether what was issued is what the entity asks for.
fn fits(certificate: &AcmeCertificate, issued: &AcmeIssued, leaf: &AcmeLeaf) -> bool {
    let key = match certificate.cert_type {
        AcmeKeyType::Ecc => AcmeKey::Ecc,
        AcmeKeyType::Rsa => AcmeKey::Rsa(certificate.rsa_key_size.into()),
    };
    // An entity that names no server keeps what it has when the region's default becomes another.
    let is_from_there = certificate.directory.as_ref().is_none_or(|named| *named == issued.directory);
    is_from_there
        && leaf.key == Some(key)
        && certificate.domains.iter().all(|domain| leaf.names.contains(domain))
}

/// When two thirds of its life are over, or so many days before its end, whichever is earlier; but not in the first half of its life.
fn renewal_at(id: Uuid, leaf: &AcmeLeaf, threshold_days: u16) -> i64 {
    let life = leaf.not_after.saturating_sub(leaf.not_before).max(0);
    let by_share = leaf.not_before.saturating_add(life / 3 * 2);
    let by_days = leaf.not_after.saturating_sub(i64::from(threshold_days) * DAY_SECONDS);
    let spread =
        i64::from(blake3::hash(id.as_bytes()).as_bytes()[0]) * (life / RENEWAL_SPREAD) / i64::from(u8::MAX);
    by_share.min(by_days).saturating_sub(spread).max(leaf.not_before.saturating_add(life / 2))
}

/// How long to wait after attempt number `attempt`, from 1, has failed. `random` is a fresh uniform number.
pub fn pause(attempt: u32, is_rate_limited: bool, random: u64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(PAUSE_MAX);
    let floor = if is_rate_limited { RATE_LIMITED_PAUSE_MIN } else { PAUSE_MIN };
    let whole = doubled.max(floor).as_secs();
    let less = random % (whole / PAUSE_SPREAD).max(1);
    Duration::from_secs(whole - less)
}

#[cfg(test)]
mod tests {
    use gateway_model::{AcmeState, Entity, Kind, Secret};
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
    use serde_json::{Value, json};
    use time::OffsetDateTime;

    use super::*;

    /// 2030-01-01.
    const START: i64 = 1_893_456_000;
    const ID: Uuid = Uuid::from_u128(1);

    fn entity(more: Value) -> AcmeCertificate {
        let mut body = json!({"domains": ["a.example", "b.example"], "account_email": "a@b.example", "tos_accepted": true});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        match Entity::from_api(Kind::AcmeCertificate, &body) {
            Ok(Entity::AcmeCertificate(certificate)) => certificate,
            other => panic!("{body}: {other:?}"),
        }
    }

    /// The entity with a certificate for `names` that is valid for `days` from [`START`] on.
    fn with_issued(
        mut certificate: AcmeCertificate,
        names: &[&str],
        days: i64,
        key: &KeyPair,
    ) -> AcmeCertificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
        (params.not_before, params.not_after) = (at(START), at(START + days * DAY_SECONDS));
        let cert = params.self_signed(key).expect("a certificate").pem();
        let issued =
            AcmeIssued { cert, key: Secret::Plain(key.serialize_pem()), directory: "one".to_owned() };
        certificate.state = Some(AcmeState { issued: Some(issued), challenges: Vec::new() });
        certificate
    }

    fn ecc() -> KeyPair {
        KeyPair::generate().expect("a key")
    }

    const BOTH: [&str; 2] = ["a.example", "b.example"];

    #[test]
    fn what_is_not_as_the_entity_says_is_ordered_at_once() {
        let now = |certificate: &AcmeCertificate| next(ID, certificate, &Past::default(), START);
        let order = Next::Order { attempt: 1 };
        assert_eq!(now(&entity(json!({}))), order);
        assert!(matches!(
            now(&with_issued(entity(json!({})), &BOTH, 90, &ecc())),
            Next::Wait { attempts: 0, .. }
        ));
        assert_eq!(
            now(&with_issued(entity(json!({})), &["a.example"], 90, &ecc())),
            order,
            "a name is missing"
        );
        assert_eq!(
            now(&with_issued(entity(json!({"directory": "two"})), &BOTH, 90, &ecc())),
            order,
            "of another server"
        );
        let rsa = json!({"cert_type": "rsa", "rsa_key_size": 2048});
        assert_eq!(now(&with_issued(entity(rsa.clone()), &BOTH, 90, &ecc())), order, "another kind of key");
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        assert!(matches!(now(&with_issued(entity(rsa), &BOTH, 90, &key)), Next::Wait { .. }));
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_or_the_threshold_say_so() {
        // Life and threshold in days; the first and the last day on which it may be.
        for (life, threshold, from, until) in
            [(90, 14, 56, 60), (90, 40, 46, 50), (90, 80, 45, 45), (6, 14, 3, 3), (398, 14, 248, 266)]
        {
            let certificate =
                with_issued(entity(json!({"renew_threshold_days": threshold})), &BOTH, life, &ecc());
            let days = (needed_at(ID, &certificate) - START) / DAY_SECONDS;
            assert!((from..=until).contains(&days), "{life} days, {threshold} before the end: on day {days}");
        }
        let of = |id| needed_at(Uuid::from_u128(id), &with_issued(entity(json!({})), &BOTH, 90, &ecc()));
        assert_eq!(of(1), of(1));
        assert!((1..20).any(|id| of(id) != of(0)), "they are spread");
    }

    #[test]
    fn what_failed_waits_unless_something_else_is_asked_for() {
        let certificate = entity(json!({}));
        let past = Past { request: Some(request(&certificate)), attempts: 3, due_at: START + 100 };
        assert_eq!(next(ID, &certificate, &past, START), Next::Wait { until: START + 100, attempts: 3 });
        assert_eq!(next(ID, &certificate, &past, START + 100), Next::Order { attempt: 4 });
        let tagged = entity(json!({"tags": ["x"], "renew_threshold_days": 3}));
        assert_eq!(next(ID, &tagged, &past, START), Next::Wait { until: START + 100, attempts: 3 });
        for other in [
            json!({"domains": ["a.example"]}),
            json!({"directory": "two"}),
            json!({"account_email": "c@d.example"}),
        ] {
            assert_eq!(next(ID, &entity(other), &past, START), Next::Order { attempt: 1 });
        }
        let reordered = entity(json!({"domains": ["b.example", "a.example"]}));
        assert_eq!(request(&reordered), request(&certificate), "the order of the names is no other request");
    }

    #[test]
    fn pauses_double_from_a_minute_to_a_day() {
        assert_eq!(pause(1, false, 0).as_secs(), 60);
        assert_eq!(pause(2, false, 0).as_secs(), 120);
        assert_eq!(pause(1, true, 0).as_secs(), 3600);
        for attempt in [12, 40, u32::MAX] {
            assert_eq!(pause(attempt, false, 0), PAUSE_MAX);
        }
        for random in [1, 14, u64::MAX] {
            let seconds = pause(1, false, random).as_secs();
            assert!((45..=60).contains(&seconds), "{seconds}");
        }
    }
}

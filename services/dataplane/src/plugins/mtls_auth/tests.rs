//! What only a clock that can be set shows: chains that end, or begin to count, while their connection is open; and what is remembered.

use std::rc::Rc;

use gateway_model::{Entity, PluginConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::{
    authority::Authority,
    plugins::{
        Authorities, Tools,
        testing::{Known, NOW, Outcome, PLUGIN, Request, get, settings},
    },
};

const CA: Uuid = Uuid::from_u128(77);

/// An authority that counts between two seconds, from [`NOW`] on.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    authority: Arc<Authority>,
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW.cast_signed() + seconds).unwrap()
}

fn ca((from, to): (i64, i64)) -> Ca {
    let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (at(from), at(to));
    let body = json!({ "cert": params.self_signed(&key).unwrap().pem() });
    let Ok(Entity::CaCertificate(entity)) = Entity::from_api(Kind::CaCertificate, &body) else {
        panic!("{body}")
    };
    Ca { issuer: Issuer::new(params, key), authority: Arc::new(Authority::new(&entity).unwrap()) }
}

impl Ca {
    fn issue(&self, (from, to): (i64, i64)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["alice".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from), at(to));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    fn plugin(&self, mut config: Value) -> MtlsAuth {
        config["ca_certificates"] = json!([CA]);
        let PluginConfig::MtlsAuth(config) = settings("mtls-auth", config) else { panic!("another plugin") };
        let find = |id: Uuid| (id == CA).then(|| self.authority.clone());
        let make = Make { id: PLUGIN, tools: &Tools::default(), authorities: Authorities(&find) };
        MtlsAuth::new(&config, &make).unwrap()
    }
}

/// A connection whose client has shown a certificate.
struct Open(Rc<ClientCertificate>);

impl Open {
    fn with(certificate: CertificateDer<'static>) -> Self {
        Self(Rc::new(ClientCertificate::shown(vec![certificate])))
    }

    /// What comes of a request some seconds after [`NOW`].
    fn ask(&self, known: &Known, plugin: &MtlsAuth, seconds: u64) -> Outcome {
        let request = Request { now: NOW + seconds, certificate: self.0.clone(), ..get("/") };
        request.show_by(&known.identities, plugin)
    }
}

fn known() -> Known {
    Known::new(&[
        (Kind::Consumer, 1, json!({ "username": "alice" })),
        (Kind::Consumer, 2, json!({ "username": "bob" })),
    ])
}

#[test]
fn a_chain_counts_between_its_times_and_those_of_its_authority() {
    let known = known();
    for (of_authority, own, passes) in [
        ((-10, 1000), (-10, 100), [(0, true), (100, true), (101, false), (5000, false)]),
        ((-10, 50), (-10, 100), [(0, true), (50, true), (51, false), (101, false)]),
        // What is refused is looked at again some seconds later.
        ((-10, 1000), (5, 100), [(0, false), (5, false), (11, true), (101, false)]),
        ((5, 1000), (-10, 100), [(0, false), (5, false), (11, true), (101, false)]),
    ] {
        let ca = ca(of_authority);
        let (plugin, open) = (ca.plugin(json!({})), Open::with(ca.issue(own)));
        for (seconds, expected) in passes {
            let outcome = open.ask(&known, &plugin, seconds);
            assert_eq!(outcome.passed(), expected, "{of_authority:?} {own:?} {seconds}");
        }
    }
}

#[test]
fn what_is_remembered_follows_consumers_credentials_and_settings() {
    let (known, ca) = (known(), ca((-10, 1000)));
    let open = Open::with(ca.issue((-10, 1000)));
    let plugin = ca.plugin(json!({}));
    let who = |plugin: &MtlsAuth| {
        let outcome = open.ask(&known, plugin, 0);
        outcome.consumer.map(|identity| identity.consumer.as_u128())
    };
    assert_eq!((who(&plugin), who(&plugin)), (Some(1), Some(1)));
    assert_eq!(
        who(&ca.plugin(json!({ "consumer_by": ["custom_id"] }))),
        None,
        "other settings, same authorities"
    );
    assert_eq!(who(&ca.plugin(json!({ "default_consumer": "bob", "consumer_by": [] }))), Some(2));
    let of_bob = |issuer: Value| json!({ "consumer": { "id": Uuid::from_u128(2) }, "subject_name": "alice", "ca_certificate": issuer });
    known.put(&[(Kind::MtlsAuth, 3, of_bob(json!({ "id": Uuid::from_u128(78) })))]);
    assert_eq!(who(&plugin), Some(1), "of another authority");
    known.put(&[(Kind::MtlsAuth, 3, of_bob(json!({ "id": CA })))]);
    assert_eq!(who(&plugin), Some(2));
    known.store.deny(&crate::store::Revocation {
        place: crate::store::Place { incarnation: 1, seq: 1 },
        kind: "mtls_auth".to_owned(),
        id: Uuid::from_u128(3),
    });
    assert_eq!(who(&plugin), Some(1));
}

#[test]
fn an_anonymous_or_default_consumer_that_is_not_there_lets_nobody_in() {
    let (known, ca) = (known(), ca((-10, 1000)));
    let plugin = ca.plugin(json!({ "default_consumer": "carol", "anonymous": "dave", "consumer_by": [] }));
    let outcome = Open::with(ca.issue((-10, 1000))).ask(&known, &plugin, 0);
    assert_eq!(
        outcome.refused(),
        (StatusCode::INTERNAL_SERVER_ERROR, "default consumer carol is configured but doesn't exist")
    );
    let outcome = Open(Rc::new(ClientCertificate::NotAsked)).ask(&known, &plugin, 0);
    assert_eq!(outcome.refused().0, StatusCode::INTERNAL_SERVER_ERROR);
    let outcome = Open(Rc::new(ClientCertificate::NotAsked)).ask(&known, &ca.plugin(json!({})), 0);
    assert_eq!(outcome.refused().0, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(outcome.answer_header("connection"), Some("close"));
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    let (known, ca) = (known(), ca((-10, 1000)));
    for bytes in [vec![], vec![0x30, 0], vec![0xff; 64]] {
        let outcome = Open::with(CertificateDer::from(bytes)).ask(&known, &ca.plugin(json!({})), 0);
        assert_eq!(outcome.refused(), (StatusCode::UNAUTHORIZED, FAILED));
    }
}

#[test]
fn an_authority_that_is_not_there_is_named() {
    let config = json!({ "ca_certificates": [CA] });
    let PluginConfig::MtlsAuth(config) = settings("mtls-auth", config) else { panic!("another plugin") };
    let error = crate::plugins::testing::compile::<MtlsAuth>(&config).unwrap_err().to_string();
    assert_eq!(error, format!("ca_certificates: {CA} is not there, or this gateway cannot use it"));
}

//! Plugins that authenticate, and credentials of each kind, made for one run.
//!
//! What is measured is what was right before: a password, a signature by a public key, a token that the provider was asked about. The gateway
//! remembers these.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::{Case, World, cases::plugin};
use crate::{
    documents::consumer_name,
    proxy::{certificate::Identity, measure::Way, requests::HOST},
};

/// Whom all credentials are of: the first consumer.
pub const CONSUMER: &str = "consumer-00000";
/// Whom tokens are for.
pub const AUDIENCE: &str = "bench";
/// Signs tokens and requests.
pub const SECRET: &str = "secret-of-the-bench";
/// With [`CONSUMER`] as name.
pub const PASSWORD: &str = "password-of-the-bench";
/// A token that says nothing.
const OPAQUE: &str = "token-of-the-bench";
/// The id of the authority that issues the clients' certificate.
const AUTHORITY: &str = "00000000-0000-4000-8000-000000000001";
/// When tokens end, in Unix seconds: in the year 2100.
const END: u64 = 4_102_444_800;

/// What somebody shows, and what a gateway knows it by.
pub struct Credentials {
    pub rsa: Signer,
    pub ec: Signer,
    /// The certificate that clients show.
    pub certificate: Identity,
}

/// A key pair that tokens are signed with.
pub struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    /// The public key, as credentials have it.
    pub pem: String,
    /// The same, as providers publish it.
    pub public: Value,
}

impl Signer {
    fn rsa() -> anyhow::Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        Self::new(Algorithm::RS256, &pair, EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?)
    }

    fn ec() -> anyhow::Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Self::new(Algorithm::ES256, &pair, EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())?)
    }

    fn new(algorithm: Algorithm, pair: &KeyPair, private: EncodingKey) -> anyhow::Result<Self> {
        let public = serde_json::to_value(Jwk::from_encoding_key(&private, algorithm)?)?;
        Ok(Self { algorithm, private, pem: pair.public_key_pem(), public })
    }

    /// The header with a token of `issuer`.
    pub fn token(&self, issuer: &str) -> anyhow::Result<String> {
        token(self.algorithm, &self.private, issuer)
    }
}

/// The header with a token of `issuer` that is signed with [`SECRET`].
pub fn shared_token(issuer: &str) -> anyhow::Result<String> {
    token(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()), issuer)
}

fn token(algorithm: Algorithm, key: &EncodingKey, issuer: &str) -> anyhow::Result<String> {
    let claims = json!({ "iss": issuer, "sub": CONSUMER, "aud": AUDIENCE, "exp": END });
    Ok(bearer(&encode(&Header::new(algorithm), &claims, key)?))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The header with name and password.
pub fn password() -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{CONSUMER}:{PASSWORD}")))
}

/// The headers of a request that is signed now.
fn signature() -> String {
    let date = httpdate::fmt_http_date(Clock::system().now().into());
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = BASE64_STANDARD.encode(hmac::sign(&key, format!("date: {date}\nhost: {HOST}").as_bytes()));
    let says = format!(
        r#"username="{CONSUMER}", algorithm="hmac-sha256", headers="date host", signature="{signed}""#
    );
    format!("Date: {date}\r\nAuthorization: hmac {says}\r\n")
}

impl Credentials {
    /// New ones.
    pub fn make() -> anyhow::Result<Self> {
        Ok(Self { rsa: Signer::rsa()?, ec: Signer::ec()?, certificate: Identity::create(CONSUMER)? })
    }

    /// Gives them to the first consumer of a document.
    pub fn add_to(&self, document: &mut Value) {
        let consumer = &mut document["consumers"][0];
        debug_assert_eq!(consumer["username"], consumer_name(0));
        consumer["jwt_secrets"] = json!([
            { "key": "bench", "secret": SECRET },
            { "key": "bench-rsa", "algorithm": "RS256", "rsa_public_key": self.rsa.pem },
            { "key": "bench-ec", "algorithm": "ES256", "rsa_public_key": self.ec.pem },
        ]);
        consumer["basicauth_credentials"] = json!([{ "username": CONSUMER, "password": PASSWORD }]);
        consumer["hmacauth_credentials"] = json!([{ "username": CONSUMER, "secret": SECRET }]);
        consumer["oauth2_tokens"] = json!([{ "access_token": OPAQUE }]);
        document["ca_certificates"] = json!([{ "id": AUTHORITY, "cert": self.certificate.authority() }]);
    }
}

/// The gateway with each of these plugins, and without any where a request has the same header.
pub fn cases(world: &World) -> anyhow::Result<Vec<Case>> {
    let Credentials { rsa, ec, .. } = &world.credentials;
    let issuer = &world.provider.issuer;
    let jwt = || plugin("jwt", json!({}));
    let openid = json!({
        "issuer": issuer, "auth_methods": ["bearer"], "audience_required": [AUDIENCE],
        "consumer_claim": ["sub"], "consumer_by": ["username"],
    });
    let introspection = json!({
        "introspection_url": world.provider.introspection(), "authorization_value": "Basic YmVuY2g6YmVuY2g=", "ttl": 3_600,
    });
    let hmac = json!({ "clock_skew": 86_400, "enforce_headers": ["date", "host"] });
    // For each header, the plugins that read it.
    let headers = [
        (
            "none_with_password",
            password(),
            vec![("basic_auth", "basic_auth_cost_us", plugin("basic-auth", json!({})))],
        ),
        (
            "none_with_signature",
            signature(),
            vec![("hmac_auth", "hmac_auth_cost_us", plugin("hmac-auth", hmac))],
        ),
        ("none_with_token", shared_token("bench")?, vec![("jwt_hs256", "jwt_hs256_cost_us", jwt())]),
        ("none_with_rs256", rsa.token("bench-rsa")?, vec![("jwt_rs256", "jwt_rs256_cost_us", jwt())]),
        ("none_with_es256", ec.token("bench-ec")?, vec![("jwt_es256", "jwt_es256_cost_us", jwt())]),
        (
            "none_with_openid",
            rsa.token(issuer)?,
            vec![(
                "openid_connect_bearer",
                "openid_connect_bearer_cost_us",
                plugin("openid-connect", openid),
            )],
        ),
        (
            "none_with_opaque",
            bearer(OPAQUE),
            vec![
                ("oauth2", "oauth2_cost_us", plugin("oauth2", json!({ "scopes": ["read"] }))),
                (
                    "oauth2_introspection",
                    "oauth2_introspection_cost_us",
                    plugin("oauth2-introspection", introspection),
                ),
            ],
        ),
    ];
    let mut cases = Vec::new();
    for (none, header, plugins) in headers {
        cases.push(Case::gateway(none, vec![]).with(&header));
        for (name, key, plugin) in plugins {
            cases.push(Case::gateway(name, vec![plugin]).with(&header).over(none, key));
        }
    }
    let mtls = || vec![plugin("mtls-auth", json!({ "ca_certificates": [AUTHORITY] }))];
    cases.extend([
        Case::gateway("none_https", vec![]).by(Way::Https),
        Case::gateway("mtls_auth", mtls()).by(Way::Https).over("none_https", "mtls_auth_cost_us"),
        Case::gateway("none_handshake", vec![]).by(Way::HttpsHandshake),
        Case::gateway("mtls_auth_handshake", mtls())
            .by(Way::HttpsHandshake)
            .over("none_handshake", "mtls_auth_handshake_cost_us"),
    ]);
    Ok(cases)
}

//! An identity provider in this process, over HTTPS, which does what a test tells it: also what no honest one does. It is strict about clients:
//! a code counts once, for the client that asked, at the place that it named, with the verifier of its challenge.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Form, Json, Router,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testbed::ca::Pair;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

pub const CLIENT: &str = "us & them";
pub const SECRET: &str = "very: secret";

/// How an ID token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// With the newest key that is published.
    Well,
    /// Not at all, by the algorithm `none`.
    Not,
    /// With the client secret, by HS256.
    WithSecret,
    /// With another key under the id of the published one.
    WithAnother,
    /// With a key that is not published.
    Unpublished,
}

/// What it does.
pub struct State {
    issuer: String,
    keys: Vec<(String, EncodingKey)>,
    codes: HashMap<String, HashMap<String, String>>,
    codes_made: usize,
    /// What is different about the next ID tokens; `null` leaves a claim out.
    pub claims: Value,
    /// What the userinfo endpoint says, if it is there.
    pub userinfo: Option<Value>,
    pub signed: Signed,
    /// Unix seconds, as the provider sees them.
    pub now: i64,
    /// Whether it answers 500 to everything.
    pub is_broken: bool,
    /// What it sends browsers back with, besides.
    pub iss: Option<String>,
    /// How often it was asked for its keys.
    pub keys_asked: usize,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Provider {
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

impl Provider {
    /// Starts it, with the certificate of `pair`.
    pub async fn start(pair: &Pair, now: i64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let issuer = issuer(listener.local_addr().expect("an address"));
        let state = State {
            issuer: issuer.clone(),
            keys: vec![key("first")],
            codes: HashMap::new(),
            codes_made: 0,
            claims: json!({}),
            userinfo: None,
            signed: Signed::Well,
            now,
            is_broken: false,
            iss: None,
            keys_asked: 0,
        };
        let provider = Self { issuer, state: Arc::new(Mutex::new(state)) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(serve(listener, tls(pair), router));
        provider
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes another key, and signs with it; the earlier ones stay published if `keeps`.
    pub fn rotate(&self, id: &str, keeps: bool) {
        let mut state = self.state();
        if !keeps {
            state.keys.clear();
        }
        state.keys.push(key(id));
    }

    /// Logs somebody in where the region has sent the browser; answers the query that the browser comes back with.
    pub fn log_in(&self, location: &str) -> String {
        let url = Url::parse(location).expect("a URL");
        assert!(location.starts_with(&format!("{}/authorize?", self.issuer)), "{location}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        let mut state = self.state();
        let code = format!("code-{}", state.codes_made);
        state.codes_made += 1;
        let mut query = vec![
            ("code", code.clone()),
            ("state", asked["state"].clone()),
            ("session_state", "x".to_owned()),
        ];
        query.extend(state.iss.clone().map(|iss| ("iss", iss)));
        state.codes.insert(code, asked);
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish()
    }
}

fn issuer(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

fn key(id: &str) -> (String, EncodingKey) {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    (id.to_owned(), EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a key"))
}

fn tls(pair: &Pair) -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(&pair.certificate).expect("a file");
    let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            if let Ok(stream) = tls.accept(stream).await {
                let service = TowerToHyperService::new(router);
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn describe(Shared(provider): Shared<Provider>) -> Response {
    let state = provider.state();
    if state.is_broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let at = |path: &str| format!("{}/{path}", state.issuer);
    Json(json!({
        "issuer": state.issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "jwks_uri": at("keys"),
        "userinfo_endpoint": state.userinfo.is_some().then(|| at("userinfo")),
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    }))
    .into_response()
}

async fn keys(Shared(provider): Shared<Provider>) -> Response {
    let mut state = provider.state();
    if state.is_broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    state.keys_asked += 1;
    let keys = state.keys.iter().map(|(id, key)| {
        let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).expect("a key");
        jwk.common.key_id = Some(id.clone());
        serde_json::to_value(jwk).expect("JSON")
    });
    // Nobody may publish a secret: it must not become a key.
    let secret = json!({ "kty": "oct", "kid": "secret", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET) });
    Json(json!({ "keys": keys.chain([secret]).collect::<Vec<_>>() })).into_response()
}

async fn token(
    Shared(provider): Shared<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut state = provider.state();
    if state.is_broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    if headers.get(header::AUTHORIZATION).is_none_or(|given| *given != format!("Basic {basic}")) {
        return refused("invalid_client");
    }
    let Some(asked) = form.get("code").and_then(|code| state.codes.remove(code)) else {
        return refused("invalid_grant");
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if form["redirect_uri"] != asked["redirect_uri"] || challenge != asked["code_challenge"] {
        return refused("invalid_grant");
    }
    let access_token = "an access token";
    let half = &Sha256::digest(access_token)[..16];
    let mut claims = json!({
        "iss": state.issuer, "aud": CLIENT, "sub": "subject-1", "nonce": asked["nonce"],
        "iat": state.now, "exp": state.now + 300, "at_hash": BASE64_URL_SAFE_NO_PAD.encode(half),
        "email": "Alan@Example.com", "email_verified": true, "name": "Alan Turing", "groups": [],
    });
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in state.claims.as_object().expect("an object") {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    let id_token = state.sign(&claims);
    Json(json!({ "id_token": id_token, "access_token": access_token, "token_type": "Bearer" }))
        .into_response()
}

async fn userinfo(Shared(provider): Shared<Provider>, headers: HeaderMap) -> Response {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer an access token");
    Json(provider.state().userinfo.clone()).into_response()
}

impl State {
    fn sign(&self, claims: &Value) -> String {
        let (id, published) = self.keys.last().expect("a key");
        let with = |algorithm, id: &str, key: &EncodingKey| {
            let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
            encode(&header, claims, key).expect("a token")
        };
        match self.signed {
            Signed::Well => with(Algorithm::ES256, id, published),
            Signed::WithAnother => with(Algorithm::ES256, id, &key("another").1),
            Signed::Unpublished => with(Algorithm::ES256, "unpublished", &key("another").1),
            Signed::WithSecret => {
                with(Algorithm::HS256, "secret", &EncodingKey::from_secret(SECRET.as_bytes()))
            }
            Signed::Not => {
                let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(&json!({ "alg": "none", "kid": id })), part(claims))
            }
        }
    }
}

//! Settings of `openid-connect`: requests must come from somebody whom an OpenID provider knows.

use serde_json::{Value, json};

use super::{ANONYMOUS, PluginSettings};
use crate::record::{
    Fields, Rules, Secret, boolean, integer, list, optional_boolean, record, sealed, text, word, word_list, words,
};
use crate::rules::{self, HEADER_NAME, KEY, Rule};

/// Names, scopes and the like that one list holds.
const LIST_MAX: usize = 64;
/// Bytes of a URL.
const URL_BYTES_MAX: usize = 1024;
pub(super) const URL: Rule = Rule::new(url, URL_BYTES_MAX);
/// A value in a token.
const VALUE: Rule = Rule::new(rules::printable, 512);
const COOKIE_NAME: Rule = HEADER_NAME;
const SUFFIX: Rule = Rule::new(rules::upstream_path, rules::PATH_BYTES_MAX);
/// Seconds of a month.
const SESSION_MAX: u32 = 31 * 86_400;

fn url(text: &str) -> Result<(), String> {
    rules::length_bytes(text, URL_BYTES_MAX)?;
    let is_url = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_url { Ok(()) } else { Err("be a URL such as `https://id.example.com`".to_owned()) }
}

words! {
    /// How somebody may show who they are.
    pub enum AuthMethod {
        /// A token that the provider has signed, behind `Authorization: Bearer`.
        Bearer = "bearer",
        /// A token that the provider is asked about.
        Introspection = "introspection",
        /// The browser is sent to the provider and comes back with a code.
        AuthorizationCode = "authorization_code",
        /// The cookie of an earlier login.
        Session = "session",
    }
}

const AUTH_METHODS: [AuthMethod; 4] =
    [AuthMethod::Bearer, AuthMethod::Introspection, AuthMethod::AuthorizationCode, AuthMethod::Session];

words! {
    /// What a claim says of a consumer.
    pub enum ConsumerBy {
        /// Its username.
        Username = "username",
        /// Its id in another system.
        CustomId = "custom_id",
        /// Its id.
        Id = "id",
    }
}

const CONSUMER_BY: [ConsumerBy; 2] = [ConsumerBy::Username, ConsumerBy::CustomId];

words! {
    /// Which requests from other sites carry the session's cookie.
    pub enum SameSite {
        /// None.
        Strict = "Strict",
        /// Those by which a browser follows a link.
        Lax = "Lax",
        /// All.
        None = "None",
    }
}

record! {
    /// Settings of `openid-connect`.
    pub struct Config {
        /// The provider. Its description is read from `/.well-known/openid-configuration` below.
        pub issuer: String = text(URL).required("name the provider"),
        /// How somebody may show who they are.
        pub auth_methods: Vec<AuthMethod> = word_list(&AUTH_METHODS),
        /// The gateway's id at the provider; one entry.
        pub client_id: Vec<String> = list(VALUE, 1),
        /// Its secret there.
        pub client_secret: Option<Secret> = sealed("client_secret_sealed", KEY),
        /// What a login asks for.
        pub scopes: Vec<String> = list(VALUE, LIST_MAX).or(&["openid"]),
        /// Where the provider sends the browser back to; without one, to the URL that was asked for. One entry.
        pub redirect_uri: Vec<String> = list(URL, 1),
        /// Issuers whose tokens count, beside the provider's own.
        pub issuers_allowed: Vec<String> = list(VALUE, LIST_MAX),
        /// Of these a bearer token must be for one; empty: it may be for anybody.
        pub audience_required: Vec<String> = list(VALUE, LIST_MAX),
        /// The path of the claim that says whom a token is for.
        pub audience_claim: Vec<String> = list(VALUE, LIST_MAX).or(&["aud"]),
        /// Of these a token must have one; empty: it need have none. An entry with spaces stands for several that are needed together.
        pub scopes_required: Vec<String> = list(VALUE, LIST_MAX),
        /// The path of the claim that holds the scopes.
        pub scopes_claim: Vec<String> = list(VALUE, LIST_MAX).or(&["scope"]),
        /// The path of the claim that names the consumer; empty: nobody becomes a consumer.
        pub consumer_claim: Vec<String> = list(VALUE, LIST_MAX),
        /// What that claim is, tried in this order.
        pub consumer_by: Vec<ConsumerBy> = word_list(&CONSUMER_BY),
        /// Whether somebody passes who is no consumer.
        pub consumer_optional: bool = boolean(false),
        /// The path of the claim that holds groups, for `acl`.
        pub authenticated_groups_claim: Vec<String> = list(VALUE, LIST_MAX),
        /// Claims that the upstream is told in the headers of `upstream_headers_names`, in this order.
        pub upstream_headers_claims: Vec<String> = list(VALUE, LIST_MAX),
        /// The headers for `upstream_headers_claims`.
        pub upstream_headers_names: Vec<String> = list(HEADER_NAME, LIST_MAX),
        /// Seconds by which clocks may differ.
        pub leeway: u32 = integer(0, 0..=600),
        /// Where the provider is asked about tokens, if not where its description says.
        pub introspection_endpoint: Option<String> = text(URL),
        /// Whether the provider is asked about tokens that it has signed, too.
        pub introspect_jwt_tokens: bool = boolean(false),
        /// Seconds for which its answers count; 0: it is asked each time.
        pub cache_ttl: u32 = integer(60, 0..=3600),
        /// Whether the token is removed from the request before it goes upstream. The session's cookie always is.
        pub hide_credentials: bool = boolean(false),
        /// What the session's cookie is sealed with.
        pub session_secret: Option<Secret> = sealed("session_secret_sealed", KEY),
        /// The session's cookie.
        pub session_cookie_name: String = text(COOKIE_NAME).or("session"),
        /// Which requests from other sites carry it.
        pub session_cookie_same_site: SameSite = word(SameSite::Lax),
        /// Whether browsers send it over TLS alone; null: if the login came over TLS.
        pub session_cookie_secure: Option<bool> = optional_boolean(),
        /// Seconds for which a login counts.
        pub session_absolute_timeout: u32 = integer(86_400, 60..=SESSION_MAX),
        /// How paths end that log out; null: none does.
        pub logout_uri_suffix: Option<String> = text(SUFFIX),
        /// Where somebody goes who has logged out; without one, to the provider's own log-out. One entry.
        pub logout_redirect_uri: Vec<String> = list(URL, 1),
        /// Whether `OPTIONS` requests must come from somebody too.
        pub run_on_preflight: bool = boolean(true),
        /// Id or username of the consumer that a request counts as which comes from nobody; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "openid-connect";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }

    fn smallest() -> Value {
        json!({ "issuer": "https://id.example.com", "auth_methods": ["bearer"] })
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        let has = |method: AuthMethod| self.auth_methods.contains(&method);
        let logs_in = has(AuthMethod::AuthorizationCode);
        let remedy = "or leave `authorization_code`, `session` and `introspection` out of `auth_methods`";
        if (logs_in || has(AuthMethod::Introspection)) && self.client_id.is_empty() {
            fields.fail("client_id", format!("is required: name the gateway's id at the provider, {remedy}"));
        }
        if (logs_in || has(AuthMethod::Session)) && self.session_secret.is_none() {
            fields.fail("session_secret", format!("is required: sessions are sealed with it, {remedy}"));
        }
        if self.upstream_headers_claims.len() != self.upstream_headers_names.len() {
            fields.fail("upstream_headers_names", "must have as many entries as `upstream_headers_claims`");
        }
    }
}

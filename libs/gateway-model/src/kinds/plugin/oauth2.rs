//! Settings of `oauth2`: requests must carry an access token that another issuer has given to a consumer.

use super::{ANONYMOUS, PluginSettings};
use crate::record::{Fields, Rules, absent, boolean, fixed, list, record, text};
use crate::rules::{self, HEADER_NAME, QUOTABLE, Rule};

/// Scopes that a plugin asks for.
const SCOPES_MAX: usize = 64;
/// One scope.
const SCOPE: Rule = Rule::new(scope, rules::HEADER_VALUE.chars_max);

fn scope(text: &str) -> Result<(), String> {
    rules::quotable(text)?;
    if text.contains(' ') { Err("be one scope, without spaces".to_owned()) } else { Ok(()) }
}

record! {
    /// Settings of `oauth2`. This gateway checks tokens and issues none.
    pub struct Config {
        /// The scopes of which a token must have one, where `mandatory_scope` is set.
        pub scopes: Vec<String> = list(SCOPE, SCOPES_MAX),
        /// Whether a token must have one of `scopes`.
        pub mandatory_scope: bool = boolean(false),
        /// The header that may hold the token, behind the word `Bearer`. The query argument `access_token` may hold it too.
        pub auth_header_name: String = text(HEADER_NAME).or("authorization"),
        /// Whether the token is removed from the request before it goes upstream.
        pub hide_credentials: bool = boolean(false),
        /// Id or username of the consumer that a request counts as which shows no right token; null: it is refused.
        pub anonymous: Option<String> = text(ANONYMOUS),
        /// Realm named in the `WWW-Authenticate` header of refusals.
        pub realm: Option<String> = text(QUOTABLE),
        /// Whether requests that would be refused are counted and logged, and pass.
        pub observe: bool = boolean(false),
    }
    besides {
        provision_key = absent("this gateway issues no tokens; remove it").shown(),
        enable_authorization_code = fixed(false, "this gateway issues no tokens; set it to false"),
        enable_implicit_grant = fixed(false, "this gateway issues no tokens; set it to false"),
        enable_client_credentials = fixed(false, "this gateway issues no tokens; set it to false"),
        enable_password_grant = fixed(false, "this gateway issues no tokens; set it to false"),
        accept_http_if_already_terminated = fixed(false, "it concerns the issuing of tokens; set it to false"),
        global_credentials = fixed(true, "a token counts at every service with this plugin; set it to true"),
        token_expiration = fixed(7200, "tokens end when their issuer has said; remove it"),
        refresh_token_ttl = fixed(1_209_600, "this gateway issues no tokens; remove it"),
        reuse_refresh_token = fixed(false, "this gateway issues no tokens; set it to false"),
        pkce = fixed("lax", "this gateway issues no tokens; remove it"),
    }
}

impl PluginSettings for Config {
    const NAME: &'static str = "oauth2";
    const RUNS_BEFORE_CONSUMER: bool = true;

    fn observe(&self) -> bool {
        self.observe
    }
}

impl Rules for Config {
    fn check(&self, fields: &mut Fields<'_>) {
        if self.mandatory_scope && self.scopes.is_empty() {
            fields.fail("scopes", "is required where `mandatory_scope` is set");
        }
    }
}

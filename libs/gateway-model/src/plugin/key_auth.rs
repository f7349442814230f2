//! Settings of `key-auth`: requests must carry the API key of a consumer.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::fields::Fields;
use crate::rules;
use crate::schema::{fixed, set, unset};
use crate::writer::Writer;

/// The plugin's name.
pub const NAME: &str = "key-auth";
/// Names under which a key is looked for.
const KEY_NAMES_MAX: usize = 16;
const KEY_NAME_DEFAULT: &str = "apikey";

/// Settings of `key-auth`.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Config {
    /// Headers and query arguments that may hold the key, tried in this order.
    #[schema(required = false, default = json!(["apikey"]), min_items = 1, max_items = 16)]
    pub key_names: Vec<String>,
    /// Whether headers are searched.
    #[schema(required = false, default = true)]
    pub key_in_header: bool,
    /// Whether query arguments are searched.
    #[schema(required = false, default = true)]
    pub key_in_query: bool,
    /// Whether the key is removed from the request before it goes upstream.
    #[schema(required = false, default = false)]
    pub hide_credentials: bool,
    /// Whether `OPTIONS` requests need a key too.
    #[schema(required = false, default = true)]
    pub run_on_preflight: bool,
    /// Realm named in the `WWW-Authenticate` header of refusals.
    #[schema(max_length = 1024)]
    pub realm: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            key_names: vec![KEY_NAME_DEFAULT.to_owned()],
            key_in_header: true,
            key_in_query: true,
            hide_credentials: false,
            run_on_preflight: true,
            realm: None,
        }
    }
}

impl Config {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Config {
        let config = Config {
            key_names: if fields.has("key_names") {
                fields.list("key_names", KEY_NAMES_MAX, rules::header_name)
            } else {
                fields.skip("key_names");
                Config::default().key_names
            },
            key_in_header: fields.boolean("key_in_header", true),
            key_in_query: fields.boolean("key_in_query", true),
            hide_credentials: fields.boolean("hide_credentials", false),
            run_on_preflight: fields.boolean("run_on_preflight", true),
            realm: fields.text("realm", rules::quotable),
        };
        if fields.has("key_names") && fields.is_unset("key_names") {
            fields.fail("key_names", "must hold at least one name: leave it out for `apikey`");
        }
        if !config.key_in_header && !config.key_in_query {
            fields.fail("key_in_header", "must be true unless `key_in_query` is: no request could pass");
        }
        fields.unsupported(
            "key_in_body",
            Some(false.into()),
            "bodies are not read for keys; use a header or a query argument",
        );
        fields.unsupported("anonymous", None, "requests without a key are refused; remove it");
        fields.unsupported("identity_realms", None, "keys are those of this control plane; remove it");
        config
    }

    /// The derived schema and the settings that have one value only.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = Config::schema();
        set(&mut schema, "key_in_body", fixed(false.into()));
        set(&mut schema, "anonymous", unset());
        schema
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let default = Config::default();
        out.unless("key_names", self.key_names.clone(), default.key_names);
        out.unless("key_in_header", self.key_in_header, default.key_in_header);
        out.unless("key_in_query", self.key_in_query, default.key_in_query);
        out.unless("key_in_body", false, false);
        out.unless("hide_credentials", self.hide_credentials, default.hide_credentials);
        out.unless("run_on_preflight", self.run_on_preflight, default.run_on_preflight);
        out.optional("anonymous", None::<String>);
        out.optional("realm", self.realm.clone());
    }
}

//! One gateway entity of any kind, and its API and wire forms.
//!
//! The config service and the data plane handle entities only through this type, so they need no code per kind.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kinds::{self, Expiry, kinds};
use crate::record::{Fields, Passwords, Secret, SecretMut, Source, Treatment, Writer, read_id};
use crate::{Invalid, UniqueKey, tree};

kinds! {
    /// A certificate that the gateway trusts.
    CaCertificate(CaCertificate) = kinds::CA_CERTIFICATE;
    /// A certificate that the gateway shows.
    Certificate(Certificate) = kinds::CERTIFICATE;
    /// A name that clients ask for in TLS.
    Sni(Sni) = kinds::SNI;
    /// A certificate that the control plane orders.
    AcmeCertificate(AcmeCertificate) = kinds::ACME_CERTIFICATE;
    /// An upstream API.
    Service(Service) = kinds::SERVICE;
    /// Which requests reach which service.
    Route(Route) = kinds::ROUTE;
    /// Someone who calls the gateway.
    Consumer(Consumer) = kinds::CONSUMER;
    /// A consumer's API key.
    KeyAuth(KeyAuth) = kinds::KEY_AUTH;
    /// A consumer's username and password.
    BasicAuth(BasicAuth) = kinds::BASIC_AUTH;
    /// A key with which a consumer signs requests.
    HmacAuth(HmacAuth) = kinds::HMAC_AUTH;
    /// What a consumer signs its JSON web tokens with.
    Jwt(Jwt) = kinds::JWT;
    /// A name in certificates that stands for a consumer.
    MtlsAuth(MtlsAuth) = kinds::MTLS_AUTH;
    /// A name under which access lists know a consumer.
    Acl(Acl) = kinds::ACL;
    /// An access token of another issuer.
    Oauth2Token(Oauth2Token) = kinds::OAUTH2_TOKEN;
    /// Consumers that plugins treat alike.
    ConsumerGroup(ConsumerGroup) = kinds::CONSUMER_GROUP;
    /// A consumer's membership in a group.
    ConsumerGroupMember(ConsumerGroupMember) = kinds::CONSUMER_GROUP_MEMBER;
    /// A virtual host whose requests are spread over targets.
    Upstream(Upstream) = kinds::UPSTREAM;
    /// A host and port of an upstream.
    UpstreamTarget(UpstreamTarget) = kinds::TARGET;
    /// Secrets that the control plane keeps.
    ConfigStore(ConfigStore) = kinds::CONFIG_STORE;
    /// A secret in a config store.
    ConfigStoreSecret(ConfigStoreSecret) = kinds::CONFIG_STORE_SECRET;
    /// Where references to secrets lead.
    Vault(Vault) = kinds::VAULT;
    /// Keys that belong together.
    KeySet(KeySet) = kinds::KEY_SET;
    /// A cryptographic key.
    Key(CryptographicKey) = kinds::KEY;
    /// What the gateway does with matching requests.
    Plugin(Plugin) = kinds::PLUGIN;
}

/// Why an entity has no wire form yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// A reference still holds a name; the writer resolves names first.
    #[error("the reference `{field}` is not resolved to an id")]
    Unresolved {
        /// The field of the reference.
        field: &'static str,
    },
    /// A secret is neither drawn, hashed nor sealed yet; the writer does that first.
    #[error("the secret `{field}` is not ready to be stored")]
    NoSecret {
        /// The field of the secret.
        field: &'static str,
    },
}

impl Entity {
    /// Reads an API body. Strict: unknown fields, wrong types and bad values are refused with the field's path and a
    /// remedy, all at once; defaults are filled in. `id`, `created_at` and `updated_at` are accepted and ignored.
    pub fn from_api(kind: Kind, body: &Value) -> Result<Entity, Invalid> {
        read(kind, body, Source::Api, Passwords::ByForm)
    }

    /// The same of a body in which a password is a hash already: as the API shows it, or as Kong keeps it.
    pub fn from_api_hashed(kind: Kind, body: &Value) -> Result<Entity, Invalid> {
        read(kind, body, Source::Api, Passwords::Hashed)
    }

    /// Reads an API body's bytes; the id is the body's, if it has one. Syntax errors, and names that occur twice in an
    /// object, carry line and column.
    pub fn from_api_bytes(kind: Kind, body: &[u8]) -> Result<(Option<Uuid>, Entity), Invalid> {
        let body = parse_body(body)?;
        Ok((body_id(&body)?, Entity::from_api(kind, &body)?))
    }

    /// As users see it: every field with its default, references as `{"id": …}`, secrets included; without id and
    /// timestamps, which the caller adds.
    pub fn to_api(&self) -> Map<String, Value> {
        let mut out = Writer::api();
        self.write(&mut out);
        out.into_map()
    }

    /// As the database and nodes hold it: compact JSON without secrets (a credential's `key` is replaced by `key_hash`) and
    /// without fields at their default. Equal entities have equal bytes.
    pub fn to_wire(&self) -> Result<Vec<u8>, NotReady> {
        let mut out = Writer::wire();
        self.write(&mut out);
        out.into_bytes()
    }

    /// Reads the wire form. As strict as the API: an entity that uses what this version does not know must not be served
    /// half understood. Only regular expressions of paths are not read: whoever compiles them does that.
    pub fn from_wire(kind: Kind, body: &[u8]) -> Result<Entity, Invalid> {
        read(kind, &tree::from_json(body)?, Source::Wire, Passwords::Hashed)
    }

    /// Joins the entity with the secret of which it has the hash. A secret that does not belong to it is refused.
    pub fn join_hashed(&mut self, text: &str) -> Result<(), Invalid> {
        let hashed = self.unique_keys();
        let joined = self.secrets_mut().into_iter().find(|secret| secret.treatment == Treatment::Hash);
        let Some(SecretMut { field, secret, .. }) = joined else {
            return Err(Invalid::one("", "has no secret that is kept as a hash"));
        };
        *secret = Secret::Plain(text.to_owned());
        if self.unique_keys() == hashed {
            return Ok(());
        }
        Err(Invalid::one(field, "does not belong to this entity: its hash differs"))
    }

    /// Takes over from the entity as it is stored what the body left open: secrets that are not given stay, as does what no body has, and a
    /// time to live that is the same goes on. `now` is in Unix seconds.
    pub fn inherit(&mut self, stored: Option<&Entity>, now: u64) {
        let stored = stored.filter(|stored| stored.kind() == self.kind());
        if let Some(stored) = stored {
            self.model_mut().take_over(stored);
        }
        let is_open = self.model_mut().expiry_mut().is_some()
            || self.secrets_mut().iter().any(|secret| *secret.secret == Secret::Missing);
        // Most entities leave nothing open, and the stored one may be large.
        if !is_open {
            return;
        }
        let mut stored = stored.cloned();
        if let Some(expiry) = self.model_mut().expiry_mut() {
            let before: Option<Expiry> =
                stored.as_mut().and_then(|stored| stored.model_mut().expiry_mut().copied());
            expiry.settle(before, now);
        }
        let Some(mut stored) = stored else { return };
        let before = stored.secrets_mut();
        for missing in self.secrets_mut().into_iter().filter(|secret| *secret.secret == Secret::Missing) {
            if let Some(before) = before.iter().find(|before| before.field == missing.field) {
                *missing.secret = before.secret.clone();
            }
        }
    }

    /// Whether a password of the entity is known as its hash only.
    pub fn holds_password_hash(&self) -> bool {
        let mut entity = self.clone();
        entity.secrets_mut().into_iter().any(|secret| {
            secret.treatment == Treatment::Password && matches!(secret.secret, Secret::AtRest(_))
        })
    }

    /// Unix seconds from which the entity counts no more; `None`: it counts for ever.
    pub fn expires_at(&self) -> Option<u64> {
        self.model().expires_at()
    }

    /// What must be unique within (control plane, kind, field). Keys made of references are meaningful once those are
    /// resolved to ids.
    pub fn unique_keys(&self) -> Vec<UniqueKey> {
        self.model().unique_keys()
    }

    /// How many steps the entity's regular expressions take to compile, as [`crate::path_regex`] counts them.
    pub fn path_cost(&self) -> u64 {
        self.model().path_cost()
    }

    /// What a URL may use in place of the id: the name of a service or route, the username of a consumer. Never of a
    /// UUID's form. `None` for kinds without names.
    pub fn name(&self) -> Option<&str> {
        self.model().name()
    }
}

/// Parses a JSON body, for handlers that complete it by what the URL says before [`Entity::from_api`]. Syntax errors, and
/// names that occur twice in an object, carry line and column.
pub fn parse_body(body: &[u8]) -> Result<Value, Invalid> {
    tree::from_json(body)
}

/// The `id` of an API body, if it has one.
pub fn body_id(body: &Value) -> Result<Option<Uuid>, Invalid> {
    read_id(body.get("id")).map_err(|message| Invalid::one("id", message))
}

/// Reads a whole body in one of the forms.
fn read(kind: Kind, body: &Value, source: Source, passwords: Passwords) -> Result<Entity, Invalid> {
    let Value::Object(map) = body else {
        return Err(Invalid::one(
            "",
            format!("the body must be a JSON object that describes a {}", kind.label()),
        ));
    };
    let mut errors = Invalid::default();
    let mut fields = Fields::new(map, "", source, &mut errors).with_passwords(passwords);
    let entity = kind.read(&mut fields);
    fields.finish();
    errors.or(entity)
}

#[cfg(test)]
mod tests;

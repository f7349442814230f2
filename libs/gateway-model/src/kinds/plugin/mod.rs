//! Plugin: what the gateway does with matching requests, and for which of them.
//!
//! One file per supported plugin holds its typed configuration. A plugin that the gateway does not execute is refused here,
//! so nobody believes in a protection that is not there.

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::{EXAMPLE_ID, KindRow, Model, UniqueField};
use crate::record::{
    Field, Fields, Property, Record, Rules, SecretMut, Source, Writer, absent, boolean, name, record,
    reference, schema_of, tags, word_list, words,
};
use crate::rules::{self, NAME, Rule};
use crate::{Entity, Kind, OnDelete, Reference, ReferenceMut, Target, UniqueKey};

mod counting;
mod foreign;
pub mod queue;
pub mod transformer;

pub use counting::{LimitBy, Limits, Policy, Redis, WindowType};
pub use foreign::Foreign;

record! {
    /// What the gateway does with matching requests. Without references it applies to all requests of the control plane.
    pub struct Plugin keeps empty_lists {
        /// The plugin's settings; which ones there are depends on `name`.
        pub config: PluginConfig = Settings,
        /// Name of this instance, unique in the control plane.
        pub instance_name: Option<String> = name(NAME),
        /// Whether the plugin runs.
        pub enabled: bool = boolean(true),
        /// Schemes of the requests that it applies to.
        pub protocols: Vec<PluginProtocol> = word_list(&PROTOCOLS_DEFAULT),
        /// Applies only to requests for this service.
        pub service: Option<Target> = reference(Kind::Service, OnDelete::Cascade).bare(),
        /// Applies only to requests that match this route.
        pub route: Option<Target> = reference(Kind::Route, OnDelete::Cascade).bare(),
        /// Applies only to requests of this consumer.
        pub consumer: Option<Target> = reference(Kind::Consumer, OnDelete::Cascade).bare(),
        /// Applies only to requests of the members of this group.
        pub consumer_group: Option<Target> = reference(Kind::ConsumerGroup, OnDelete::Cascade).bare(),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
    }
    besides {
        ordering = absent("plugins run in the order of their fixed priorities"),
        partials = absent("write the settings in `config`"),
        condition = absent("use `service`, `route`, `consumer` or `consumer_group`"),
    }
}

words! {
    /// A scheme that a plugin may apply to, as Kong's clients send them. A plugin applies to all of them, whatever it lists.
    pub enum PluginProtocol {
        /// gRPC.
        Grpc = "grpc",
        /// gRPC over TLS.
        Grpcs = "grpcs",
        /// Plain HTTP.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// WebSockets.
        Ws = "ws",
        /// WebSockets over TLS.
        Wss = "wss",
    }
}

const PROTOCOLS_DEFAULT: [PluginProtocol; 4] =
    [PluginProtocol::Grpc, PluginProtocol::Grpcs, PluginProtocol::Http, PluginProtocol::Https];

pub(crate) const ROW: KindRow = KindRow {
    name: "plugin",
    collection: "plugins",
    section: "plugins",
    label: "plugin",
    name_field: None,
    unique: &[
        UniqueField {
            field: "scope",
            taken: Some("this plugin is configured there already; change that one"),
            repeated: Some("repeats the plugin of {} for the same scope"),
        },
        UniqueField::shown("instance_name"),
    ],
    grants_access: false,
    children: &[],
    read: |fields| Entity::Plugin(super::read(fields)),
    schema: body_schema,
    example: || {
        json!({"name": "request-termination", "instance_name": "closed", "enabled": false, "protocols": ["https"],
               "service": {"id": EXAMPLE_ID}, "route": {"id": EXAMPLE_ID}, "consumer": {"id": EXAMPLE_ID},
               "config": {"status_code": 418, "body": "<h1>no</h1>", "content_type": "text/html"}, "tags": ["t"]})
    },
};

/// What the settings of each plugin say beside the table of their fields.
pub(crate) trait PluginSettings: Record {
    /// The plugin's name, as in Kong.
    const NAME: &'static str;
    /// Whether it finds out who the consumer is, or runs before anybody does: then it cannot be for one consumer or group.
    const RUNS_BEFORE_CONSUMER: bool = false;

    /// The least that `config` has to hold.
    fn smallest() -> Value {
        json!({})
    }

    /// Whether it only judges: what it would refuse is counted, and passes. `false` for plugins that refuse nothing.
    fn observe(&self) -> bool {
        false
    }
}

/// Whom a request counts as that shows no credential: a consumer's id or username.
pub(crate) const ANONYMOUS: Rule = rules::CUSTOM_ID;
/// Names under which a plugin looks for a credential.
pub(crate) const CREDENTIAL_NAMES_MAX: usize = 16;
/// Bytes of a body that a plugin reads for a credential or a digest, unless set otherwise.
pub(crate) const CREDENTIAL_BODY_BYTES: u32 = 64 * 1024;
/// The same, at most.
pub(crate) const CREDENTIAL_BODY_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// What the table says about one plugin.
struct Row {
    name: &'static str,
    runs_before_consumer: bool,
    /// Reads the `config` object.
    read: fn(&mut Fields<'_>) -> PluginConfig,
    /// Schema of the `config` object.
    schema: fn() -> RefOr<Schema>,
    smallest: fn() -> Value,
}

/// Makes the list of plugins: their modules, and what leads from a name to settings and back.
macro_rules! plugins {
    ($( $Plugin:ident = $module:ident, )*) => {
        $( pub mod $module; )*

        /// The settings of each supported plugin.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant)]
        pub enum PluginConfig {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $Plugin($module::Config),
            )*
            /// Not supported: see [`Foreign`].
            Foreign(Foreign),
        }

        /// The supported plugins.
        const PLUGINS: [Row; [$( stringify!($Plugin) ),*].len()] = [$(
            Row {
                name: <$module::Config as PluginSettings>::NAME,
                runs_before_consumer: <$module::Config as PluginSettings>::RUNS_BEFORE_CONSUMER,
                read: |fields| PluginConfig::$Plugin(Record::read(fields)),
                schema: schema_of::<$module::Config>,
                smallest: <$module::Config as PluginSettings>::smallest,
            },
        )*];

        impl PluginConfig {
            /// The plugin's name, for example `key-auth`.
            pub fn name(&self) -> &'static str {
                fn name<S: PluginSettings>(_: &S) -> &'static str {
                    S::NAME
                }
                match self {
                    $( PluginConfig::$Plugin(settings) => name(settings), )*
                    PluginConfig::Foreign(foreign) => foreign.name,
                }
            }

            /// Whether the plugin only judges, counts and logs, and lets pass what it would refuse.
            pub fn observe(&self) -> bool {
                match self {
                    $( PluginConfig::$Plugin(settings) => PluginSettings::observe(settings), )*
                    PluginConfig::Foreign(_) => false,
                }
            }

            fn write(&self, field: &'static str, out: &mut Writer) {
                match self {
                    $( PluginConfig::$Plugin(settings) => {
                        out.object(field, |config| Record::write(settings, config));
                    } )*
                    PluginConfig::Foreign(foreign) => out.always(field, foreign.config.clone()),
                }
            }

            fn references<'v>(&'v self, found: &mut Vec<Reference<'v>>) {
                match self {
                    $( PluginConfig::$Plugin(settings) => Record::references(settings, found), )*
                    PluginConfig::Foreign(_) => {}
                }
            }

            fn references_mut<'v>(&'v mut self, found: &mut Vec<ReferenceMut<'v>>) {
                match self {
                    $( PluginConfig::$Plugin(settings) => Record::references_mut(settings, found), )*
                    PluginConfig::Foreign(_) => {}
                }
            }

            fn secrets_mut<'v>(&'v mut self, found: &mut Vec<SecretMut<'v>>) {
                match self {
                    $( PluginConfig::$Plugin(settings) => Record::secrets_mut(settings, found), )*
                    PluginConfig::Foreign(_) => {}
                }
            }
        }
    };
}

// In the order in which they are named to users.
plugins! {
    Acl = acl,
    BasicAuth = basic_auth,
    BotDetection = bot_detection,
    Canary = canary,
    CorrelationId = correlation_id,
    Cors = cors,
    FileLog = file_log,
    HmacAuth = hmac_auth,
    HttpLog = http_log,
    IpRestriction = ip_restriction,
    Jwt = jwt,
    KeyAuth = key_auth,
    MtlsAuth = mtls_auth,
    OpenTelemetry = opentelemetry,
    Prometheus = prometheus,
    ProxyCache = proxy_cache,
    RateLimiting = rate_limiting,
    RequestMirror = request_mirror,
    RequestSizeLimiting = request_size_limiting,
    Oauth2 = oauth2,
    Oauth2Introspection = oauth2_introspection,
    OpenidConnect = openid_connect,
    RequestTermination = request_termination,
    RequestTransformer = request_transformer,
    ResponseRatelimiting = response_ratelimiting,
    ResponseTransformer = response_transformer,
    Syslog = syslog,
    TcpLog = tcp_log,
    TrafficSplit = traffic_split,
    UdpLog = udp_log,
}

impl Plugin {
    /// The names of the supported plugins.
    pub fn supported() -> impl Iterator<Item = &'static str> {
        PLUGINS.iter().map(|plugin| plugin.name)
    }

    /// The schema of the `config` of the plugin called `name`; `None` if it is not supported.
    pub fn config_schema(name: &str) -> Option<RefOr<Schema>> {
        PLUGINS.iter().find(|plugin| plugin.name == name).map(|plugin| (plugin.schema)())
    }

    /// The least that the `config` of the plugin called `name` has to hold; `None` if it is not supported.
    pub fn smallest_config(name: &str) -> Option<Value> {
        PLUGINS.iter().find(|plugin| plugin.name == name).map(|plugin| (plugin.smallest)())
    }

    /// The plugin's name, for example `key-auth`.
    pub fn name(&self) -> &'static str {
        self.config.name()
    }
}

/// The derived schema and the name, which chooses the settings.
fn body_schema() -> RefOr<Schema> {
    let mut description = Plugin::describe();
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The plugin."))
        .enum_values(Some(Plugin::supported()));
    description.set("name", name);
    description.require("name");
    let config =
        OneOfBuilder::new().description(Some("The plugin's settings; which ones depends on `name`."));
    let configs = PLUGINS.iter().map(|plugin| (plugin.schema)());
    description.set("config", configs.fold(config, OneOfBuilder::item));
    description.into_schema()
}

/// `name` and, by it, `config`.
struct Settings;

impl Field for Settings {
    type Value = PluginConfig;

    fn read(&self, _: &'static str, from: &mut Fields<'_>) -> PluginConfig {
        let remedy = format!("use one of {}", Plugin::supported().collect::<Vec<_>>().join(", "));
        from.require("name", &remedy);
        let name = from.text("name", |text| rules::length(text, 128)).unwrap_or_default();
        if let Some(plugin) = PLUGINS.iter().find(|plugin| plugin.name == name) {
            return from.object("config", plugin.read);
        }
        if from.source() == Source::File
            && let Some(foreign) = Foreign::of(&name, from.given("config"))
        {
            from.skip("config");
            return PluginConfig::Foreign(foreign);
        }
        if !name.is_empty() {
            from.fail(
                "name",
                format!("names a plugin that this gateway does not execute, `{name}`: {remedy}"),
            );
        }
        // Known, but there is no telling what belongs in it.
        from.skip("config");
        from.placeholder(|empty| PluginConfig::RequestTermination(Record::read(empty)))
    }

    fn write(&self, field: &'static str, value: &PluginConfig, out: &mut Writer) {
        out.always("name", value.name());
        value.write(field, out);
    }

    fn describe(&self) -> Option<Property> {
        None
    }

    fn references<'v>(&self, _: &'static str, value: &'v PluginConfig, found: &mut Vec<Reference<'v>>) {
        value.references(found);
    }

    fn references_mut<'v>(
        &self,
        _: &'static str,
        value: &'v mut PluginConfig,
        found: &mut Vec<ReferenceMut<'v>>,
    ) {
        value.references_mut(found);
    }

    fn secrets_mut<'v>(&self, _: &'static str, value: &'v mut PluginConfig, found: &mut Vec<SecretMut<'v>>) {
        value.secrets_mut(found);
    }
}

impl Rules for Plugin {
    fn check(&self, fields: &mut Fields<'_>) {
        let name = self.config.name();
        let runs_before_consumer =
            PLUGINS.iter().any(|plugin| plugin.name == name && plugin.runs_before_consumer);
        for (field, target) in [("consumer", &self.consumer), ("consumer_group", &self.consumer_group)] {
            if target.is_some() && runs_before_consumer {
                let message =
                    format!("must be left out for `{name}`: the consumer is known only after it ran");
                fields.fail(field, message);
            }
        }
        if self.consumer.is_some() && self.consumer_group.is_some() {
            fields.fail("consumer_group", "must be left out where `consumer` is given");
        }
    }
}

impl Model for Plugin {
    /// One instance of a plugin per scope, as in Kong.
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let mut scope = [&self.service, &self.route, &self.consumer]
            .map(|target| Target::to_key(target.as_ref()))
            .join(":");
        // Left out where there is none: keys that are stored were made without it.
        if let Some(group) = &self.consumer_group {
            scope = format!("{scope}:{}", Target::to_key(Some(group)));
        }
        let mut keys = vec![UniqueKey { field: "scope", value: format!("{}:{scope}", self.name()) }];
        keys.extend(self.instance_name.iter().map(|name| UniqueKey::new("instance_name", name)));
        keys
    }
}

#[cfg(test)]
mod tests;

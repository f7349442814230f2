//! Plugin: what the gateway does with matching requests, and for which of them.
//!
//! One file per supported plugin holds its typed configuration. A plugin that the gateway does not execute is refused here,
//! so nobody believes in a protection that is not there.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::entity::Model;
use crate::fields::Fields;
use crate::schema::{restrict, set};
use crate::writer::Writer;
use crate::{Kind, OnDelete, Reference, ReferenceMut, Target, UniqueKey, rules};

pub mod key_auth;
pub mod request_termination;

/// What the gateway does with matching requests. Without references it applies to all requests of the control plane.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub struct Plugin {
    /// Name of this instance, unique in the control plane.
    #[schema(max_length = 128)]
    pub instance_name: Option<String>,
    /// The plugin's settings; which ones there are depends on `name`.
    #[schema(value_type = Object, required = false)]
    pub config: PluginConfig,
    /// Whether the plugin runs.
    #[schema(required = false, default = true)]
    pub enabled: bool,
    /// Schemes of the requests that it applies to.
    #[schema(value_type = Vec<String>, required = false, default = json!(["grpc", "grpcs", "http", "https"]), min_items = 1)]
    pub protocols: Vec<PluginProtocol>,
    /// Applies only to requests for this service.
    #[schema(inline)]
    pub service: Option<Target>,
    /// Applies only to requests that match this route.
    #[schema(inline)]
    pub route: Option<Target>,
    /// Applies only to requests of this consumer.
    #[schema(inline)]
    pub consumer: Option<Target>,
    /// Free labels to select entities by.
    #[schema(required = false, max_items = 32)]
    pub tags: Vec<String>,
}

/// A scheme that a plugin may apply to. The gateway itself serves `http` and `https`; the others are accepted because Kong's
/// clients send them by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginProtocol {
    /// gRPC.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl PluginProtocol {
    const ALL: [PluginProtocol; 4] =
        [PluginProtocol::Grpc, PluginProtocol::Grpcs, PluginProtocol::Http, PluginProtocol::Https];
    const WORDS: [(&'static str, PluginProtocol); 4] = [
        ("grpc", PluginProtocol::Grpc),
        ("grpcs", PluginProtocol::Grpcs),
        ("http", PluginProtocol::Http),
        ("https", PluginProtocol::Https),
    ];

    /// `grpc`, `grpcs`, `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginProtocol::Grpc => "grpc",
            PluginProtocol::Grpcs => "grpcs",
            PluginProtocol::Http => "http",
            PluginProtocol::Https => "https",
        }
    }
}

/// The settings of each supported plugin.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginConfig {
    /// See [`key_auth`].
    KeyAuth(key_auth::Config),
    /// See [`request_termination`].
    RequestTermination(request_termination::Config),
}

/// What the table says about one plugin.
struct Row {
    name: &'static str,
    /// Reads the `config` object.
    read: fn(&mut Fields<'_>) -> PluginConfig,
    /// Schema of the `config` object.
    schema: fn() -> RefOr<Schema>,
}

/// The supported plugins.
const PLUGINS: [Row; 2] = [
    Row {
        name: key_auth::NAME,
        read: |fields| PluginConfig::KeyAuth(key_auth::Config::read(fields)),
        schema: key_auth::Config::body_schema,
    },
    Row {
        name: request_termination::NAME,
        read: |fields| PluginConfig::RequestTermination(request_termination::Config::read(fields)),
        schema: request_termination::Config::body_schema,
    },
];

impl PluginConfig {
    /// The plugin's name, for example `key-auth`.
    pub fn name(&self) -> &'static str {
        match self {
            PluginConfig::KeyAuth(_) => key_auth::NAME,
            PluginConfig::RequestTermination(_) => request_termination::NAME,
        }
    }

    fn write(&self, out: &mut Writer) {
        match self {
            PluginConfig::KeyAuth(config) => config.write(out),
            PluginConfig::RequestTermination(config) => config.write(out),
        }
    }
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

    /// The plugin's name, for example `key-auth`.
    pub fn name(&self) -> &'static str {
        self.config.name()
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Plugin {
        let config = read_config(fields);
        let learns_consumer = matches!(config, Some(PluginConfig::KeyAuth(_)));
        let plugin = Plugin {
            instance_name: fields.name("instance_name", rules::name),
            // A placeholder: without settings there is an error.
            config: config.unwrap_or_else(|| PluginConfig::KeyAuth(key_auth::Config::default())),
            enabled: fields.boolean("enabled", true),
            protocols: fields.words("protocols", &PluginProtocol::ALL, &PluginProtocol::WORDS),
            service: fields.reference("service", Kind::Service),
            route: fields.reference("route", Kind::Route),
            consumer: fields.reference("consumer", Kind::Consumer),
            tags: fields.tags(),
        };
        if learns_consumer && plugin.consumer.is_some() {
            fields
                .fail("consumer", "must be left out for `key-auth`: the consumer is known only after it ran");
        }
        let scopes = "use `service`, `route` or `consumer`";
        fields.unsupported("consumer_group", None, scopes);
        fields.unsupported("ordering", None, "plugins run in the order of their fixed priorities");
        fields.unsupported("partials", None, "write the settings in `config`");
        fields.unsupported("condition", None, scopes);
        plugin
    }

    /// The derived schema and the name, which chooses the settings.
    pub(crate) fn body_schema() -> RefOr<Schema> {
        let mut schema = Plugin::schema();
        restrict(&mut schema, "protocols", PluginProtocol::WORDS.iter().map(|(word, _)| *word));
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The plugin."))
            .enum_values(Some(Plugin::supported()));
        set(&mut schema, "name", name);
        let config =
            OneOfBuilder::new().description(Some("The plugin's settings; which ones depends on `name`."));
        let configs = PLUGINS.iter().map(|plugin| (plugin.schema)());
        set(&mut schema, "config", configs.fold(config, OneOfBuilder::item));
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.push("name".to_owned());
        }
        schema
    }
}

/// Reads `name` and, by it, `config`. `None` after an error.
fn read_config(fields: &mut Fields<'_>) -> Option<PluginConfig> {
    let remedy = format!("use one of {}", Plugin::supported().collect::<Vec<_>>().join(", "));
    let name = fields.required_text("name", |text| rules::length(text, 128), &remedy);
    match PLUGINS.iter().find(|plugin| plugin.name == name) {
        Some(plugin) => Some(fields.object("config", plugin.read)),
        None => {
            if !name.is_empty() {
                fields.fail("name", format!("names a plugin that this gateway does not execute: {remedy}"));
            }
            // Known, but there is no telling what belongs in it.
            fields.skip("config");
            None
        }
    }
}

impl Model for Plugin {
    fn write(&self, out: &mut Writer) {
        let words: fn(&[PluginProtocol]) -> Vec<&'static str> =
            |protocols| protocols.iter().map(|protocol| protocol.as_str()).collect();
        out.always("name", self.name());
        out.optional("instance_name", self.instance_name.clone());
        out.object("config", |config| self.config.write(config));
        out.unless("enabled", self.enabled, true);
        out.unless("protocols", words(&self.protocols), words(&PluginProtocol::ALL));
        out.reference("service", Kind::Service, self.service.as_ref());
        out.reference("route", Kind::Route, self.route.as_ref());
        out.reference("consumer", Kind::Consumer, self.consumer.as_ref());
        out.list("tags", &self.tags);
    }

    /// One instance of a plugin per scope, as in Kong.
    fn unique_keys(&self) -> Vec<UniqueKey> {
        let scope = [&self.service, &self.route, &self.consumer]
            .map(|target| Target::to_key(target.as_ref()))
            .join(":");
        let mut keys = vec![UniqueKey { field: "scope", value: format!("{}:{scope}", self.name()) }];
        keys.extend(self.instance_name.iter().map(|name| UniqueKey::new("instance_name", name)));
        keys
    }

    fn references(&self) -> Vec<Reference<'_>> {
        let fields = [
            ("service", Kind::Service, &self.service),
            ("route", Kind::Route, &self.route),
            ("consumer", Kind::Consumer, &self.consumer),
        ];
        let on_delete = OnDelete::Cascade;
        let set =
            fields.into_iter().filter_map(|(field, kind, target)| Some((field, kind, target.as_ref()?)));
        set.map(|(field, kind, target)| Reference { field, kind, target, on_delete }).collect()
    }

    fn references_mut(&mut self) -> Vec<ReferenceMut<'_>> {
        let fields = [
            ("service", Kind::Service, &mut self.service),
            ("route", Kind::Route, &mut self.route),
            ("consumer", Kind::Consumer, &mut self.consumer),
        ];
        let set =
            fields.into_iter().filter_map(|(field, kind, target)| Some((field, kind, target.as_mut()?)));
        set.map(|(field, kind, target)| ReferenceMut { field, kind, target }).collect()
    }

    fn name(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests;

//! Plugins that Kong has and this gateway does not execute. A file that has some can be read, so that everything else in it is served; the
//! requests that they are for are answered 503, since nobody knows what the plugin would have done.

use serde_json::Value;

/// Those of Kong Gateway 3, open source and not.
const NAMES: [&str; 60] = [
    "acme",
    "ai-azure-content-safety",
    "ai-prompt-decorator",
    "ai-prompt-guard",
    "ai-prompt-template",
    "ai-proxy",
    "ai-proxy-advanced",
    "ai-rate-limiting-advanced",
    "ai-request-transformer",
    "ai-response-transformer",
    "ai-semantic-cache",
    "ai-semantic-prompt-guard",
    "app-dynamics",
    "aws-lambda",
    "azure-functions",
    "confluent",
    "datadog",
    "degraphql",
    "exit-transformer",
    "forward-proxy",
    "graphql-proxy-cache-advanced",
    "graphql-rate-limiting-advanced",
    "grpc-gateway",
    "grpc-web",
    "header-cert-auth",
    "injection-protection",
    "jq",
    "json-threat-protection",
    "jwe-decrypt",
    "jwt-signer",
    "kafka-log",
    "kafka-upstream",
    "key-auth-enc",
    "ldap-auth",
    "ldap-auth-advanced",
    "loggly",
    "mocking",
    "oas-validation",
    "opa",
    "post-function",
    "pre-function",
    "proxy-cache-advanced",
    "rate-limiting-advanced",
    "redirect",
    "request-transformer-advanced",
    "request-validator",
    "response-transformer-advanced",
    "route-by-header",
    "route-transformer-advanced",
    "saml",
    "service-protection",
    "session",
    "standard-webhooks",
    "statsd",
    "statsd-advanced",
    "tls-handshake-modifier",
    "tls-metadata-headers",
    "upstream-timeout",
    "xml-threat-protection",
    "zipkin",
];

/// A plugin that is not executed, with its settings as they were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// Its name.
    pub name: &'static str,
    /// Its settings.
    pub config: Value,
}

impl Foreign {
    /// The plugin called `name`, if it is one of these.
    pub(super) fn of(name: &str, config: Option<&Value>) -> Option<Foreign> {
        let name = NAMES.into_iter().find(|known| *known == name)?;
        Some(Foreign { name, config: config.cloned().unwrap_or_default() })
    }
}

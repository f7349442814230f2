//! cors: pages of other origins may send requests. Preflights are answered here.

use std::borrow::Cow;

use gateway_model::{
    plugin::cors::{Config, CorsMethod, is_literal},
    text_regex,
};
use http::{
    HeaderName, HeaderValue, Method, Response,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use regex::Regex;

use super::{Answer, Compiled, Exchange, Make, NotExecutable, Phases, Plugin, Verdict};
use crate::store::StoreError;

const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The compiled plugin.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    private_network: bool,
    preflight_continue: bool,
    allow_origin_absent: bool,
    /// `None`: those that a preflight asks for.
    headers: Option<HeaderValue>,
    methods: HeaderValue,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// Which origins may send requests.
#[derive(Debug)]
enum Origins {
    All,
    /// All that requests name: of one that names none, nobody is told anything.
    AllNamed,
    /// It is told whatever the request says.
    One(HeaderValue),
    Some(Vec<Allowed>),
}

/// An origin, or an expression for some.
#[derive(Debug)]
enum Allowed {
    Literal(Box<str>),
    /// Matches an origin, or its host alone.
    Matching {
        regex: Regex,
        host_alone: bool,
    },
}

/// What is said of a request's origin.
enum Told {
    /// All origins may.
    Any,
    /// This one may.
    Only(HeaderValue),
    /// It may not.
    Nobody,
}

impl Compiled for Cors {
    type Config = Config;
    const PRIORITY: u32 = 2000;
    const PHASES: Phases = Phases::REQUEST;

    /// An error if an expression does not compile.
    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let list = |entries: &[String]| (!entries.is_empty()).then(|| header(entries.join(","))).transpose();
        let methods: Vec<&str> = config.methods.iter().copied().map(CorsMethod::as_str).collect();
        Ok(Self {
            origins: Origins::new(&config.origins)?,
            credentials: config.credentials,
            private_network: config.private_network,
            preflight_continue: config.preflight_continue,
            allow_origin_absent: config.allow_origin_absent,
            headers: list(&config.headers)?,
            methods: header(methods.join(","))?,
            exposed: list(&config.exposed_headers)?,
            max_age: config.max_age.map(HeaderValue::from),
        })
    }
}

fn header(text: String) -> Result<HeaderValue, NotExecutable> {
    HeaderValue::try_from(text).map_err(|_| NotExecutable("a list cannot stand in a header".to_owned()))
}

impl Plugin for Cors {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let origin = exchange.headers.get(ORIGIN).cloned();
        let is_preflight = *exchange.method == Method::OPTIONS
            && origin.is_some()
            && exchange.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            if self.preflight_continue {
                return Ok(Verdict::Pass);
            }
            return Ok(Verdict::Answer(Answer::Full(Box::new(self.preflight(exchange, origin.as_ref())))));
        }
        if origin.is_some() || self.allow_origin_absent {
            self.tell(exchange, origin.as_ref());
        }
        Ok(Verdict::Pass)
    }
}

impl Cors {
    /// The answer to a preflight of a page of `origin`.
    fn preflight(&self, exchange: &Exchange<'_, '_>, origin: Option<&HeaderValue>) -> Response<bytes::Bytes> {
        let mut response = Response::new(bytes::Bytes::new());
        let headers = response.headers_mut();
        let (allowed, with_credentials, varies) = self.allowed(origin);
        headers.extend(allowed.map(|allowed| (ACCESS_CONTROL_ALLOW_ORIGIN, allowed)));
        headers.extend(with_credentials.then_some((ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)));
        headers.extend(varies.then_some((VARY, HeaderValue::from_static("Origin"))));
        let asked = || exchange.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let names = self.headers.clone().or_else(asked);
        headers.extend(names.map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names)));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.extend(self.max_age.clone().map(|seconds| (ACCESS_CONTROL_MAX_AGE, seconds)));
        if self.private_network && exchange.headers.get(REQUEST_PRIVATE_NETWORK) == Some(&TRUE) {
            headers.insert(ALLOW_PRIVATE_NETWORK, TRUE);
        }
        response
    }

    /// Tells a page of `origin` whether it may read the answer.
    fn tell(&self, exchange: &mut Exchange<'_, '_>, origin: Option<&HeaderValue>) {
        let (allowed, with_credentials, varies) = self.allowed(origin);
        if varies {
            exchange.answer_also(VARY, HeaderValue::from_static("Origin"));
        }
        match allowed {
            Some(allowed) => exchange.answer_with(ACCESS_CONTROL_ALLOW_ORIGIN, allowed),
            None => exchange.answer_without(ACCESS_CONTROL_ALLOW_ORIGIN),
        }
        if with_credentials {
            exchange.answer_with(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(exposed) = &self.exposed {
            exchange.answer_with(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// The origin that is told, whether credentials may come along, and whether that depends on the origin.
    fn allowed(&self, origin: Option<&HeaderValue>) -> (Option<HeaderValue>, bool, bool) {
        match (self.origins.told(origin), self.credentials, origin) {
            // With credentials, "any" has to be said as the one that asks (Fetch Standard, section 3.3.3).
            (Told::Any, true, Some(origin)) => (Some(origin.clone()), true, true),
            (Told::Any, ..) => (Some(ANY), false, !matches!(self.origins, Origins::All)),
            (Told::Only(origin), credentials, _) => (Some(origin), credentials, true),
            // Nobody is told of, so credentials are no matter.
            (Told::Nobody, ..) => (None, false, true),
        }
    }
}

impl Origins {
    fn new(configured: &[String]) -> Result<Self, NotExecutable> {
        match configured {
            [] => Ok(Self::All),
            [only] if only == "*" => Ok(Self::All),
            [only] if is_literal(only) => Ok(Self::One(header(only.clone())?)),
            several if several.iter().any(|origin| origin == "*") => Ok(Self::AllNamed),
            several => {
                Ok(Self::Some(several.iter().map(|origin| Allowed::new(origin)).collect::<Result<_, _>>()?))
            }
        }
    }

    fn told(&self, origin: Option<&HeaderValue>) -> Told {
        match self {
            Self::All => Told::Any,
            Self::AllNamed => origin.map_or(Told::Nobody, |_| Told::Any),
            Self::One(origin) => Told::Only(origin.clone()),
            Self::Some(allowed) => {
                let Some(origin) = origin.and_then(|origin| origin.to_str().ok()) else {
                    return Told::Nobody;
                };
                let (whole, host) = parts(origin);
                match allowed.iter().any(|allowed| allowed.is(&whole, host)) {
                    true => HeaderValue::from_str(&whole).map_or(Told::Nobody, Told::Only),
                    false => Told::Nobody,
                }
            }
        }
    }
}

impl Allowed {
    fn new(configured: &str) -> Result<Self, NotExecutable> {
        if is_literal(configured) {
            return Ok(Self::Literal(parts(configured).0.into()));
        }
        // A whole origin has to match, wherever the expression has anchors of its own.
        let bare = configured.strip_prefix('^').unwrap_or(configured);
        let bare = bare.strip_suffix('$').unwrap_or(bare);
        let regex = text_regex::compile(&format!("^(?:{bare})$"));
        let regex = regex.map_err(|error| NotExecutable(format!("origins: must {error}")))?;
        Ok(Self::Matching { regex, host_alone: !configured.contains(':') })
    }

    fn is(&self, origin: &str, host: &str) -> bool {
        match self {
            Self::Literal(allowed) => **allowed == *origin,
            Self::Matching { regex, host_alone: true } => regex.is_match(host),
            Self::Matching { regex, host_alone: false } => regex.is_match(origin),
        }
    }
}

/// An origin without the default port of its scheme, and its host.
fn parts(origin: &str) -> (Cow<'_, str>, &str) {
    let Some((scheme, authority)) = origin.split_once("://") else { return (origin.into(), origin) };
    let authority = authority.split('/').next().unwrap_or_default();
    let after_host = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority.get(after_host..).and_then(|rest| rest.split_once(':')) {
        Some((before, port)) => (authority.get(..after_host + before.len()).unwrap_or_default(), Some(port)),
        None => (authority, None),
    };
    match (scheme, port) {
        ("http", Some("80")) | ("https", Some("443")) => (format!("{scheme}://{host}").into(), host),
        _ => (origin.get(..scheme.len() + "://".len() + authority.len()).unwrap_or(origin).into(), host),
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::PluginConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::{self, Request, get, request, settings};

    fn cors(config: Value) -> Cors {
        let PluginConfig::Cors(config) = settings("cors", config) else { panic!("cors was asked for") };
        testing::compile(&config).unwrap()
    }

    fn from(origin: &str) -> Request {
        get("/").header("origin", origin)
    }

    fn preflight(origin: &str) -> Request {
        request(Method::OPTIONS, "/").header("origin", origin).header("access-control-request-method", "PUT")
    }

    #[test]
    fn by_default_every_page_may_read_answers() {
        let outcome = from("https://a.example").show(&cors(json!({})));
        assert!(outcome.passed());
        assert_eq!(outcome.answered_with(), ["access-control-allow-origin: *"]);
        assert_eq!(get("/").show(&cors(json!({}))).answered_with(), ["access-control-allow-origin: *"]);
        let strict = cors(json!({"allow_origin_absent": false}));
        assert!(get("/").show(&strict).answered_with().is_empty());
    }

    #[test]
    fn origins_that_are_told() {
        for (origins, origin, told) in [
            (json!(["*"]), "https://a.example", Some("*")),
            // One that is written out is told to everybody: the browser compares.
            (json!(["https://a.example"]), "https://b.example", Some("https://a.example")),
            (
                json!(["https://a.example", "https://b.example"]),
                "https://b.example",
                Some("https://b.example"),
            ),
            (json!(["https://a.example", "https://b.example"]), "https://c.example", None),
            (
                json!(["https://a.example", "https://b.example"]),
                "https://b.example:443",
                Some("https://b.example"),
            ),
            (json!(["https://a.example:443", "x"]), "https://a.example", Some("https://a.example")),
            (json!(["https://a.example", "https://b.example"]), "http://b.example", None),
            (
                json!([r"(.*)\.example\.com"]),
                "https://a.example.com:8443",
                Some("https://a.example.com:8443"),
            ),
            (json!([r"(.*)\.example\.com"]), "https://a.example.com.evil", None),
            (json!([r"^https://.*\.example\.com$"]), "https://a.example.com", Some("https://a.example.com")),
            (json!([r"https://a\.example|https://b\.example"]), "https://b.example.evil", None),
            (json!(["https://a.example", "*"]), "https://z.example", Some("*")),
            (json!(["https://a.example", "null"]), "null", Some("null")),
        ] {
            let outcome = from(origin).show(&cors(json!({ "origins": origins })));
            let expected = told.map(|told| format!("access-control-allow-origin: {told}"));
            let found = outcome.answered_with().into_iter().find(|header| header.starts_with("access-"));
            assert_eq!(found, expected, "{origins} {origin}");
            let varies = outcome.answered_with().contains(&"vary: Origin".to_owned());
            assert_eq!(varies, origins != json!(["*"]), "{origins} {origin}");
        }
    }

    #[test]
    fn an_upstreams_own_word_does_not_count_for_an_origin_that_may_not() {
        let outcome = from("https://c.example").show(&cors(json!({"origins": ["https://a.example", "b"]})));
        let wanted = outcome.effects.wanted().unwrap();
        assert!(
            wanted
                .answer
                .iter()
                .any(|header| header.name == ACCESS_CONTROL_ALLOW_ORIGIN && header.value.is_none())
        );
    }

    #[test]
    fn credentials_need_an_origin_by_name() {
        let outcome = from("https://a.example").show(&cors(json!({"credentials": true})));
        let expected = [
            "vary: Origin",
            "access-control-allow-origin: https://a.example",
            "access-control-allow-credentials: true",
        ];
        assert_eq!(outcome.answered_with(), expected);
        let outcome = get("/").show(&cors(json!({"credentials": true})));
        assert_eq!(outcome.answered_with(), ["access-control-allow-origin: *"]);
        let outcome = from("https://c.example")
            .show(&cors(json!({"credentials": true, "origins": ["https://a.example", "https://b.example"]})));
        assert_eq!(outcome.answered_with(), ["vary: Origin"]);
    }

    #[test]
    fn preflights_are_answered_here() {
        let plugin = cors(json!({"max_age": 60, "private_network": true, "exposed_headers": ["x-a"]}));
        let request = preflight("https://a.example")
            .header("access-control-request-headers", "x-b, x-c")
            .header("access-control-request-private-network", "true");
        let outcome = request.show(&plugin);
        assert_eq!(outcome.refused(), (http::StatusCode::OK, ""));
        for (name, value) in [
            ("access-control-allow-origin", Some("*")),
            ("access-control-allow-methods", Some("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT")),
            ("access-control-allow-headers", Some("x-b, x-c")),
            ("access-control-max-age", Some("60")),
            ("access-control-allow-private-network", Some("true")),
            ("access-control-expose-headers", None),
            ("access-control-allow-credentials", None),
        ] {
            assert_eq!(outcome.answer_header(name), value, "{name}");
        }
        let plugin = cors(json!({"headers": ["x-a", "x-b"], "methods": ["GET"], "credentials": true}));
        let outcome = preflight("https://a.example").show(&plugin);
        assert_eq!(outcome.answer_header("access-control-allow-headers"), Some("x-a,x-b"));
        assert_eq!(outcome.answer_header("access-control-allow-methods"), Some("GET"));
        assert_eq!(outcome.answer_header("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(outcome.answer_header("vary"), Some("Origin"));
    }

    #[test]
    fn what_is_no_preflight_or_is_the_upstreams_passes() {
        let options = request(Method::OPTIONS, "/").header("origin", "https://a.example");
        assert!(options.show(&cors(json!({}))).passed());
        let outcome = preflight("https://a.example").show(&cors(json!({"preflight_continue": true})));
        assert!(outcome.passed() && outcome.answered_with().is_empty());
    }
}

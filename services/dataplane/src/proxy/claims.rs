//! Headers by which a client could say who it is, or where its request came from. Upstreams believe them, because a proxy in
//! front of them is supposed to have set them. So a client's are removed, by family.
//!
//! A name is read as CGI and its like read it: what is neither a letter nor a digit counts as `-`. Otherwise
//! `X_Consumer_Id`, which such an upstream does not distinguish from `X-Consumer-Id`, would pass.
//!
//! Nothing is allocated for a header that stays: a name is compared with a few patterns, chosen by its first letter.

use http::{HeaderMap, HeaderName};

/// Who may say what a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The gateway alone. Example: `X-Consumer-Id`.
    Gateway,
    /// A proxy that the gateway trusts. Example: `X-Forwarded-Proto`.
    Proxy,
}

/// Endings by which many proxies name the client's address. Example: `Fastly-Client-IP`.
const ADDRESS_ENDINGS: [&str; 8] = [
    "client-ip",
    "clientip",
    "connecting-ip",
    "real-ip",
    "forwarded-for",
    "remote-ip",
    "remote-addr",
    "user-ip",
];

/// Whether the sender of a header `name` may say what it says. `is_proxy`: it is a proxy that the gateway trusts.
pub fn may_say(name: &str, is_proxy: bool) -> bool {
    match of(name) {
        None => true,
        // A proxy passes names that it does not know. So an odd spelling may be its client's.
        Some(Claim::Proxy) => is_proxy && name.bytes().all(|byte| byte == b'-' || !is_separator(byte)),
        Some(Claim::Gateway) => false,
    }
}

/// Removes what the sender of the headers may not say.
pub fn remove(headers: &mut HeaderMap, is_proxy: bool) {
    let refused: Vec<HeaderName> =
        headers.keys().filter(|name| !may_say(name.as_str(), is_proxy)).cloned().collect();
    refused.iter().for_each(|name| drop(headers.remove(name)));
}

/// What the header `name`, in lower case, claims; `None` if it is an ordinary one.
pub fn of(name: &str) -> Option<Claim> {
    let name = name.as_bytes();
    let (first, rest) = name.split_first()?;
    let claim = match (first, rest) {
        (b'x', [separator, rest @ ..]) if is_separator(*separator) => extension(rest),
        (b'x', _) => None,
        _ => ordinary(*first, name),
    };
    claim.or_else(|| {
        // Their last letters, so that most names are not compared with them.
        let may_be_address = name.ends_with(b"p") || name.ends_with(b"r");
        let is_address = may_be_address && ADDRESS_ENDINGS.iter().any(|ending| ends(name, ending.as_bytes()));
        is_address.then_some(Claim::Proxy)
    })
}

/// The claim of the header `X-` and `rest`.
fn extension(rest: &[u8]) -> Option<Claim> {
    let own: &[&str] = match rest.first()? {
        b'a' => &["anonymous-*", "authenticated-*"],
        b'c' => &["client-cert-dn", "client-cert-san", "consumer-*", "credential-*"],
        _ => &[],
    };
    let proxys: &[&str] = match rest.first()? {
        // oauth2-proxy, Azure, App Engine, AWS load balancers; Rack::Sendfile believes `X-Accel-Mapping`.
        b'a' => &[
            "accel-*",
            "amzn-oidc-*",
            "appengine-*",
            "arr-*",
            "auth-request-*",
            "azure-clientip",
            "azure-socketip",
        ],
        b'c' => {
            &["client-cert*", "client-dn*", "client-s-dn*", "client-ssl-*", "client-verify*", "coming-from"]
        }
        b'e' => &["envoy-*"],
        b'f' => &["forward-*", "forwarded*"],
        b'g' => &["goog-authenticated-user-*"],
        b'h' => &["host", "http-host-override"],
        // Azure's own authentication.
        b'm' => &["ms-client-principal*"],
        // IIS, Symfony and their like take the path from `X-Original-URL` and `X-Rewrite-URL`.
        b'o' => &["original-*", "originating-*"],
        b'p' => &["proxy-*", "proxyuser-*"],
        // Kubernetes believes `X-Remote-User`.
        b'r' => &["real-*", "remote-*", "rewrite-*"],
        b's' => &["scheme", "script-name", "sendfile-type", "ssl", "ssl-*"],
        b't' => &["tls-client-*"],
        b'u' => &["url-scheme", "userinfo"],
        // Grafana, Gitea.
        b'w' => &["webauth-*"],
        _ => &[],
    };
    let is = |patterns: &[&str]| patterns.iter().any(|pattern| matches(rest, pattern.as_bytes()));
    if is(own) || other_spelling(rest, "request-id") {
        return Some(Claim::Gateway);
    }
    is(proxys).then_some(Claim::Proxy)
}

/// The claim of a header that does not begin with `X-`. `first` is the first letter of `name`.
fn ordinary(first: u8, name: &[u8]) -> Option<Claim> {
    let proxys: &[&str] = match first {
        b'c' => &["cdn-src-ip", "cf-access-authenticated-*", "cf-visitor", "client-cert*"],
        b'f' => &["fastly-ssl", "forwarded*", "front-end-https"],
        // `Proxy` becomes HTTP_PROXY in CGI ("httpoxy").
        b'p' => &["proxy", "proxy-*"],
        // Django and Apache believe `Remote-User`, Authelia's upstreams the whole family.
        b'r' => &["remote-*"],
        b's' => &["ssl-client-*"],
        b't' => &["tailscale-user-*"],
        b'w' => &["wl-proxy-*"],
        _ => &[],
    };
    // What frames the body, in a spelling that HTTP does not know and CGI reads.
    let framing: &[&str] = match first {
        b'c' => &["content-length"],
        b't' => &["transfer-encoding"],
        _ => &[],
    };
    if framing.iter().any(|known| other_spelling(name, known)) {
        return Some(Claim::Gateway);
    }
    proxys.iter().any(|pattern| matches(name, pattern.as_bytes())).then_some(Claim::Proxy)
}

/// Whether `name` is `pattern`; a `*` at the pattern's end stands for any rest.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(stem) => name.get(..stem.len()).is_some_and(|start| reads_as(start, stem)),
        None => reads_as(name, pattern),
    }
}

/// Whether `name` is `ending`, or ends with it as words of its own.
fn ends(name: &[u8], ending: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(ending.len()) else { return false };
    let (before, end) = name.split_at(start);
    reads_as(end, ending) && before.last().is_none_or(|last| is_separator(*last))
}

/// Whether `name` is a spelling of `known` other than `known` itself.
fn other_spelling(name: &[u8], known: &str) -> bool {
    reads_as(name, known.as_bytes()) && name != known.as_bytes()
}

fn reads_as(name: &[u8], known: &[u8]) -> bool {
    let same = |(given, known): (&u8, &u8)| given == known || *known == b'-' && is_separator(*given);
    name.len() == known.len() && name.iter().zip(known).all(same)
}

fn is_separator(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// In every family, and in every group of letters that is matched apart.
    const PROXYS: [&str; 64] = [
        "forwarded",
        "forwarded-for",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-scheme",
        "x-forwarded-ssl",
        "x-forwarded-path",
        "x-forwarded-server",
        "x-forwarded-by",
        "x-forwarded-user",
        "x-forwarded-client-cert",
        "x-forward-for",
        "x-real-ip",
        "x-client-ip",
        "client-ip",
        "true-client-ip",
        "x-true-client-ip",
        "x-cluster-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "x-azure-clientip",
        "x-remote-ip",
        "x-remote-addr",
        "x-originating-ip",
        "wl-proxy-client-ip",
        "wl-proxy-ssl",
        "proxy-client-ip",
        "x-proxyuser-ip",
        "x-appengine-user-ip",
        "x-original-url",
        "x-original-uri",
        "x-original-host",
        "x-original-forwarded-for",
        "x-rewrite-url",
        "x-host",
        "x-http-host-override",
        "x-scheme",
        "x-url-scheme",
        "x-ssl",
        "x-ssl-client-cert",
        "ssl-client-verify",
        "x-client-cert",
        "x-client-verify",
        "client-cert",
        "front-end-https",
        "x-arr-ssl",
        "remote-user",
        "x-remote-user",
        "x-remote-group",
        "x-webauth-user",
        "x-auth-request-user",
        "x-ms-client-principal-name",
        "x-goog-authenticated-user-email",
        "x-amzn-oidc-identity",
        "cf-access-authenticated-user-email",
        "tailscale-user-login",
        "x-envoy-external-address",
        "x-accel-mapping",
        "proxy",
    ];
    const GATEWAYS: [&str; 13] = [
        "x-client-cert-dn",
        "x-client-cert-san",
        "x-consumer-id",
        "x-consumer-username",
        "x-consumer-custom-id",
        "x-consumer-groups",
        "x-consumer-",
        "x-credential-identifier",
        "x-credential-username",
        "x-authenticated-userid",
        "x-authenticated-scope",
        "x-authenticated-groups",
        "x-anonymous-consumer",
    ];
    const ORDINARY: [&str; 22] = [
        "accept",
        "authorization",
        "cookie",
        "content-type",
        "content-length",
        "transfer-encoding",
        "host",
        "via",
        "referer",
        "x",
        "x-",
        "x-api-key",
        "apikey",
        "x-request-id",
        "x-requested-with",
        "x-csrf-token",
        "x-client-version",
        "x-amzn-trace-id",
        "x-http-method-override",
        "x_other",
        "ip",
        "my_header",
    ];

    fn left(names: &[&str], is_proxy: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_static("1"));
        }
        remove(&mut headers, is_proxy);
        headers.keys().map(|name| name.as_str().to_owned()).collect()
    }

    fn spelt(names: &[&str], separator: &str) -> Vec<String> {
        names.iter().map(|name| name.replace('-', separator)).collect()
    }

    #[test]
    fn a_client_cannot_say_who_it_is_or_where_it_came_from() {
        assert_eq!(left(&PROXYS, false), [""; 0]);
        assert_eq!(left(&GATEWAYS, false), [""; 0]);
        assert_eq!(left(&ORDINARY, false), ORDINARY);
    }

    #[test]
    fn a_trusted_proxy_says_where_it_came_from_and_no_more() {
        assert_eq!(left(&PROXYS, true), PROXYS);
        assert_eq!(left(&GATEWAYS, true), [""; 0]);
        assert_eq!(left(&ORDINARY, true), ORDINARY);
    }

    #[test]
    fn no_spelling_that_cgi_reads_alike_passes_not_even_from_a_proxy() {
        for separator in ["_", ".", "!", "~"] {
            for names in [&PROXYS[..], &GATEWAYS, &["x-request-id", "content-length", "transfer-encoding"]] {
                let names = spelt(names, separator);
                let names: Vec<&str> =
                    names.iter().map(String::as_str).filter(|name| name.contains(separator)).collect();
                for is_proxy in [false, true] {
                    assert_eq!(left(&names, is_proxy), [""; 0], "{separator}");
                }
            }
        }
        assert_eq!(left(&["x-consumer_custom-id", "x_forwarded-for"], true), [""; 0]);
    }
}

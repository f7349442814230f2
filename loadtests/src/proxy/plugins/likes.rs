//! What nginx and HAProxy have that is like a plugin. Where Debian's nginx has nothing, as for tokens, HAProxy may, and the other way round.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Context as _;

use super::{
    Case, Runs,
    authentication::{CONSUMER, Credentials, PASSWORD, SECRET, password, shared_token},
};
use crate::proxy::{measure::Way, peers::Peer};

/// Settings of nginx for all requests stand in front of this.
const NGINX_ALL: &str = "    access_log off;";
/// Settings of its server do so in front of this.
const NGINX_SERVER: &str = "        proxy_http_version 1.1;";
/// Rules of HAProxy for all requests stand in front of this.
const HAPROXY_RULES: &str = "    http-request set-var(txn.route)";
/// Sections of its own do so in front of this.
const HAPROXY_SECTIONS: &str = "frontend gateway";
/// And how it speaks TLS in front of this.
const HAPROXY_TLS: &str = " alpn h2,http/1.1";

/// Additions to a peer's configuration: in front of which text, and what.
pub struct Edits(Vec<(&'static str, String)>);

impl Edits {
    /// The configuration with the additions.
    pub fn apply(&self, configuration: &str) -> String {
        let edit = |text: String, (at, added): &(&str, String)| text.replacen(at, &format!("{added}{at}"), 1);
        self.0.iter().fold(configuration.to_owned(), edit)
    }
}

/// nginx and HAProxy as they are, and with each like of a plugin. Those that log send to `syslog`; what they read is put into `folder`.
pub fn all(credentials: &Credentials, syslog: SocketAddr, folder: &Path) -> anyhow::Result<Vec<Case>> {
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path.display().to_string())
    };
    let files = Files {
        folder: folder.display().to_string(),
        syslog,
        passwords: file("passwords", &format!("{CONSUMER}:{{PLAIN}}{PASSWORD}\n"))?,
        authority: file("authority.pem", credentials.certificate.authority())?,
        rsa: file("rsa.pem", &credentials.rsa.pem)?,
        ec: file("ec.pem", &credentials.ec.pem)?,
    };
    let mut cases = nginx(&files);
    cases.extend(haproxy(credentials, &files)?);
    Ok(cases)
}

struct Files {
    folder: String,
    syslog: SocketAddr,
    /// As nginx reads them. It compares these without a hash, which is the cheapest that it can.
    passwords: String,
    /// The authority of the clients' certificate.
    authority: String,
    /// Public keys of tokens.
    rsa: String,
    ec: String,
}

fn peer(peer: Peer, name: &'static str, edits: Vec<(&'static str, String)>) -> Case {
    Case { runs: Runs::Peer(peer, Edits(edits)), ..Case::gateway(name, vec![]) }
}

fn nginx(files: &Files) -> Vec<Case> {
    let Files { folder, syslog, passwords, authority, .. } = files;
    let nginx = |name, edits| peer(Peer::Nginx, name, edits);
    let with = |name, line: &str| nginx(name, vec![(NGINX_ALL, format!("    {line}\n"))]);
    let in_server = |name, lines: &str| nginx(name, vec![(NGINX_SERVER, format!("        {lines}\n"))]);
    let certificate = format!("ssl_client_certificate {authority}; ssl_verify_client on;");
    vec![
        nginx("nginx", vec![]),
        with(
            "nginx_limiting",
            "limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s; limit_req zone=all burst=1000000 nodelay;",
        )
        .over("nginx", "nginx_limit_req_cost_us"),
        with("nginx_access", "allow 127.0.0.0/8; deny all;").over("nginx", "nginx_access_cost_us"),
        with("nginx_header", "add_header X-Added 1;").over("nginx", "nginx_add_header_cost_us"),
        with(
            "nginx_cache",
            &format!("proxy_cache_path {folder}/cache keys_zone=all:10m; proxy_cache all; proxy_cache_valid 200 1d;"),
        )
        .over("nginx", "nginx_proxy_cache_hit_cost_us"),
        in_server("nginx_log", "access_log /dev/null combined buffer=32k flush=1s;")
            .over("nginx", "nginx_access_log_cost_us"),
        in_server("nginx_syslog", &format!("access_log syslog:server={syslog};"))
            .over("nginx", "nginx_access_log_syslog_cost_us"),
        in_server(
            "nginx_mirror",
            "mirror /mirror; mirror_request_body off; location = /mirror { internal; proxy_pass http://upstream$request_uri; }",
        )
        .over("nginx", "nginx_mirror_cost_us"),
        nginx("nginx_with_password", vec![]).with(&password()),
        with("nginx_basic", &format!("auth_basic bench; auth_basic_user_file {passwords};"))
            .with(&password())
            .over("nginx_with_password", "nginx_auth_basic_cost_us"),
        nginx("nginx_https", vec![]).by(Way::Https),
        with("nginx_mtls", &certificate).by(Way::Https).over("nginx_https", "nginx_ssl_verify_client_cost_us"),
        nginx("nginx_handshake", vec![]).by(Way::HttpsHandshake),
        with("nginx_mtls_handshake", &certificate)
            .by(Way::HttpsHandshake)
            .over("nginx_handshake", "nginx_ssl_verify_client_handshake_cost_us"),
    ]
}

fn haproxy(credentials: &Credentials, files: &Files) -> anyhow::Result<Vec<Case>> {
    let haproxy = |name, edits| peer(Peer::Haproxy, name, edits);
    let rules = |lines: &[&str]| lines.iter().map(|line| format!("    {line}\n")).collect::<String>();
    let with = |name, lines: &[&str]| haproxy(name, vec![(HAPROXY_RULES, rules(lines))]);
    let section = |text: &str| (HAPROXY_SECTIONS, format!("{text}\n\n"));
    let people = format!(
        "userlist people\n    group everybody\n    user {CONSUMER} insecure-password {PASSWORD} groups everybody"
    );
    let protected = |name, rule: &str| haproxy(name, vec![section(&people), (HAPROXY_RULES, rules(&[rule]))]);
    let cache = "cache all\n    total-max-size 64\n    max-age 3600";
    let cached = rules(&[
        "http-request cache-use all",
        "http-response set-header Cache-Control max-age=3600",
        "http-response cache-store all",
    ]);
    let verifies = |name, algorithm: &str, key: &str, issuer: &str| {
        let verified = format!("http_auth_bearer,jwt_verify({algorithm},{key}) -m int 1");
        let known = format!("http_auth_bearer,jwt_payload_query('$.iss') -m str {issuer}");
        with(name, &[&format!("http-request deny deny_status 401 unless {{ {verified} }} {{ {known} }}")])
    };
    let certificate = || vec![(HAPROXY_TLS, format!(" verify required ca-file {}", files.authority))];
    let tokens = [
        (
            ("haproxy_with_token", shared_token("bench")?),
            verifies("haproxy_hs256", "HS256", SECRET, "bench"),
            "haproxy_jwt_hs256_cost_us",
        ),
        (
            ("haproxy_with_rs256", credentials.rsa.token("bench-rsa")?),
            verifies("haproxy_rs256", "RS256", &files.rsa, "bench-rsa"),
            "haproxy_jwt_rs256_cost_us",
        ),
        (
            ("haproxy_with_es256", credentials.ec.token("bench-ec")?),
            verifies("haproxy_es256", "ES256", &files.ec, "bench-ec"),
            "haproxy_jwt_es256_cost_us",
        ),
    ];
    let mut cases = vec![
        haproxy("haproxy", vec![]),
        with(
            "haproxy_limiting",
            &[
                "stick-table type ip size 100k expire 60s store http_req_rate(60s)",
                "http-request track-sc0 src",
                "http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000000 }",
            ],
        )
        .over("haproxy", "haproxy_stick_table_cost_us"),
        with("haproxy_access", &["http-request deny unless { src 127.0.0.0/8 }"])
            .over("haproxy", "haproxy_src_cost_us"),
        with("haproxy_syslog", &[&format!("log {} local0", files.syslog), "option httplog"])
            .over("haproxy", "haproxy_log_cost_us"),
        haproxy("haproxy_cache", vec![section(cache), (HAPROXY_RULES, cached)])
            .over("haproxy", "haproxy_cache_hit_cost_us"),
        haproxy("haproxy_with_password", vec![]).with(&password()),
        protected("haproxy_basic", "http-request auth unless { http_auth(people) }")
            .with(&password())
            .over("haproxy_with_password", "haproxy_http_auth_cost_us"),
        protected("haproxy_group", "http-request auth unless { http_auth_group(people) everybody }")
            .with(&password())
            .over("haproxy_with_password", "haproxy_http_auth_group_cost_us"),
        haproxy("haproxy_https", vec![]).by(Way::Https),
        haproxy("haproxy_mtls", certificate()).by(Way::Https).over("haproxy_https", "haproxy_verify_cost_us"),
        haproxy("haproxy_handshake", vec![]).by(Way::HttpsHandshake),
        haproxy("haproxy_mtls_handshake", certificate())
            .by(Way::HttpsHandshake)
            .over("haproxy_handshake", "haproxy_verify_handshake_cost_us"),
    ];
    for ((none, header), case, key) in tokens {
        cases.push(haproxy(none, vec![]).with(&header));
        cases.push(case.with(&header).over(none, key));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_addition_has_its_place_and_every_case_what_it_is_compared_with() {
        let folder = std::env::temp_dir().join(format!("loadtests-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).expect("made");
        let at = (std::net::Ipv4Addr::LOCALHOST, 514).into();
        let cases = all(&Credentials::make().expect("keys"), at, &folder).expect("cases");
        fs::remove_dir_all(&folder).expect("removed");
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len(), "every name is there once");
        for case in &cases {
            assert!(case.over.is_none_or(|(other, _)| names.contains(other)), "{}", case.name);
            let Runs::Peer(peer, edits) = &case.runs else { panic!("{} is no peer", case.name) };
            let configuration = match peer {
                Peer::Nginx => include_str!("../../../peers/nginx.conf"),
                _ => include_str!("../../../peers/haproxy.cfg"),
            };
            let edited = edits.apply(configuration);
            for (at, added) in &edits.0 {
                assert!(edited.contains(&format!("{added}{at}")), "{}: {at}", case.name);
            }
        }
    }
}

//! The settings file of each service, as an operator would write it.

use std::path::Path;

use anyhow::Context;

use crate::{
    ca::Pair,
    site::{Neighbour, Peer, Site},
};
use ids::ServiceName;

/// The text of a service's TOML file. `own`: its internal certificate; `api`: the region's HTTPS certificate; `secret`: the
/// key that seals secrets at rest, for the services that have some.
pub(crate) fn of(
    service: ServiceName,
    site: &Site,
    own: &Pair,
    api: &Pair,
    secret: Option<&Path>,
) -> anyhow::Result<String> {
    let mut text = shared(service, site, own, api)?;
    if let Some(secret) = secret {
        text += &format!("\n[secrets]\nkey_file = {}\n", quoted(secret)?);
    }
    if service == ServiceName::Identity {
        text += &for_people(site)?;
        text += &site.identity;
    }
    if service == ServiceName::Config {
        let Pair { certificate, key } = site.ca.region_ca();
        text += &format!("\n[region_ca]\ncertificate = {}\nkey = {}\n", quoted(&certificate)?, quoted(&key)?);
        text += &site.config;
    }
    text += &format!("\n{}\n", site.services);
    if let Some(key) = site.logs.of(service) {
        text += &format!("\n[log]\nkey_file = {}\n", quoted(&key.file)?);
    }
    for neighbour in &site.neighbours {
        text += &other_region(service, neighbour)?.unwrap_or_default();
    }
    Ok(text)
}

fn shared(service: ServiceName, site: &Site, own: &Pair, api: &Pair) -> anyhow::Result<String> {
    let addresses = &site.addresses;
    let listen = addresses.of(service);
    // config is called by nodes, not by services; what it owns is regional.
    let internal = match service {
        ServiceName::Config => format!("sync = \"{}\"", addresses.sync),
        ServiceName::Identity | ServiceName::Authz => {
            format!("internal = \"{}\"\npeers = \"{}\"", listen.internal, listen.peers)
        }
    };
    let peers = [ServiceName::Identity, ServiceName::Authz].into_iter().filter(|peer| *peer != service);
    let peers: String =
        peers.map(|peer| format!("{peer} = \"https://{}\"\n", addresses.of(peer).internal)).collect();
    Ok(format!(
        r#"region = "{region}"

[listen]
api = "{api_address}"
operator = "{operator}"
{internal}

[tls]
certificate = {certificate}
key = {key}
ca = {ca}

[api_tls]
certificate = {api_certificate}
key = {api_key}

[database]
host = "{host}"
port = {port}
name = "{service}"
user = "{service}"

[nats]
url = "tls://{nats}"

[peers]
{peers}
[consistency]
key_file = {consistency_key}

[public]
api = "{public_api}"
sync = ["{sync}"]

[telemetry]
log = "info"
"#,
        region = site.region,
        api_address = listen.api,
        operator = listen.operator,
        certificate = quoted(&own.certificate)?,
        key = quoted(&own.key)?,
        ca = quoted(&site.ca.internal_ca().certificate)?,
        api_certificate = quoted(&api.certificate)?,
        api_key = quoted(&api.key)?,
        host = addresses.postgres.ip(),
        port = addresses.postgres.port(),
        nats = addresses.nats,
        consistency_key = quoted(&site.consistency_key)?,
        public_api = addresses.public_api(),
        sync = addresses.sync,
    ))
}

/// Mail, and the console, whose pages come from where the APIs are.
fn for_people(site: &Site) -> anyhow::Result<String> {
    Ok(format!(
        r#"
[mail]
server = "{server}"
port = {port}
ca = {ca}
from = "Landbridge <landbridge@example.com>"
link_base_url = "{console}"

[console]
origins = ["{console}"]
"#,
        server = site.addresses.mail.ip(),
        port = site.addresses.mail.port(),
        ca = quoted(&site.ca.region_ca().certificate)?,
        console = site.addresses.public_api(),
    ))
}

/// The section of another region; `None` for a service that has nothing to do with it.
fn other_region(service: ServiceName, neighbour: &Neighbour) -> anyhow::Result<Option<String>> {
    let Some(Peer { address, log_key }) = neighbour.peer(service) else { return Ok(None) };
    let Neighbour { region, nats, ca, api, sync, .. } = neighbour;
    Ok(Some(format!(
        r#"
[regions.{region}]
service = "https://{address}"
nats = "tls://{nats}"
ca = {ca}
log_keys = ["{log_key}"]

[regions.{region}.public]
api = "{api}"
sync = ["{sync}"]
"#,
        ca = quoted(ca)?,
    )))
}

/// A path as a TOML string: JSON's escapes are TOML's too.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(serde_json::to_string(text)?)
}

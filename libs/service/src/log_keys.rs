//! The keys of logs, from the settings.

use std::collections::BTreeMap;

use anyhow::Context as _;
use ids::{Region, ServiceName};
use replication::{Keyring, Origin, PublicKey, Signer};
use settings::sections::{LogKeys, PeerRegion};

use crate::tls;

/// The key that a service signs its own log with.
pub fn log_signer(keys: &LogKeys) -> anyhow::Result<Signer> {
    let text = tls::read(&keys.key_file, "log.key_file")?;
    Signer::from_hex(&text)
        .context("log.key_file: 32 random bytes as 64 hexadecimal digits (openssl rand -hex 32)")
}

/// The keys that what a service has signed by itself is verified with: the present one first.
pub fn own_log_keys(keys: &LogKeys) -> anyhow::Result<Vec<PublicKey>> {
    let mut all = vec![log_signer(keys)?.public().clone()];
    all.extend(parse(&keys.earlier_keys).context("log.earlier_keys")?);
    Ok(all)
}

/// The keys that the logs of `service` are verified with, in this `region` and in the others.
pub fn log_keyring(
    service: ServiceName,
    region: &Region,
    own: &LogKeys,
    others: &BTreeMap<Region, PeerRegion>,
) -> anyhow::Result<Keyring> {
    let mut keyring = Keyring::default();
    keyring.trust(Origin::new(service, region), own_log_keys(own)?);
    for (region, peer) in others {
        let setting = format!("regions.{region}.log_keys");
        let keys = parse(&peer.log_keys).with_context(|| setting.clone())?;
        anyhow::ensure!(
            !keys.is_empty(),
            "{setting}: name the public key of {service} there (landbridge {service} log-key prints it)"
        );
        keyring.trust(Origin::new(service, region), keys);
    }
    Ok(keyring)
}

/// `log-key`: prints the public half of the log's key, for the settings of the other regions.
pub fn print_log_key(keys: &LogKeys) -> anyhow::Result<()> {
    crate::print(&format!("{}\n", log_signer(keys)?.public()))
}

fn parse(keys: &[String]) -> anyhow::Result<Vec<PublicKey>> {
    keys.iter().map(|key| key.parse().with_context(|| format!("`{key}` is not a public key"))).collect()
}

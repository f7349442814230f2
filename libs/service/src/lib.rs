//! What all services do in the same way: certificates, listeners, clients, readiness, start and drain.
//!
//! A service builds a [`Process`] from its settings, adds listeners, tasks and conditions of readiness to it, and runs it until
//! SIGTERM. Nothing here knows what any service is for.

mod audit;
mod client;
mod deadline;
mod home;
mod http;
mod log_keys;
mod nats;
mod peer;
mod peers;
mod process;
pub mod readiness;
mod regions;
#[cfg(test)]
mod testing;
mod tls;

use std::{collections::BTreeMap, io::Write as _, path::PathBuf};

use anyhow::Context as _;
pub use audit::{keep_audit_log, show_verified};
pub use client::client_address;
pub use home::{Forwarder, Homes, PENDING_SIGN_ON};
pub use http::{api_router, with_grpc};
use ids::{Region, ServiceName};
pub use log_keys::{log_keyring, log_signer, own_log_keys, print_log_key};
pub use nats::{
    adopt_trace as adopt_nats_trace, connect as connect_nats, headers as nats_headers,
    is_connected as nats_is_connected,
};
pub use peer::Peer;
pub use peers::{Callers, channel, only_callers};
pub use process::Process;
pub use readiness::{Condition, Readiness, Weight};
pub use regions::{peer_channel, peer_client_config, peer_name};
use replication::TokenKey;
use settings::sections::{Certificate, Consistency, LogKeys, PeerRegion, Tls};
pub use tls::Identity;
pub use web::Guard;

/// The argument that every command of a service takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// TOML file with the settings; environment variables win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the settings from the file, if one was named, and from the environment. An error says which setting is missing
    /// or wrong.
    pub fn load<T: serde::de::DeserializeOwned + utoipa::ToSchema>(&self) -> anyhow::Result<T> {
        Ok(settings::load(self.config.as_deref())?)
    }
}

/// Writes `text` to standard output. Where nobody reads it, this is an error and no panic.
pub fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// `accept-restore`: the operator's decision that what the database holds is all there is.
pub async fn accept_restore(log: &oplog::Replica) -> anyhow::Result<()> {
    print(match log.accept().await? {
        true => "accepted: writes go on from what the database holds, in a new epoch\n",
        false => "nothing to accept: the database is known to be whole\n",
    })
}

/// Runs a command that ends by itself, after choosing the cryptography of the process.
pub async fn once(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    command.await
}

/// The key that consistency tokens are sealed with, with those that open them as well.
pub fn consistency_key(consistency: &Consistency) -> anyhow::Result<TokenKey> {
    let read = |file, setting: &str| {
        let text = tls::read(file, setting)?;
        TokenKey::from_hex(text.trim()).with_context(|| format!("{setting}: 32 bytes in hexadecimal"))
    };
    let key = read(&consistency.key_file, "consistency.key_file")?;
    consistency
        .other_key_files
        .iter()
        .try_fold(key, |key, file| Ok(key.opening(read(file, "consistency.other_key_files")?)))
}

/// Checks that `service` could connect to the regions that its settings name, and that every log has its keys. Connects to none
/// of the regions.
pub fn check_regions(
    tls: &Tls,
    service: ServiceName,
    (region, log): (&Region, &LogKeys),
    regions: &BTreeMap<Region, PeerRegion>,
) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    log_keyring(service, region, log, regions)?;
    regions::check(&Identity::load(tls)?, service, regions)
}

/// Checks that the certificates that settings name can be used, and says so on standard output.
pub fn check_certificates(tls: &Tls, api: &Certificate) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Identity::load(tls)?.api_server_config(api).context("api_tls")?;
    println!("the settings are valid");
    Ok(())
}

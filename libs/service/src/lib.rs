//! What every service binary does alike: its certificates, its listeners, its clients, its start and its drain.
//!
//! A service's `main` loads settings, then builds a [`Process`]: listeners and tasks are added to it, and it runs until
//! SIGTERM. Nothing here knows what any service is for.

mod http;
mod listen;
mod nats;
mod peers;
mod process;
mod tls;

use std::{io::Write as _, path::PathBuf};

use anyhow::Context as _;
pub use http::{Guard, api_router};
pub use nats::{adopt_trace as adopt_nats_trace, connect as connect_nats, headers as nats_headers};
pub use peers::{PeerService, channel, only_services};
pub use process::Process;
use settings::sections::{Certificate, Tls};
pub use tls::{Identity, server_config};

/// The argument that every command of a service takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// TOML file with the settings; environment variables win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    pub fn load<T: serde::de::DeserializeOwned + utoipa::ToSchema>(&self) -> anyhow::Result<T> {
        Ok(settings::load(self.config.as_deref())?)
    }
}

/// Writes `text` to standard output; an error, and no panic, where nobody reads it.
pub fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Runs a command that ends by itself, with the process's crypto in place.
pub async fn once(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    command.await
}

/// Whether the certificates that settings name can be used.
pub fn check_certificates(tls: &Tls, api: &Certificate) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Identity::load(tls)?.client_config()?;
    server_config(api).context("api_tls")?;
    println!("the settings are valid");
    Ok(())
}

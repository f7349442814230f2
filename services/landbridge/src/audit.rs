//! `landbridge audit`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use audit_log::{Place, verify_lines};
use clap::{Args, Subcommand};
use ids::ServiceName;
use replication::PublicKey;
use service::ConfigFile;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Verify that no entry of an audit log was changed, removed or added since it was made.
    ///
    /// Reads the database of one service (`--service`, `--config`), or an export (`--file`, `--key`), which needs neither a database nor
    /// a service. Prints `whole: N entries in M chains`, or ends with status 1 and names the first entry that is not as it was made.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The service whose database is read: identity, authz or config.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    service: Option<ServiceName>,
    #[command(flatten)]
    settings: ConfigFile,
    /// An export, as `GET /v3/audit-logs/export` answers it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A public key that a service of a region signs or has signed with, as in `config.us=<64 digits>`. `landbridge <service> log-key`
    /// prints it there. May be given several times.
    #[arg(long = "key", value_name = "SERVICE.REGION=KEY", requires = "file", value_parser = key)]
    keys: Vec<(Place, PublicKey)>,
}

/// Runs one command to its end. Fails with what to print before the process ends with status 1.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Verify(Verify { service, settings, file, keys }) = command;
    match (service, file) {
        (_, Some(file)) => verify_file(&file, keys),
        (Some(ServiceName::Identity), None) => {
            service::once(::identity::verify_audit(&settings.load()?)).await
        }
        (Some(ServiceName::Authz), None) => service::once(::authz::verify_audit(&settings.load()?)).await,
        (Some(ServiceName::Config), None) => service::once(::config::verify_audit(&settings.load()?)).await,
        (None, None) => anyhow::bail!("say what to verify: --service with --config, or --file with --key"),
    }
}

fn verify_file(file: &Path, keys: Vec<(Place, PublicKey)>) -> anyhow::Result<()> {
    let mut known: BTreeMap<Place, Vec<PublicKey>> = BTreeMap::new();
    for (place, key) in keys {
        known.entry(place).or_default().push(key);
    }
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let verified = verify_lines(&mut BufReader::new(opened), &known);
    service::show_verified(verified.with_context(|| file.display().to_string())?)
}

fn key(text: &str) -> Result<(Place, PublicKey), String> {
    let (place, key) = text.split_once('=').ok_or("write it as in config.us=<64 digits>")?;
    let (service, region) = place.split_once('.').ok_or("write it as in config.us=<64 digits>")?;
    let service = service.parse().map_err(|error: ids::InvalidServiceName| error.to_string())?;
    let region = region.parse().map_err(|_| format!("{region} is not the name of a region"))?;
    let key = key.parse().map_err(|error: replication::InvalidSigningKey| error.to_string())?;
    Ok((Place { service, region }, key))
}

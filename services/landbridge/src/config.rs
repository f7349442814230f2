//! `landbridge config`.

use clap::Subcommand;
use config::{SERVICE, settings::Settings};
use service::ConfigFile;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service until SIGTERM or SIGINT, then finish the requests under way.
    Serve(ConfigFile),
    /// Bring the database to the newest schema. Do this before a newer release is started.
    Migrate(ConfigFile),
    /// Tell that the database was restored from a backup, or that a standby took over which may lack the last writes.
    ///
    /// The service notices this by itself where the database or its timeline is another one, or where a gateway has seen more than
    /// the database has. This command is for every other case: a file-level copy that was put back before any gateway was
    /// connected. Versions count anew, gateways compare what they hold and fetch what differs, and go on serving meanwhile.
    AcceptRestore(ConfigFile),
    /// Check the settings and the certificates that they name. Changes nothing.
    CheckConfig(ConfigFile),
    /// Print the public key that this service's audit log is signed with, for `landbridge audit verify --file`.
    LogKey(ConfigFile),
    /// Print the OpenAPI document of the public API.
    Openapi,
    /// Print the reference of all settings, in Markdown.
    Settings,
}

/// Runs one command to its end. Fails with what to print before the process ends with status 1.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(file) => config::serve(file.load()?).await,
        Command::Migrate(file) => service::once(config::migrate(&file.load()?)).await,
        Command::AcceptRestore(file) => service::once(config::accept_restore(&file.load()?)).await,
        Command::CheckConfig(file) => {
            let settings: Settings = file.load()?;
            service::consistency_key(&settings.consistency)?;
            config::check_webhooks(&settings)?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::LogKey(file) => service::print(&format!("{}\n", config::log_key(&file.load()?)?)),
        Command::Openapi => service::print(&config::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>(SERVICE.as_str())),
    }
}

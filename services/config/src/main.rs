//! The config service's command line.

use clap::Parser;
use config::settings::Settings;
use service::ConfigFile;

/// Control planes, their configuration and their nodes.
#[derive(Parser)]
#[command(name = "config", version)]
enum Command {
    /// Runs the service until SIGTERM.
    Serve(ConfigFile),
    /// Brings the database to the newest schema.
    Migrate(ConfigFile),
    /// Checks the settings and exits.
    CheckConfig(ConfigFile),
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the reference of all settings.
    Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(file) => config::serve(file.load()?).await,
        Command::Migrate(file) => service::once(config::migrate(&file.load()?)).await,
        Command::CheckConfig(file) => {
            let settings: Settings = file.load()?;
            service::consistency_key(&settings.consistency)?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::Openapi => service::print(&config::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>("config")),
    }
}

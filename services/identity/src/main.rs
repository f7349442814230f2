//! The identity service's command line.

use clap::Parser;
use identity::{Bootstrap, settings::Settings};
use service::ConfigFile;

/// Organizations, people, system accounts and their tokens.
#[derive(Parser)]
#[command(name = "identity", version)]
enum Command {
    /// Runs the service until SIGTERM.
    Serve(ConfigFile),
    /// Brings the database to the newest schema.
    Migrate(ConfigFile),
    /// Checks the settings and exits.
    CheckConfig(ConfigFile),
    /// Makes an organization with its owner, once, and prints the owner's token, once.
    Bootstrap(Bootstrap),
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the reference of all settings.
    Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(file) => identity::serve(file.load()?).await,
        Command::Migrate(file) => service::once(identity::migrate(&file.load()?)).await,
        Command::CheckConfig(file) => {
            let settings: Settings = file.load()?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::Bootstrap(arguments) => service::once(identity::bootstrap(&arguments)).await,
        Command::Openapi => service::print(&identity::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>("identity")),
    }
}

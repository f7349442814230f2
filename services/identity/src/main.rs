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
    /// After the database was restored from a copy and no other region can be asked: goes on from what it holds. What was
    /// written after the copy was made is given up, unless another region brings it back.
    AcceptRestore(ConfigFile),
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
            service::check_regions(&settings.tls, identity::SERVICE, &settings.regions)?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::Bootstrap(arguments) => service::once(identity::bootstrap(&arguments)).await,
        Command::AcceptRestore(file) => service::once(identity::accept_restore(&file.load()?)).await,
        Command::Openapi => service::print(&identity::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>("identity")),
    }
}

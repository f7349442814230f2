//! The authz service's command line.

use authz::settings::Settings;
use clap::Parser;
use service::ConfigFile;

/// Decides who may do what; teams, memberships and role assignments.
#[derive(Parser)]
#[command(name = "authz", version)]
enum Command {
    /// Runs the service until SIGTERM.
    Serve(ConfigFile),
    /// Brings the database to the newest schema.
    Migrate(ConfigFile),
    /// Checks the settings and exits.
    CheckConfig(ConfigFile),
    /// Opens writes after the database was restored from a copy and no other region can be reached to confirm it. What
    /// other regions hold beyond the copy is then in conflict with what is written from now on.
    AcceptRestore(ConfigFile),
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the reference of all settings.
    Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(file) => authz::serve(file.load()?).await,
        Command::Migrate(file) => service::once(authz::migrate(&file.load()?)).await,
        Command::CheckConfig(file) => {
            let settings: Settings = file.load()?;
            service::check_regions(&settings.tls, "authz", &settings.regions)?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::AcceptRestore(file) => service::once(authz::accept_restore(&file.load()?)).await,
        Command::Openapi => service::print(&authz::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>("authz")),
    }
}

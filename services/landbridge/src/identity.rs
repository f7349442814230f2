//! `landbridge identity`.

use clap::Subcommand;
use identity::{Bootstrap, CreateOperatorToken, SERVICE, settings::Settings};
use service::ConfigFile;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service until SIGTERM or SIGINT, then finish the requests under way.
    Serve(ConfigFile),
    /// Bring the database to the newest schema. Do this before a newer release is started.
    Migrate(ConfigFile),
    /// Check the settings and the certificates that they name. Changes nothing.
    CheckConfig(ConfigFile),
    /// Create an organization with its owner and print the owner's token. Running it again changes nothing.
    Bootstrap(Bootstrap),
    /// Create an access token of the platform operator, who makes, limits, suspends and deletes organizations.
    CreateOperatorToken(CreateOperatorToken),
    /// Accept a database that was restored from a backup, when no other region can confirm that it is complete.
    ///
    /// The service refuses writes until a restored database is known to be complete. This command allows them again, based
    /// on what the backup holds. Writes made after the backup are lost, unless another region still has them.
    AcceptRestore(ConfigFile),
    /// Print the public key of this service's log, for the settings of the other regions (`regions.<name>.log_keys`).
    LogKey(ConfigFile),
    /// Print the OpenAPI document of the public API.
    Openapi,
    /// Print the reference of all settings, in Markdown.
    Settings,
}

/// Runs one command to its end. Fails with what to print before the process ends with status 1.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(file) => identity::serve(file.load()?).await,
        Command::Migrate(file) => service::once(identity::migrate(&file.load()?)).await,
        Command::CheckConfig(file) => {
            let settings: Settings = file.load()?;
            service::check_regions(
                &settings.tls,
                SERVICE,
                (&settings.region, &settings.log),
                &settings.regions,
            )?;
            settings.check()?;
            service::check_certificates(&settings.tls, &settings.api_tls)
        }
        Command::Bootstrap(arguments) => service::once(identity::bootstrap(&arguments)).await,
        Command::CreateOperatorToken(arguments) => {
            service::once(identity::create_operator_token(&arguments)).await
        }
        Command::AcceptRestore(file) => service::once(identity::accept_restore(&file.load()?)).await,
        Command::LogKey(file) => service::print_log_key(&file.load::<Settings>()?.log),
        Command::Openapi => service::print(&identity::openapi()?),
        Command::Settings => service::print(&settings::reference::markdown::<Settings>(SERVICE.as_str())),
    }
}

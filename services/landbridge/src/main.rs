//! The command line of the three services of a region: `landbridge SERVICE COMMAND`.
//!
//! One binary holds all three, so that they are compiled, linked and shipped once. Each process runs one of them. They share
//! no state: a service reaches another one over the network only, as if each had a binary of its own.

mod audit;
mod authz;
mod config;
mod identity;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// Gives memory back to the machine seconds after it was freed, also where nothing allocates any more. The C library's
/// allocator keeps most of what a large import once needed (`./dev bench memory`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The services of a Landbridge region.
///
/// A region runs one process of each service, or several for availability: `landbridge identity serve --config
/// identity.toml`, and likewise for authz and config. Each service has its own Postgres database and its own settings
/// file. The gateways are another program, `dataplane`.
#[derive(Debug, Parser)]
#[command(name = "landbridge", version, arg_required_else_help = true)]
#[command(
    override_usage = "landbridge <SERVICE> <COMMAND> [OPTIONS]",
    subcommand_help_heading = "Services",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// Organizations, people, system accounts and their tokens.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Teams, roles, and the decision who may do what.
    #[command(subcommand)]
    Authz(authz::Command),
    /// Control planes, their configuration, and the gateways connected to them.
    #[command(subcommand)]
    Config(config::Command),
    /// The audit logs of services: verify that they are whole.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print one OpenAPI document of all three, as the edge serves it.
    Openapi,
}

/// The document of all services, as JSON: always the same for the same endpoints.
fn openapi() -> anyhow::Result<String> {
    let documents = [
        ("identity", ::identity::openapi()?),
        ("authz", ::authz::openapi()?),
        ("config", ::config::openapi()?),
    ];
    let read = |(service, text): &(&'static str, String)| Ok((*service, serde_json::from_str(text)?));
    let documents = documents.iter().map(read).collect::<Result<Vec<_>, serde_json::Error>>()?;
    let mut merged = web::merge("Landbridge", &documents)?;
    merged.sort_all_objects();
    Ok(serde_json::to_string_pretty(&merged)? + "\n")
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().service {
        Service::Identity(command) => identity::run(command).await,
        Service::Authz(command) => authz::run(command).await,
        Service::Config(command) => config::run(command).await,
        Service::Audit(command) => audit::run(command).await,
        Service::Openapi => openapi().and_then(|document| service::print(&document)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("landbridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, openapi};

    #[test]
    fn no_two_services_answer_the_same_request_and_every_reference_leads_somewhere() {
        let text = openapi().expect("no clash");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for part in text.split("\"$ref\": \"#").skip(1) {
            let reference = part.split('"').next().expect("a reference");
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        let tagged = |service: &str| text.matches(&format!("\"{service}\"\n")).count();
        for service in ["identity", "authz", "config"] {
            assert!(tagged(service) > 20, "{service}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_service_has_the_commands_that_scripts_rely_on() {
        let cli = Cli::command();
        let commands: Vec<_> = cli.get_subcommands().map(|service| service.get_name()).collect();
        assert_eq!(commands, ["identity", "authz", "config", "audit", "openapi"]);
        let services = ["identity", "authz", "config"];
        for service in cli.get_subcommands().filter(|service| services.contains(&service.get_name())) {
            for name in ["log-key", "serve", "migrate", "check-config", "openapi", "settings"] {
                assert!(service.find_subcommand(name).is_some(), "{} {name}", service.get_name());
            }
        }
    }
}

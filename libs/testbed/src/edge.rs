//! A region's edge: a Landbridge data plane with a file from `infra/edge`, over TLS, in front of the three services.

use std::{fs, net::SocketAddr};

use anyhow::Context;

use crate::{
    binaries,
    ca::Pair,
    folder::Folder,
    process::{Process, Program},
    service::until_answers_200,
    site::Addresses,
    template,
    traces::Traces,
};
use ids::ServiceName;

const ROUTES: &str = include_str!("../../../infra/edge/edge.yaml");
const SETTINGS: &str = include_str!("../../../infra/edge/edge.toml");

/// A running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    process: Process,
    admin: String,
}

impl Edge {
    /// Writes its files into the region's folder and starts it; it serves when this returns. `api_tls`: what it presents;
    /// `region_ca`: what it verifies the services by; `own`: what it
    /// shows to them.
    ///
    /// `replica`: where a second process of config is.
    pub async fn start(
        folder: &Folder,
        addresses: &Addresses,
        replica: Option<SocketAddr>,
        api_tls: &Pair,
        (region_ca, own): (&Pair, &Pair),
        traces: &Traces,
    ) -> anyhow::Result<Self> {
        let home = folder.make("edge")?;
        let (routes, settings) = (home.join("edge.yaml"), home.join("edge.toml"));
        let url = |service: ServiceName| format!("https://{}", addresses.of(service).api);
        let [identity, authz] = [ServiceName::Identity, ServiceName::Authz].map(url);
        let config = targets([addresses.of(ServiceName::Config).api].into_iter().chain(replica));
        let text = template::fill(ROUTES, &[("identity", &identity), ("authz", &authz), ("config", &config)]);
        fs::write(&routes, text.context("edge.yaml")?)?;
        let values = [
            ("https", addresses.edge.to_string()),
            ("certificate", api_tls.certificate.display().to_string()),
            ("key", api_tls.key.display().to_string()),
            ("ca", region_ca.certificate.display().to_string()),
            ("own_certificate", own.certificate.display().to_string()),
            ("own_key", own.key.display().to_string()),
            ("admin", addresses.edge_admin.to_string()),
            ("data", home.join("data").display().to_string()),
        ];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        fs::write(&settings, template::fill(SETTINGS, &values).context("edge.toml")?)?;

        let program = Program::new("edge", binaries::workspace("dataplane")?)
            .arg("serve")
            .arg("--declarative")
            .arg(&routes)
            .arg("--config")
            .arg(&settings)
            // Clients here keep connections on which nothing will follow.
            .env("LANDBRIDGE_DRAIN__LAST_REQUEST_SECONDS", "1")
            .in_folder(&home);
        let edge = Self {
            process: Process::start(traces.of("edge", program), folder).await?,
            admin: format!("http://{}", addresses.edge_admin),
        };
        edge.until_ready().await?;
        Ok(edge)
    }

    /// The running data plane.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where it tells about itself.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Waits until it serves its file.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        until_answers_200(&self.process, &format!("{}/status/ready", self.admin)).await
    }
}

/// Targets of an upstream, as the items of a list in YAML.
fn targets(addresses: impl Iterator<Item = SocketAddr>) -> String {
    addresses.map(|address| format!("{{ target: \"{address}\" }}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

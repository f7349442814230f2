//! `status.json`: what a running region looks like from outside, for scripts, the tour and people.
//!
//! Written into the region's folder by `landbridge-testbed up`. It holds a token, so only the owner can read it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{Gateway, Region, Service, ca::write_with_mode, process::Process, region::Infrastructure};

const FILE: &str = "status.json";
const FILE_MODE: u32 = 0o600;

/// A region from outside. Paths are absolute; URLs have no trailing slash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The process that keeps the region running.
    pub pid: u32,
    pub region: String,
    pub folder: PathBuf,
    pub logs: PathBuf,
    /// Authority of the region's HTTPS certificates, in PEM.
    pub ca_file: PathBuf,
    pub postgres: Postgres,
    pub nats: Nats,
    /// `config`'s mTLS address for data planes.
    pub sync: String,
    pub services: BTreeMap<String, ServiceStatus>,
    /// What a region has only once its services run.
    #[serde(flatten)]
    pub serving: Option<Serving>,
    /// Process ids by name.
    pub processes: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Postgres {
    pub address: String,
    pub data: PathBuf,
    /// Client certificate, its key and the authority, for a person who looks: role `operator`.
    pub operator_certificate: PathBuf,
    pub operator_key: PathBuf,
    pub internal_ca: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nats {
    pub url: String,
    pub store: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// HTTPS API.
    pub api: String,
    /// gRPC between services, over mTLS; none calls config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<String>,
    /// Plain HTTP: `/livez`, `/readyz`, `/metrics`.
    pub operator: String,
    pub settings: PathBuf,
}

/// The part of a region that is there once its services run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Serving {
    pub organization: Organization,
    pub owner_id: String,
    /// Personal access token of the organization's owner.
    pub token: String,
    /// The echo upstream.
    pub upstream: String,
    pub control_planes: Vec<ControlPlane>,
    pub gateways: Vec<GatewayStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ControlPlane {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayStatus {
    pub name: String,
    pub control_plane: String,
    /// Where it takes traffic.
    pub http: String,
    pub https: String,
    /// `/status`, `/status/ready`, `/metrics`.
    pub admin: String,
    /// Its working folder; its data is below.
    pub folder: PathBuf,
}

impl Status {
    /// A region of which only Postgres and NATS run.
    pub fn of_infrastructure(infrastructure: &Infrastructure) -> Self {
        let Infrastructure { addresses, nats, postgres, operator, .. } = infrastructure;
        let folder = infrastructure.folder();
        let service = |service: Service| {
            let listen = addresses.of(service);
            let status = ServiceStatus {
                api: format!("https://{}", listen.api),
                internal: (service != Service::Config).then(|| format!("https://{}", listen.internal)),
                operator: format!("http://{}", listen.operator),
                settings: infrastructure.service(service).settings().to_owned(),
            };
            (service.name().to_owned(), status)
        };
        Self {
            pid: std::process::id(),
            region: infrastructure.region.to_string(),
            folder: folder.path().to_owned(),
            logs: folder.logs(),
            ca_file: infrastructure.ca.region_ca().certificate,
            postgres: Postgres {
                address: addresses.postgres.to_string(),
                data: postgres.data().to_owned(),
                operator_certificate: operator.certificate.clone(),
                operator_key: operator.key.clone(),
                internal_ca: infrastructure.ca.internal_ca().certificate,
            },
            nats: Nats { url: nats.url(), store: nats.store().to_owned() },
            sync: addresses.sync.to_string(),
            services: Service::ALL.map(service).into(),
            serving: None,
            processes: pids([nats.process(), postgres.process()]),
        }
    }

    /// A whole region with its control planes and data planes.
    pub fn of_region(region: &Region, control_planes: Vec<ControlPlane>, gateways: &[&Gateway]) -> Self {
        let owner = region.owner();
        let processes = region.all_processes().chain(gateways.iter().map(|gateway| gateway.process()));
        let serving = Serving {
            organization: Organization {
                id: owner.organization_id.clone(),
                name: region.organization().to_owned(),
            },
            owner_id: owner.owner_id.clone(),
            token: owner.token.clone(),
            upstream: region.upstream().url(),
            control_planes,
            gateways: gateways.iter().map(|gateway| GatewayStatus::of(gateway)).collect(),
        };
        let processes = pids(processes);
        Self { serving: Some(serving), processes, ..Self::of_infrastructure(region.infrastructure()) }
    }

    /// Writes the file into the region's folder, whole or not at all.
    pub fn write(&self) -> anyhow::Result<()> {
        let path = self.folder.join(FILE);
        let partial = path.with_extension("partial");
        write_with_mode(&partial, &(serde_json::to_string_pretty(self)? + "\n"), FILE_MODE)?;
        fs::rename(partial, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Reads the file of the region in `folder`; `None` when there is none (yet).
    pub fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// For people: addresses, the token, and commands to try.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.describe_into(&mut text);
        text
    }

    fn describe_into(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "Region {}", self.region)?;
        for (name, service) in &self.services {
            writeln!(text, "  {name:<10} {}   operator {}", service.api, service.operator)?;
        }
        writeln!(text, "  {:<10} {}", "sync", self.sync)?;
        writeln!(
            text,
            "  {:<10} {}   data {}",
            "postgres",
            self.postgres.address,
            self.postgres.data.display()
        )?;
        writeln!(text, "  {:<10} {}   data {}", "nats", self.nats.url, self.nats.store.display())?;
        writeln!(text, "  {:<10} {}", "logs", self.logs.display())?;
        match &self.serving {
            Some(serving) => self.describe_serving(serving, text),
            None => {
                writeln!(text, "\nOnly Postgres and NATS run. To run a service by hand:")?;
                let Some((name, service)) = self.services.first_key_value() else { return Ok(()) };
                let settings = service.settings.display();
                writeln!(text, "  {name} migrate --config {settings} && {name} serve --config {settings}")
            }
        }
    }

    fn describe_serving(&self, serving: &Serving, text: &mut String) -> std::fmt::Result {
        writeln!(text, "  {:<10} {}", "upstream", serving.upstream)?;
        for gateway in &serving.gateways {
            let GatewayStatus { http, https, admin, .. } = gateway;
            writeln!(text, "  gateway    {http} {https}   admin {admin}")?;
        }
        writeln!(text, "\nOrganization {} ({})", serving.organization.name, serving.organization.id)?;
        for plane in &serving.control_planes {
            writeln!(text, "Control plane {} ({})", plane.name, plane.id)?;
        }
        writeln!(text, "\nTo try:\n  export LANDBRIDGE_TOKEN={}", serving.token)?;
        let curl = format!(
            "curl --cacert {} -H \"Authorization: Bearer $LANDBRIDGE_TOKEN\"",
            self.ca_file.display()
        );
        if let Some(config) = self.services.get(Service::Config.name()) {
            writeln!(text, "  {curl} {}/v2/control-planes", config.api)?;
            for plane in serving.control_planes.iter().take(1) {
                writeln!(
                    text,
                    "  {curl} {}/v2/control-planes/{}/core-entities/routes",
                    config.api, plane.id
                )?;
            }
        }
        for gateway in &serving.gateways {
            writeln!(text, "  curl {}/status", gateway.admin)?;
        }
        Ok(())
    }
}

impl GatewayStatus {
    fn of(gateway: &Gateway) -> Self {
        Self {
            name: gateway.name().to_owned(),
            control_plane: gateway.control_plane().to_owned(),
            http: gateway.url(),
            https: gateway.https_url(),
            admin: gateway.admin_url(),
            folder: gateway.folder().to_owned(),
        }
    }
}

fn pids<'a>(processes: impl IntoIterator<Item = &'a Process>) -> BTreeMap<String, u32> {
    processes.into_iter().filter_map(|process| Some((process.name().to_owned(), process.pid()?))).collect()
}

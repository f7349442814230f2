//! `status.json`: what a running deployment looks like from outside, for scripts, the tour and people.
//!
//! Written into the deployment's folder by `landbridge-testbed up`. It holds a token, so only the owner can read it.

mod describe;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{
    Deployment, Gateway, Infrastructure, Region, ServiceName, ca::write_with_mode,
    deployment::Infrastructures, process::Process,
};

const FILE: &str = "status.json";
const FILE_MODE: u32 = 0o600;

/// A deployment from outside. Paths are absolute; URLs have no trailing slash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The process that keeps the deployment running.
    pub pid: u32,
    /// The folder of the deployment.
    pub folder: PathBuf,
    /// What a deployment has only once its services run.
    #[serde(flatten)]
    pub tenant: Option<Tenant>,
    /// The first is the organization's home.
    pub regions: Vec<RegionStatus>,
}

/// The organization that the testbed made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// The organization that was made at the start.
    pub organization: Organization,
    /// Id of the person who owns it.
    pub owner_id: String,
    /// Personal access token of the organization's owner, for every region.
    pub token: String,
}

/// The organization of a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A region from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegionStatus {
    /// As in `us`.
    pub region: String,
    /// The region's folder.
    pub folder: PathBuf,
    /// The folder with the log of each process.
    pub logs: PathBuf,
    /// All public HTTPS APIs, by way of the edge.
    pub api: String,
    /// `config`'s mTLS address for data planes.
    pub sync: String,
    /// Authority of the region's HTTPS certificates, in PEM.
    pub ca_file: PathBuf,
    /// The Postgres server.
    pub postgres: Postgres,
    /// The NATS server.
    pub nats: Nats,
    /// Each service, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// What a region has only once its services run.
    #[serde(flatten)]
    pub serving: Option<Serving>,
    /// Process ids by name.
    pub processes: BTreeMap<String, u32>,
}

/// How to reach a Postgres server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Postgres {
    /// As in `127.0.0.1:12012`.
    pub address: String,
    /// The data folder of the cluster.
    pub data: PathBuf,
    /// Client certificate, its key and the authority, for a person who looks: role `operator`.
    pub operator_certificate: PathBuf,
    /// The private key to it.
    pub operator_key: PathBuf,
    /// The authority that signed the certificate of the server.
    pub internal_ca: PathBuf,
}

/// How to reach a NATS server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nats {
    /// As in `tls://127.0.0.1:12013`.
    pub url: String,
    /// The folder of its streams.
    pub store: PathBuf,
}

/// Where a service listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its own HTTPS API, past the edge.
    pub api: String,
    /// gRPC between services, over mTLS; none calls config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<String>,
    /// For the same service of other regions, over mTLS; config has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<String>,
    /// Plain HTTP: `/livez`, `/readyz`, `/metrics`.
    pub operator: String,
    /// Its settings file.
    pub settings: PathBuf,
}

/// The part of a region that is there once its services run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Serving {
    /// The echo upstream.
    pub upstream: String,
    /// Where the mails to people are, a file each.
    #[serde(default)]
    pub mails: PathBuf,
    /// The edge's admin port.
    pub edge_admin: String,
    /// Server certificate and key of data planes.
    pub gateway_certificate: PathBuf,
    /// The private key to it.
    pub gateway_key: PathBuf,
    /// The control planes that were made at the start.
    pub control_planes: Vec<ControlPlane>,
    /// The data planes that were started.
    pub gateways: Vec<GatewayStatus>,
}

/// A control plane of a region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ControlPlane {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A data plane of a region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Its name, unique in the region.
    pub name: String,
    /// Id of the control plane that it follows.
    pub control_plane: String,
    /// Where it takes traffic.
    pub http: String,
    /// Where it takes HTTPS, as in `https://127.0.0.1:12021`.
    pub https: String,
    /// `/status`, `/status/ready`, `/metrics`.
    pub admin: String,
    /// Its working folder; its data is below.
    pub folder: PathBuf,
}

impl Status {
    /// A deployment of which only Postgres and NATS run.
    pub fn of_infrastructures(infrastructures: &Infrastructures) -> Self {
        Self {
            pid: std::process::id(),
            folder: infrastructures.folder().path().to_owned(),
            tenant: None,
            regions: infrastructures.regions().iter().map(RegionStatus::of_infrastructure).collect(),
        }
    }

    /// A whole deployment; control planes and data planes are added to its regions afterwards.
    pub fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let home = deployment.home()?;
        let (owner, name) = (home.owner(), home.organization().to_owned());
        let tenant = Tenant {
            organization: Organization { id: owner.organization_id.clone(), name },
            owner_id: owner.owner_id.clone(),
            token: owner.token.clone(),
        };
        Ok(Self {
            pid: std::process::id(),
            folder: deployment.folder().path().to_owned(),
            tenant: Some(tenant),
            regions: deployment.regions().iter().map(RegionStatus::of).collect(),
        })
    }

    /// The organization that the testbed made.
    pub fn tenant(&self) -> anyhow::Result<&Tenant> {
        self.tenant.as_ref().context("the services do not run")
    }

    /// The organization's home region.
    pub fn home(&self) -> anyhow::Result<&RegionStatus> {
        self.regions.first().context("there is no region")
    }

    /// Writes the file into the deployment's folder, whole or not at all.
    pub fn write(&self) -> anyhow::Result<()> {
        let path = self.folder.join(FILE);
        let partial = path.with_extension("partial");
        write_with_mode(&partial, &(serde_json::to_string_pretty(self)? + "\n"), FILE_MODE)?;
        fs::rename(partial, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Reads the file of the deployment in `folder`; `None` when there is none (yet).
    pub fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

impl RegionStatus {
    /// A region of which only Postgres and NATS run.
    pub fn of_infrastructure(infrastructure: &Infrastructure) -> Self {
        let Infrastructure { addresses, nats, postgres, operator, .. } = infrastructure;
        let folder = infrastructure.folder();
        let service = |service: ServiceName| {
            let listen = addresses.of(service);
            let is_called = service != ServiceName::Config;
            let status = ServiceStatus {
                api: format!("https://{}", listen.api),
                internal: is_called.then(|| format!("https://{}", listen.internal)),
                peers: is_called.then(|| format!("https://{}", listen.peers)),
                operator: format!("http://{}", listen.operator),
                settings: infrastructure.service(service).settings().to_owned(),
            };
            (service.to_string(), status)
        };
        Self {
            region: infrastructure.region.to_string(),
            folder: folder.path().to_owned(),
            logs: folder.logs(),
            api: addresses.public_api(),
            sync: addresses.sync.to_string(),
            ca_file: infrastructure.ca.region_ca().certificate,
            postgres: Postgres {
                address: addresses.postgres.to_string(),
                data: postgres.data().to_owned(),
                operator_certificate: operator.certificate.clone(),
                operator_key: operator.key.clone(),
                internal_ca: infrastructure.ca.internal_ca().certificate,
            },
            nats: Nats { url: nats.url(), store: nats.store().to_owned() },
            services: ServiceName::ALL.map(service).into(),
            serving: None,
            processes: [nats.process(), postgres.process()].into_iter().filter_map(pid).collect(),
        }
    }

    /// A whole region, without control planes and data planes.
    pub fn of(region: &Region) -> Self {
        let infrastructure = region.infrastructure();
        let serving = Serving {
            upstream: region.upstream().url(),
            mails: region.mail().folder().to_owned(),
            edge_admin: region.edge_admin_url().to_owned(),
            gateway_certificate: infrastructure.gateway_tls.certificate.clone(),
            gateway_key: infrastructure.gateway_tls.key.clone(),
            control_planes: Vec::new(),
            gateways: Vec::new(),
        };
        let processes = region.all_processes().filter_map(pid).collect();
        Self { serving: Some(serving), processes, ..Self::of_infrastructure(infrastructure) }
    }

    /// The region with one more control plane and its data plane.
    pub fn add(&mut self, control_plane: ControlPlane, gateway: &Gateway) {
        self.processes.extend(pid(gateway.process()));
        if let Some(serving) = &mut self.serving {
            serving.control_planes.push(control_plane);
            serving.gateways.push(GatewayStatus::of(gateway));
        }
    }

    /// What serves in this region; an error when the region runs without services.
    pub fn serving(&self) -> anyhow::Result<&Serving> {
        self.serving.as_ref().with_context(|| format!("the services of {} do not run", self.region))
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

fn pid(process: &Process) -> Option<(String, u32)> {
    Some((process.name().to_owned(), process.pid()?))
}

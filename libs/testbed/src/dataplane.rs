//! Data planes of a region: made the way a user makes them, by pasting the enrolment command into a shell.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    Region,
    api::{Answer, Api, http_client, text},
    binaries,
    ca::Pair,
    folder::Folder,
    process::{Process, Program},
    service::until_answers_200,
    traces::Traces,
    wait,
};

/// Longest time from an enrolled node's start to a configuration that it serves.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// An enrolment token as the API answers it.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Id of the enrolment token, by which it can be revoked.
    pub id: String,
    /// The token itself. The API shows it only once.
    pub token: String,
    /// Ready to paste into a shell where `dataplane` is on the path.
    pub command: String,
}

/// Makes a control plane and returns its id.
pub async fn create_control_plane(api: &Api, name: &str) -> anyhow::Result<String> {
    let created = api.post("/v2/control-planes", &json!({ "name": name })).await?.expect(201)?;
    Ok(text(&created, "id")?.to_owned())
}

/// Makes an enrolment token for a control plane.
pub async fn create_enrolment(api: &Api, control_plane: &str) -> anyhow::Result<Enrolment> {
    let path = format!("/v2/control-planes/{control_plane}/enrolment-tokens");
    let created = api.post(&path, &json!({})).await?.expect(201)?;
    let member = |name: &str| text(&created, name).map(str::to_owned);
    Ok(Enrolment { id: member("id")?, token: member("token")?, command: member("command")? })
}

/// Where a data plane runs and listens.
#[derive(Clone, Copy, Debug)]
pub struct Berth<'a> {
    /// The folder below which the data plane gets a folder of its own.
    pub folder: &'a Folder,
    /// Where it takes plain HTTP.
    pub http: SocketAddr,
    /// Where it takes HTTPS.
    pub https: SocketAddr,
    /// Where it tells about itself.
    pub admin: SocketAddr,
    /// What it presents to its clients.
    pub tls: &'a Pair,
    /// Where its traces go; nowhere when absent.
    pub traces: Option<&'a Traces>,
}

/// A running data plane.
#[derive(Debug)]
pub struct Gateway {
    name: String,
    control_plane: String,
    process: Process,
    http: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
    folder: PathBuf,
    client: reqwest::Client,
}

impl Gateway {
    /// Enrols a new data plane with `control_plane` and starts it. `name` is unique in the region.
    pub async fn enrol(region: &Region, control_plane: &str, name: &str) -> anyhow::Result<Self> {
        let enrolment = create_enrolment(&region.edge_api(), control_plane).await?;
        Self::start(region, control_plane, name, &enrolment.command).await
    }

    /// Starts a data plane in its region by an enrolment command.
    pub async fn start(
        region: &Region,
        control_plane: &str,
        name: &str,
        command: &str,
    ) -> anyhow::Result<Self> {
        let on = region.infrastructure();
        let berth = Berth {
            folder: region.folder(),
            http: on.next_address()?,
            https: on.next_address()?,
            admin: on.next_address()?,
            tls: &on.gateway_tls,
            traces: Some(&on.traces),
        };
        Self::start_at(berth, control_plane, name, command).await
    }

    /// Runs `command` as it is, by a shell, in an empty folder with the workspace's binaries on the path. Where it
    /// listens is set by environment, since several data planes run on this machine.
    pub async fn start_at(
        berth: Berth<'_>,
        control_plane: &str,
        name: &str,
        command: &str,
    ) -> anyhow::Result<Self> {
        let Berth { http, https, admin, tls, traces, .. } = berth;
        let folder = berth.folder.make(&format!("gateways/{name}"))?;
        let program = Program::new(format!("gateway-{name}"), "/bin/sh")
            .arg("-c")
            .arg(command)
            .in_folder(&folder)
            .env("PATH", path_with_binaries()?)
            .env("LANDBRIDGE_HTTP", http.to_string())
            .env("LANDBRIDGE_HTTPS", https.to_string())
            .env("LANDBRIDGE_TLS_CERTIFICATE", &tls.certificate)
            .env("LANDBRIDGE_TLS_KEY", &tls.key)
            // Clients here keep connections on which nothing will follow.
            .env("LANDBRIDGE_DRAIN__LAST_REQUEST_SECONDS", "1")
            .env("LANDBRIDGE_ADMIN", admin.to_string());
        let program = match traces {
            Some(traces) => traces.of(name, program),
            None => program,
        };
        let process = Process::start(program, berth.folder).await?;
        let (name, control_plane) = (name.to_owned(), control_plane.to_owned());
        let gateway =
            Self { name, control_plane, process, http, https, admin, folder, client: http_client()? };
        gateway.until_alive().await?;
        Ok(gateway)
    }

    /// Starts it again after it was killed or stopped: the same command in the same folder. It may not be ready yet.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again().await?;
        self.until_alive().await
    }

    /// Its name, unique in the region.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the control plane that it follows.
    pub fn control_plane(&self) -> &str {
        &self.control_plane
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The folder it was started in; its data is below.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it takes traffic, as in `http://127.0.0.1:12020`.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Where it takes traffic over TLS, with a certificate of the region's authority.
    pub fn https_url(&self) -> String {
        format!("https://{}", self.https)
    }

    /// Where it takes plain HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Its admin port, as in `http://127.0.0.1:12022`.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Its admin port.
    pub fn admin(&self) -> Api {
        Api::new(self.client.clone(), self.admin_url(), None)
    }

    /// What it says about itself.
    pub async fn status(&self) -> anyhow::Result<Value> {
        self.admin().get("/status").await?.expect(200)
    }

    /// Sends a GET for `path` to the gateway, with an API key if given.
    pub async fn get(&self, path: &str, key: Option<&str>) -> anyhow::Result<Answer> {
        self.get_by(&Api::new(self.client.clone(), self.url(), None), path, key).await
    }

    /// The same, with the consistency token of an answer of the API.
    pub async fn get_after(&self, token: &str, path: &str, key: Option<&str>) -> anyhow::Result<Answer> {
        let api = Api::new(self.client.clone(), self.url(), None).with_consistency(token);
        self.get_by(&api, path, key).await
    }

    async fn get_by(&self, api: &Api, path: &str, key: Option<&str>) -> anyhow::Result<Answer> {
        let request = api.request(reqwest::Method::GET, path);
        api.send(match key {
            Some(key) => request.header("apikey", key),
            None => request,
        })
        .await
    }

    /// Waits until it serves a verified configuration.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        until_answers_200(&self.process, &format!("{}/status/ready", self.admin_url())).await
    }

    /// Waits until a GET for `path` is answered with `status`.
    pub async fn until_answers(&self, path: &str, key: Option<&str>, status: u16) -> anyhow::Result<Answer> {
        let what = format!("{path} answers {status} at gateway {}", self.name);
        wait::until(&what, READY_DEADLINE, async || {
            let answer = self.get(path, key).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == status {
                Ok(answer)
            } else {
                Err(format!("{} {}", answer.status, answer.text))
            }
        })
        .await
    }

    async fn until_alive(&self) -> anyhow::Result<()> {
        until_answers_200(&self.process, &format!("{}/livez", self.admin_url())).await
    }
}

fn path_with_binaries() -> anyhow::Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths([binaries::folder()?].into_iter().chain(env::split_paths(&path)))
        .context("extend the path")
}

//! The gateway as a whole. It puts what is stored into service, opens the listeners, and follows its configuration, from a
//! control plane or a file, until it drains. Called by `main`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use arc_swap::ArcSwap;
use listener::Inherited;
use telemetry::Metrics;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Admin},
    applier::Applier,
    declarative::{
        Declarative, Secrets,
        http::{self, TokenFile},
    },
    enrol::{self, EnrolError, NodeFiles},
    proxy::{self, Guard, Proxy, ProxyOptions},
    seams::Seams,
    settings::Settings,
    status::{ControlPlaneStatus, Source, Status, StreamState, with_control_plane},
    store::{Owner, Store, StoreOptions},
    stream::{self, StreamOptions},
    view::View,
};

/// Folders in the data folder.
const STORE_FOLDER: &str = "store";
const NODE_FOLDER: &str = "node";

/// A running gateway.
pub struct Gateway {
    /// Address for plain HTTP, with the real port where 0 was asked for; `None` if it is off.
    pub http: Option<SocketAddr>,
    /// Address for HTTPS, likewise.
    pub https: Option<SocketAddr>,
    /// Address of the admin port.
    pub admin: SocketAddr,
    proxy: Proxy,
    admin_port: Admin,
    /// Follows the control plane until it is to leave; in declarative mode it only waits for that.
    following: JoinHandle<anyhow::Result<()>>,
    status: watch::Sender<Status>,
    drain: CancellationToken,
    delay: Duration,
    ends: Ends,
}

/// What tells the parts of a gateway to end, in this order.
#[derive(Default)]
struct Ends {
    /// The proxy, which finishes the requests that are under way.
    proxy: CancellationToken,
    /// What follows the control plane: until the last request has ended, a key that is revoked is denied.
    following: CancellationToken,
    /// The admin port, where a drain can be watched.
    admin: CancellationToken,
}

/// Serves until `drain`. Then it finishes the requests that are under way, and tells the control plane that it leaves.
pub async fn run(
    settings: Settings,
    metrics: Metrics,
    seams: Seams,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    Gateway::start(settings, metrics, seams, drain).await?.run().await
}

impl Gateway {
    /// Returns once the listeners are open and what was stored is served.
    pub async fn start(
        settings: Settings,
        metrics: Metrics,
        seams: Seams,
        drain: CancellationToken,
    ) -> anyhow::Result<Gateway> {
        let folder = settings.data_dir.join(STORE_FOLDER);
        let store = tokio::task::spawn_blocking(move || Store::open(&folder, StoreOptions::default()));
        let store = store.await.context("opening the store")??;
        let source = match &settings.declarative {
            Some(_) => Source::Declarative,
            None => Source::ControlPlane(ControlPlaneStatus::default()),
        };
        let files = NodeFiles::new(settings.data_dir.join(NODE_FOLDER));
        // An enrolled node keeps its id when its store was lost.
        let node = files.credentials().map_or(store.node(), |credentials| credentials.identity.node);
        let (status, _) = watch::channel(Status::new(node, seams.clock.now(), source));
        let live = Arc::new(ArcSwap::from_pointee(View::new(settings.path_regex_cost_max)));
        let applier = Applier::start(store.clone(), live, status.clone(), seams.clone()).await?;
        let declarative = prepare(&settings, &files, &applier).await?;
        let token = settings.config_token_file.as_deref().map(TokenFile::open).transpose()?;
        let documents = declarative.zip(token).map(|(declarative, token)| http::router(declarative, token));
        let limits = settings.limits();
        let admin_port = admin::bind(settings.admin, limits.connections).await?;

        let options = ProxyOptions {
            threads: settings.threads(),
            http: settings.http.address(),
            https: settings.https()?,
            inherited: Inherited::default(),
            tls: settings.tls()?,
            upstream_roots: settings.upstream_ca.clone(),
            upstream_certificate: settings.upstream_certificate()?,
            errors: settings.errors,
            trust: settings.trust()?,
            dots: settings.dot_segments,
            ambiguous_paths: settings.ambiguous_paths,
            hops_max: settings.hops_max,
            guard: Guard {
                own: vec![admin_port.address()],
                allows_link_local: settings.allow_link_local_upstreams,
            },
            limits,
            traces: settings.telemetry.otlp.is_some(),
        };
        let ends = Ends::default();
        let proxy =
            proxy::serve(options, Arc::clone(applier.live()), store, seams, ends.proxy.clone()).await?;
        let counters = proxy.counters.clone();
        metrics.add_source(move || counters.publish());
        let (hosts, shown) = (settings.admin_hosts.names(), status.subscribe());
        let admin_port = admin::serve(admin_port, hosts, shown, metrics, documents, ends.admin.clone());
        let (http, https, admin) = (proxy.http, proxy.https, admin_port.address);
        tracing::info!(?http, ?https, %admin, "listening");
        let (delay, leaves) = (settings.drain.delay(), ends.following.clone());
        let following = match settings.declarative {
            Some(_) => tokio::spawn(async move {
                leaves.cancelled().await;
                Ok(())
            }),
            None => tokio::spawn(follow(applier, settings, files, leaves)),
        };
        Ok(Gateway { http, https, admin, proxy, admin_port, following, status, drain, delay, ends })
    }

    /// Runs until the drain. An error if enrolment fails for good.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = self.drain.cancelled() => None,
            failed = &mut self.following => Some(failed),
        };
        // Not ready from now on: load balancers send new connections elsewhere. Until they do, those are served.
        self.status.send_modify(|status| status.draining = true);
        tracing::info!(delay_seconds = self.delay.as_secs(), "draining");
        if failed.is_none() {
            tokio::time::sleep(self.delay).await;
        }
        self.ends.proxy.cancel();
        self.proxy.ended().await;
        self.ends.following.cancel();
        let followed = match failed {
            Some(failed) => failed,
            None => self.following.await,
        };
        self.ends.admin.cancel();
        self.admin_port.ended().await;
        followed.context("following the control plane")?
    }
}

/// What must be done before the first request: the store is tied to its owner, and the declarative file is applied.
async fn prepare(
    settings: &Settings,
    files: &NodeFiles,
    applier: &Applier,
) -> anyhow::Result<Option<Arc<Declarative>>> {
    if let Some(path) = &settings.declarative {
        let secrets = Secrets::in_folder(&settings.data_dir, &applier.seams().random)?;
        let declarative = Declarative::start(applier.clone(), secrets).await?;
        let changed = declarative.apply_file(path).await.with_context(|| path.display().to_string())?;
        tracing::info!(?changed, file = %path.display(), "the declarative file is in service");
        return Ok(Some(declarative));
    }
    match files.credentials() {
        Ok(credentials) => applier.bind(Owner::ControlPlane(credentials.identity.control_plane)).await?,
        Err(EnrolError::NotEnrolled) if settings.enrolment_token.is_some() => {}
        // Without a token the node cannot enrol again.
        Err(error) if settings.enrolment_token.is_none() => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the files of an earlier enrolment cannot be used; enrolling again")
        }
    }
    Ok(None)
}

/// Enrols if necessary, then follows the control plane until `drain`. An error is final.
async fn follow(
    applier: Applier,
    settings: Settings,
    files: NodeFiles,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let hostname = settings.hostname();
    if let Some(token) = &settings.enrolment_token {
        let enrolled = tokio::select! {
            () = drain.cancelled() => return Ok(()),
            enrolled = enrol(&applier, &files, token, &hostname) => enrolled,
        };
        match enrolled {
            Ok(credentials) => {
                applier.bind(Owner::ControlPlane(credentials.identity.control_plane)).await?;
            }
            // A node that is enrolled goes on, although this token was refused.
            Err(error) if files.credentials().is_ok() => {
                tracing::error!(%error, "the enrolment token was refused; the node goes on with its earlier enrolment");
                with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    stream::run(applier, StreamOptions { hostname, files }, drain).await;
    Ok(())
}

async fn enrol(
    applier: &Applier,
    files: &NodeFiles,
    token: &str,
    hostname: &str,
) -> Result<enrol::Credentials, EnrolError> {
    with_control_plane(applier.status(), |status| status.stream = StreamState::Enrolling);
    let failed = |error: &EnrolError| {
        with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
    };
    let node = applier.status().borrow().node;
    enrol::enrol(files, token, node, hostname, &applier.seams().random, failed).await
}

#[cfg(test)]
mod tests;

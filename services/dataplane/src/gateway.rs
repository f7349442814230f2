//! The gateway as a whole. It puts what is stored into service, opens the listeners, or takes them over from the gateway that runs, and
//! follows its configuration, from a control plane or a file, until it drains. Called by `main`.

mod ending;
mod following;

use std::{fs, net::SocketAddr, sync::Arc};

use anyhow::Context;
use arc_swap::ArcSwap;
use listener::{Inherited, OpenPort};
use telemetry::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{ending::Ends, following::Following};
use crate::{
    admin::{self, Admin},
    applier::Applier,
    balancing::{Groups, Names},
    counters,
    declarative::{
        Declarative, Followed, Secrets,
        http::{self, TokenFile},
    },
    deliveries::{self, Deliveries},
    enrol::{EnrolError, NodeFiles},
    notify,
    plugins::{self, Tools},
    proxy::{self, Guard, Proxy, ProxyOptions},
    seams::Seams,
    settings::Settings,
    status::{Configuration, ControlPlaneStatus, DeclarativeStatus, Source, Status},
    store::{Owner, Store, StoreOptions},
    take_over::{self, Door, Predecessor},
    view::View,
};

/// Folders in the data folder.
pub(crate) const STORE_FOLDER: &str = "store";
pub(crate) const NODE_FOLDER: &str = "node";
const COUNTERS_FOLDER: &str = "counters";

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
    /// All of them, the admin port's included.
    ports: Vec<OpenPort>,
    following: Following,
    applier: Applier,
    /// What plugins send elsewhere.
    deliveries: Deliveries,
    settings: Settings,
    status: watch::Sender<Status>,
    /// Where another process asks to take over.
    door: Door,
    drain: CancellationToken,
    ends: Ends,
}

/// Serves until `drain`, or until another process has taken over. Then it finishes the requests that are under way, and tells the control
/// plane that it leaves.
pub async fn run(
    settings: Settings,
    metrics: Metrics,
    seams: Seams,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    Gateway::start(settings, metrics, seams, drain).await?.run().await
}

impl Gateway {
    /// Returns once the listeners are open and what was stored is served; where the settings say so, in the place of the gateway that
    /// ran on the data folder.
    pub async fn start(
        settings: Settings,
        metrics: Metrics,
        seams: Seams,
        drain: CancellationToken,
    ) -> anyhow::Result<Gateway> {
        let mut inherited = Inherited::from_environment().context("LISTEN_FDS")?;
        let mut folder = settings.data_dir.join(STORE_FOLDER);
        let mut predecessor = match settings.take_over {
            true => Predecessor::ask(&settings.data_dir, folder.clone(), &mut inherited).await?,
            false => None,
        };
        if let Some(predecessor) = &mut predecessor {
            folder = predecessor.store().await?;
        }
        let store =
            tokio::task::spawn_blocking(move || Store::open_or_begin_anew(&folder, StoreOptions::default()));
        let store = store.await.context("opening the store")??;
        let source = match &settings.declarative {
            Some(_) => Source::Declarative(DeclarativeStatus::default()),
            None => Source::ControlPlane(ControlPlaneStatus::default()),
        };
        let files = NodeFiles::new(settings.data_dir.join(NODE_FOLDER))
            .with_pinned(settings.pinned.clone(), store.node());
        // An enrolled node keeps its id when its store was lost.
        let node = files.credentials().map_or(store.node(), |credentials| credentials.identity.node);
        let (status, _) = watch::channel(Status::new(node, seams.clock.now(), source));
        let names = Names::new(settings.name_servers.addresses());
        let groups = Groups::new(names.clone());
        let secrets = match &settings.declarative {
            Some(_) => Some(Secrets::in_folder(&settings.data_dir, &seams.random)?),
            None => None,
        };
        let key = match &secrets {
            Some(secrets) => Some(secrets.key().clone()),
            None => files.secrets_key_or_none(),
        };
        let runtime = tokio::runtime::Handle::current();
        let tools =
            Tools::new(seams.clone(), runtime, settings.data_dir.clone(), settings.proxy_cache_bytes_max);
        let (counting, folder) = (tools.clone(), settings.data_dir.join(COUNTERS_FOLDER));
        let clock = seams.clock.clone();
        tokio::task::spawn_blocking(move || counting.counters().keep_in(folder, clock)).await?;
        let view = View::new(settings.path_regex_cost_max, tools.clone()).opening_with(key);
        let live = Arc::new(ArcSwap::from_pointee(view));
        let applier =
            Applier::start(store.clone(), live, status.clone(), groups.clone(), seams.clone()).await?;
        let documents = prepare(&settings, secrets, &files, &applier).await?;
        let token = settings.config_token_file.as_deref().map(TokenFile::open).transpose()?;
        let (declarative, followed) = documents.unzip();
        let documents =
            declarative.clone().zip(token).map(|(declarative, token)| http::router(declarative, token));
        let limits = settings.limits();
        let admin_port = admin::bind(settings.admin, limits.connections, &mut inherited)?;
        let mut ports = vec![admin_port.port()];

        let options = ProxyOptions {
            threads: settings.threads(),
            http: settings.http.address(),
            https: settings.https()?,
            inherited,
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
            trace_sample: settings.trace_sample,
            access_log: settings.access_log.options(),
            metrics: settings.metrics.options(),
            status: settings.declarative.is_none().then(|| status.subscribe()),
            names: Some(names),
        };
        let ends = Ends::default();
        let mut proxy =
            proxy::serve(options, Arc::clone(applier.live()), store, seams, ends.proxy.clone()).await?;
        ports.append(&mut proxy.ports);
        groups.check_by(proxy.prober.clone());
        tools.calls().open(proxy.prober.clone(), proxy.hosts.clone())?;
        plugins::describe_metrics();
        counters::describe_metrics();
        deliveries::describe_metrics();
        let counters = proxy.counters.clone();
        metrics.add_source(move || counters.publish());
        let published = groups.clone();
        metrics.add_source(move || published.publish());
        let (kong, counted, held) = (tools.kong_metrics().clone(), proxy.counters.clone(), groups.clone());
        metrics.add_source(move || {
            let (requests, accepted, open) = (counted.requests(), counted.accepted(), counted.connections());
            kong.publish(plugins::Node { requests, accepted, open }, || held.shown());
        });
        let pages = documents.unwrap_or_default().merge(admin::upstreams(groups));
        let pages = pages.merge(plugins::cache_router(tools.cache().clone()));
        let (hosts, shown) = (settings.admin_hosts.names(), status.subscribe());
        let admin_port = admin::serve(admin_port, hosts, shown, metrics, Some(pages), ends.admin.clone());
        let (http, https, admin) = (proxy.http, proxy.https, admin_port.address);

        let unused = std::mem::take(&mut proxy.unused).addresses();
        if !unused.is_empty() {
            tracing::warn!(
                ?unused,
                "sockets were passed to this process that listen where no setting says: it does not use them"
            );
        }
        notify::ready();
        match predecessor {
            Some(predecessor) => {
                let pid = predecessor.pid;
                predecessor.succeed(&unused).await?;
                tracing::info!(pid, "this process serves in the place of another one, which drains");
            }
            // What a process that did not come so far has left.
            None => drop(fs::remove_dir_all(settings.data_dir.join(take_over::COPY_FOLDER))),
        }
        let door = Door::open(&settings.data_dir);
        let following = Following::start(applier.clone(), &settings, files);
        if let Some((declarative, followed)) = declarative.zip(followed) {
            tokio::spawn(followed.follow(declarative, drain.clone()));
        }
        tokio::spawn(announce(status.subscribe(), http, https, admin));
        Ok(Gateway {
            http,
            https,
            admin,
            proxy,
            admin_port,
            ports,
            following,
            applier,
            deliveries: tools.deliveries().clone(),
            settings,
            status,
            door,
            drain,
            ends,
        })
    }
}

/// Says in one line that the gateway is ready, when it is; before, why it is not yet.
async fn announce(
    mut status: watch::Receiver<Status>,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    admin: SocketAddr,
) {
    let [http, https] =
        [http, https].map(|address| address.map_or_else(|| "off".to_owned(), |at| at.to_string()));
    if !status.borrow().readiness().ready {
        tracing::info!(%http, %https, %admin, "listening, and not ready: no configuration was received yet");
    }
    let Ok(status) = status.wait_for(|status| status.readiness().ready).await else { return };
    let Configuration { version, counts, .. } = &status.configuration;
    let (services, routes) = (counts.services, counts.routes);
    tracing::info!(%http, %https, %admin, version, services, routes, "the gateway is ready");
}

/// What must be done before the first request: the store is tied to its owner, and the declarative file is applied.
async fn prepare(
    settings: &Settings,
    secrets: Option<Secrets>,
    files: &NodeFiles,
    applier: &Applier,
) -> anyhow::Result<Option<(Arc<Declarative>, Followed)>> {
    if let (Some(path), Some(secrets)) = (&settings.declarative, secrets) {
        let declarative = Declarative::start(applier.clone(), secrets).await?;
        let followed =
            Followed::start(&declarative, path).await.with_context(|| path.display().to_string())?;
        return Ok(Some((declarative, followed)));
    }
    match files.credentials() {
        Ok(credentials) => {
            let owner = Owner::ControlPlane(credentials.identity.control_plane);
            applier.bind(owner, files.secrets_key_or_none()).await?;
        }
        Err(EnrolError::NotEnrolled) if settings.enrolment_token.is_some() => {}
        // Without a token the node cannot enrol again.
        Err(error) if settings.enrolment_token.is_none() => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the files of an earlier enrolment cannot be used; enrolling again")
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;

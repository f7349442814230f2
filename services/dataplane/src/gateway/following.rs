//! Following the control plane: enrolment if necessary, then the stream. It can be paused, so that another process can follow in this one's
//! place, and go on.

use std::{future::pending, sync::Arc};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    applier::Applier,
    egress::EgressProxy,
    enrol::{self, EnrolError, NodeFiles},
    settings::{Settings, SyncMode},
    status::{StreamState, with_control_plane},
    store::Owner,
    stream::{self, Network, StreamOptions},
};

/// What follows the control plane; in declarative mode, nothing.
pub(super) struct Following {
    what: Option<What>,
    running: Option<(JoinHandle<anyhow::Result<()>>, CancellationToken)>,
}

#[derive(Clone)]
struct What {
    applier: Applier,
    files: NodeFiles,
    token: Option<String>,
    hostname: String,
    proxy: Option<EgressProxy>,
    mode: SyncMode,
}

impl Following {
    /// Follows the control plane of `settings`, if they name one, from now on.
    pub fn start(applier: Applier, settings: &Settings, files: NodeFiles) -> Self {
        let (token, hostname) = (settings.enrolment_token.clone(), settings.hostname());
        let (proxy, mode) = (settings.egress_proxy.clone(), settings.sync);
        let what = What { applier, files, token, hostname, proxy, mode };
        let what = settings.declarative.is_none().then_some(what);
        let mut following = Self { what, running: None };
        following.resume();
        following
    }

    /// Follows again.
    pub fn resume(&mut self) {
        self.running = self.what.clone().map(|what| {
            let leave = CancellationToken::new();
            (tokio::spawn(follow(what, leave.clone())), leave)
        });
    }

    /// Waits until it fails for good.
    pub async fn failed(&mut self) -> anyhow::Error {
        let ended = match &mut self.running {
            Some((running, _)) => running.await,
            None => pending().await,
        };
        self.running = None;
        match ended.context("following the control plane") {
            Ok(Ok(())) => anyhow::anyhow!("the gateway does not follow its control plane any more"),
            Ok(Err(error)) | Err(error) => error,
        }
    }

    /// Tells the control plane that this node leaves, and ends with what has begun to be written.
    pub async fn pause(&mut self) -> anyhow::Result<()> {
        let Some((running, leave)) = self.running.take() else { return Ok(()) };
        leave.cancel();
        running.await.context("following the control plane")?
    }
}

/// Enrols if necessary, then follows the control plane until `leave`. An error is final.
async fn follow(what: What, leave: CancellationToken) -> anyhow::Result<()> {
    let What { applier, files, token, hostname, proxy, mode } = what;
    if let Some(token) = token {
        let enrolled = tokio::select! {
            () = leave.cancelled() => return Ok(()),
            enrolled = enrol(&applier, &files, &token, (&hostname, proxy.as_ref())) => enrolled,
        };
        match enrolled {
            Ok(credentials) => {
                let owner = Owner::ControlPlane(credentials.identity.control_plane);
                applier.bind(owner, files.secrets_key_or_none()).await?;
            }
            // A node that is enrolled goes on, although this token was refused.
            Err(error) if files.credentials().is_ok() => {
                tracing::error!(%error, "the enrolment token was refused; the node goes on with its earlier enrolment");
                with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let dial = Arc::new(Network { proxy });
    stream::run(applier, StreamOptions { hostname, files, dial, mode }, leave).await;
    Ok(())
}

async fn enrol(
    applier: &Applier,
    files: &NodeFiles,
    token: &str,
    way: (&str, Option<&EgressProxy>),
) -> Result<enrol::Credentials, EnrolError> {
    with_control_plane(applier.status(), |status| status.stream = StreamState::Enrolling);
    let failed = |error: &EnrolError| {
        with_control_plane(applier.status(), |status| status.last_error = Some(error.to_string()));
    };
    let node = applier.status().borrow().node;
    enrol::enrol(files, token, node, way, &applier.seams().random, failed).await
}

//! The kinds of request that are measured, and what is sent for each.

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};
use testbed::{Region, ServiceName, api::text};
use uuid::Uuid;

use crate::{
    decisions::{self, Asker},
    documents::{self, Size, route_name, service_name},
    message::Message,
    proxy::requests::{Expected, Requests},
    report::{COUNT, MICROSECONDS, PER_SECOND, Report},
    stage,
};

/// Entities of the control plane.
const ENTITIES: usize = 1_000;
/// Different paths that each route is given in turn.
const PATHS: usize = 20;
/// Questions in one request of [`Kind::Checks`].
const QUESTIONS: usize = 100;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path that config does not know: answered in front of the guard.
    Unguarded,
    /// A small answer of config behind the guard, with a decision.
    Guarded,
    /// An entity.
    Get,
    /// One question, which is answered yes.
    Check,
    /// One question, which is answered no.
    Denied,
    /// Many questions, which are answered yes.
    Checks,
    /// A route gets a path that it did not have.
    Put,
}

impl Kind {
    /// In the order in which they are measured.
    pub const ALL: [Self; 7] =
        [Self::Unguarded, Self::Guarded, Self::Get, Self::Check, Self::Denied, Self::Checks, Self::Put];

    /// As in the keys of figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unguarded => "unguarded",
            Self::Guarded => "guarded",
            Self::Get => "get",
            Self::Check => "check",
            Self::Denied => "denied",
            Self::Checks => "checks_100",
            Self::Put => "put",
        }
    }

    /// Who serves it.
    pub const fn service(self) -> ServiceName {
        match self {
            Self::Unguarded | Self::Guarded | Self::Get | Self::Put => ServiceName::Config,
            Self::Check | Self::Denied | Self::Checks => ServiceName::Authz,
        }
    }

    /// The figures that the scenario is about, of requests that were sent to the service: CPU time of each, and how many there were in a
    /// second.
    pub fn record_headline(self, (cpu, per_second): (f64, f64), report: &mut Report) {
        match self {
            Self::Get => report.record("get_cpu_us", MICROSECONDS, cpu),
            Self::Put => report.record("put_cpu_us", MICROSECONDS, cpu),
            Self::Check => {
                report.record("check_cpu_us", MICROSECONDS, cpu);
                report.record("checks_per_s", PER_SECOND, per_second);
            }
            Self::Unguarded | Self::Guarded | Self::Denied | Self::Checks => {}
        }
    }
}

/// Writes requests of every kind, and knows the right answers.
pub struct Sender {
    control_plane: String,
    /// Id of the service that routes belong to.
    service: String,
    owner: String,
    asker: Asker,
    /// In the order of [`Kind::ALL`].
    expected: Vec<Expected>,
}

impl Sender {
    /// Fills the region, and sends one request of each kind to see its answer.
    pub async fn prepare(region: &Region, report: &mut Report) -> anyhow::Result<Self> {
        stage::say(&format!("Control plane with {ENTITIES} entities"));
        report.record("entities", COUNT, ENTITIES as f64);
        let size = Size::of_entities(ENTITIES);
        let document = documents::document(size, &region.upstream().url(), false);
        let (control_plane, _) = stage::control_plane(region, "requests", &document).await?;
        let path = format!("/v2/control-planes/{control_plane}/core-entities/services/{}", service_name(0));
        let service = region.api(ServiceName::Config).get(&path).await?.expect(200)?;
        let service = text(&service, "id")?.to_owned();
        let asker = decisions::prepare(region, report).await?;
        let owner = region.owner().token.clone();
        let mut sender = Self { control_plane, service, owner, asker, expected: Vec::new() };
        for kind in Kind::ALL {
            let first = sender.messages(kind).into_iter().next().context("no request")?;
            let api = region.api(kind.service()).with_token(sender.token(kind));
            let expected = first.answer_of(&api).await.with_context(|| kind.name())?;
            sender.expected.push(expected);
        }
        Ok(sender)
    }

    /// Requests of a kind. Those that write differ from all that were made before.
    pub fn requests(&self, kind: Kind) -> Requests {
        let messages = self.messages(kind).into_iter().map(|message| message.bytes(self.token(kind)));
        let place = Kind::ALL.into_iter().position(|one| one == kind).unwrap_or_default();
        let expected = self.expected.get(place).copied().unwrap_or(Expected::ok(0));
        Requests::whole(messages.collect(), expected)
    }

    fn token(&self, kind: Kind) -> &str {
        match kind.service() {
            ServiceName::Authz => &self.asker.token,
            ServiceName::Config | ServiceName::Identity => &self.owner,
        }
    }

    fn messages(&self, kind: Kind) -> Vec<Message> {
        let plane = format!("/v2/control-planes/{}", self.control_plane);
        let entities = format!("{plane}/core-entities");
        // One half is read, the other one written, so that all answers about the first stay as long as they were.
        let half = Size::of_entities(ENTITIES).routes / 2;
        match kind {
            Kind::Unguarded => vec![Message::get(format!("{plane}/unknown"))],
            Kind::Guarded => vec![Message::get(format!("{entities}/workspaces/default"))],
            Kind::Get => {
                let path = |route| format!("{entities}/routes/{}", route_name(route));
                (0..half).map(|route| Message::get(path(route))).collect()
            }
            Kind::Check => self.asker.writable.iter().map(|id| self.check(&[*id])).collect(),
            Kind::Denied => self.asker.foreign.iter().map(|id| self.check(&[*id])).collect(),
            Kind::Checks => {
                let writable = &self.asker.writable;
                let asked: Vec<Uuid> = writable.iter().copied().cycle().take(QUESTIONS).collect();
                vec![self.check(&asked)]
            }
            Kind::Put => (0..PATHS * half).map(|number| self.put(&entities, half + number % half)).collect(),
        }
    }

    fn check(&self, control_planes: &[Uuid]) -> Message {
        let checks: Vec<Value> = control_planes.iter().map(|id| self.asker.about(*id)).collect();
        let body = json!({ "checks": checks });
        Message::with(Method::POST, "/v1/authz/check".to_owned(), body)
    }

    fn put(&self, entities: &str, route: usize) -> Message {
        let name = route_name(route);
        let path = format!("/written/{}", Uuid::new_v4().simple());
        let body = json!({ "name": name, "paths": [path], "service": { "id": self.service } });
        Message::with(Method::PUT, format!("{entities}/routes/{name}"), body)
    }
}

//! The plugins of a request, in order, and how far a request has come in them.

use std::{cmp::Reverse, fmt, sync::Arc};

use uuid::Uuid;

use super::{
    Answer, Body, Compiled, Effects, Ended, Exchange, Make, NotExecutable, Plugin, Reply, Then, Transaction,
    Verdict, Wish,
};
use crate::store::StoreError;

/// Requests that would have been refused, and passed, by plugin.
const OBSERVED: &str = "landbridge_plugin_observed_total";

/// Which phases a plugin has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// It sees requests.
    pub request: bool,
    /// It sees the heads of answers.
    pub response: bool,
    /// It hears of requests that are over.
    pub log: bool,
    /// It counts them.
    pub count: bool,
}

impl Phases {
    /// Requests alone.
    pub const REQUEST: Phases = Phases { request: true, response: false, log: false, count: false };
    /// Requests and answers.
    pub const BOTH: Phases = Phases { request: true, response: true, log: false, count: false };
    /// Answers alone.
    pub const RESPONSE: Phases = Phases { request: false, response: true, log: false, count: false };
    /// The end alone.
    pub const LOG: Phases = Phases { request: false, response: false, log: true, count: false };

    /// Counting alone.
    pub const COUNT: Phases = Phases { request: false, response: false, log: false, count: true };

    fn or(self, other: Phases) -> Phases {
        Phases {
            request: self.request || other.request,
            response: self.response || other.response,
            log: self.log || other.log,
            count: self.count || other.count,
        }
    }
}

/// A plugin with its settings, ready to run.
pub struct Instance {
    about: About,
    plugin: Box<dyn Plugin>,
}

/// What the gateway knows of an instance.
#[derive(Clone, Copy, Debug)]
struct About {
    name: &'static str,
    priority: u32,
    phases: Phases,
    /// It only judges: what it would refuse is counted, and passes.
    observe: bool,
}

impl About {
    /// Of two plugins, the one with the greater priority runs first; of two with one priority, the first by name.
    fn place(self) -> (Reverse<u32>, &'static str) {
        (Reverse(self.priority), self.name)
    }
}

impl Instance {
    /// Compiles the plugin `P`, which is called `name`.
    pub fn of<P: Compiled>(
        (name, observe): (&'static str, bool),
        config: &P::Config,
        make: &Make<'_>,
    ) -> Result<Self, NotExecutable> {
        let plugin = Box::new(P::new(config, make)?);
        Ok(Self { about: About { name, priority: P::PRIORITY, phases: P::PHASES, observe }, plugin })
    }

    /// Its place in the order of plugins.
    #[cfg(test)]
    pub fn priority(&self) -> u32 {
        self.about.priority
    }

    /// The plugin's name, as in its configuration.
    pub fn name(&self) -> &'static str {
        self.about.name
    }

    /// The groups of the route's regular expressions that it reads.
    pub fn captures(&self) -> &[String] {
        self.plugin.captures()
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("about", &self.about).field("plugin", &self.plugin).finish()
    }
}

/// The plugins of a request in the order in which they run: at most one of each name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    instances: Arc<[Arc<Instance>]>,
    phases: Phases,
}

impl Chain {
    /// A chain of `instances`, at most one of each name.
    pub fn new(mut instances: Vec<Arc<Instance>>) -> Self {
        instances.sort_by_key(|instance| instance.about.place());
        let phases = instances.iter().fold(Phases::default(), |all, instance| all.or(instance.about.phases));
        Self { instances: instances.into(), phases }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// The phases that any of its plugins has.
    pub fn phases(&self) -> Phases {
        self.phases
    }

    /// The plugins' names, in the order in which they run.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.instances.iter().map(|instance| instance.name())
    }

    /// The groups of the route's regular expressions that its plugins read.
    pub fn captures(&self) -> impl Iterator<Item = &str> + Clone {
        self.instances.iter().flat_map(|instance| instance.captures()).map(String::as_str)
    }

    /// What its plugins want clients to be asked for in TLS.
    pub fn wishes(&self) -> impl Iterator<Item = &Arc<Wish>> {
        self.instances.iter().filter_map(|instance| instance.plugin.wish())
    }

    /// Shows `reply` to the plugins that see answers. As in Kong, also to those that the request did not come to.
    pub fn respond(&self, effects: &mut Effects, reply: &mut Reply<'_>) {
        for instance in self.instances.iter().filter(|instance| instance.about.phases.response) {
            instance.plugin.response(effects, reply);
        }
    }

    /// Shows a request that is over to the plugins that count.
    pub fn count(&self, ended: &Ended<'_>) {
        for instance in self.instances.iter().filter(|instance| instance.about.phases.count) {
            instance.plugin.count(ended);
        }
    }

    /// Tells the plugins that hear of it of a request that is over.
    pub fn log(&self, transaction: &Transaction<'_>) {
        for instance in self.instances.iter().filter(|instance| instance.about.phases.log) {
            instance.plugin.log(transaction);
        }
    }
}

/// A request on its way through its plugins.
#[derive(Debug)]
pub struct Run<'c> {
    /// The plugins that run whoever sends the request.
    usual: &'c Chain,
    /// Those that run for its consumer, if they are others.
    own: Option<Chain>,
    /// The plugin that comes next.
    next: usize,
    /// Whose chain it is.
    consumer: Option<Uuid>,
}

/// How a request goes on.
#[must_use]
pub enum Step {
    /// It has passed all plugins.
    Passed,
    /// One has answered it.
    Answered(Answer),
    /// One needs its body, of at most so many bytes. [`Run::step`] goes on with the same plugin.
    NeedsBody(usize),
    /// One waits for something. [`Run::resume`] goes on with what comes of it.
    Waits(futures::future::LocalBoxFuture<'static, Then>),
}

impl<'c> Run<'c> {
    /// At the beginning of `chain`.
    pub fn new(chain: &'c Chain) -> Self {
        Self { usual: chain, own: None, next: 0, consumer: None }
    }

    /// The plugins that run for this request, as far as is known.
    pub fn chain(&self) -> &Chain {
        self.own.as_ref().unwrap_or(self.usual)
    }

    /// Runs the plugins that come next, until one answers or waits. When a plugin finds out who the consumer is, `for_consumer` may give another
    /// chain to go on with: of that, the plugins run which come after the one that found out.
    pub fn step<E: From<StoreError>>(
        &mut self,
        exchange: &mut Exchange<'_, '_>,
        for_consumer: &dyn Fn(Uuid) -> Result<Option<Chain>, E>,
    ) -> Result<Step, E> {
        while let Some(instance) = self.chain().instances.get(self.next) {
            let about = instance.about;
            if about.phases.request {
                let verdict = instance.plugin.request(exchange)?;
                if let Some(step) = heed(about, verdict, exchange) {
                    return Ok(step);
                }
            }
            self.passed(about, exchange, for_consumer)?;
        }
        Ok(Step::Passed)
    }

    /// Goes on with what a plugin has waited for.
    pub fn resume<E: From<StoreError>>(
        &mut self,
        then: Then,
        exchange: &mut Exchange<'_, '_>,
        for_consumer: &dyn Fn(Uuid) -> Result<Option<Chain>, E>,
    ) -> Result<Step, E> {
        if let Some(about) = self.chain().instances.get(self.next).map(|instance| instance.about) {
            let verdict = then(exchange)?;
            if let Some(step) = heed(about, verdict, exchange) {
                return Ok(step);
            }
            self.passed(about, exchange, for_consumer)?;
        }
        self.step(exchange, for_consumer)
    }

    /// The request has passed a plugin. If the consumer is another one now, so may the chain be.
    fn passed<E>(
        &mut self,
        about: About,
        exchange: &mut Exchange<'_, '_>,
        for_consumer: &dyn Fn(Uuid) -> Result<Option<Chain>, E>,
    ) -> Result<(), E> {
        if about.observe
            && let Some(body_max) = exchange.effects.wanted_mut().and_then(|wanted| wanted.body_max.as_mut())
        {
            body_max.observe |= body_max.plugin == about.name;
        }
        if let Body::TooLarge { length } = exchange.body {
            // For this plugin: the next one may be ready to read more.
            exchange.body = Body::Unread { length };
        }
        let consumer = exchange.consumer.as_ref().map(|identity| identity.consumer);
        if consumer == self.consumer {
            self.next += 1;
            return Ok(());
        }
        self.consumer = consumer;
        self.own = consumer.map(for_consumer).transpose()?.flatten();
        let place = about.place();
        self.next = self.chain().instances.partition_point(|other| other.about.place() <= place);
        Ok(())
    }
}

/// What a verdict comes to; `None`: the next plugin runs.
fn heed(about: About, verdict: Verdict, exchange: &mut Exchange<'_, '_>) -> Option<Step> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Answer(_) if about.observe => {
            observed(about.name);
            exchange.effects.want().observed.push(about.name);
            None
        }
        Verdict::Answer(answer) => Some(Step::Answered(answer)),
        Verdict::NeedsBody { max } => Some(Step::NeedsBody(max)),
        Verdict::Wait(future) => Some(Step::Waits(future)),
    }
}

/// Counts a request that `plugin` would have refused.
pub fn observed(plugin: &'static str) {
    metrics::counter!(OBSERVED, "plugin" => plugin).increment(1);
}

/// Names the metrics of this module.
pub fn describe_metrics() {
    metrics::describe_counter!(
        OBSERVED,
        "Requests that a plugin would have answered itself, and that passed because it only observes."
    );
}

#[cfg(test)]
mod tests;

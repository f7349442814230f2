//! The order of plugins, whose chain runs, and what observing changes.

use std::rc::Rc;

use futures::FutureExt as _;
use http::Method;

use super::*;
use crate::plugins::{
    Body, Identity, Tools,
    testing::{get, request},
};

/// Notes its number in the effects, and says what it was told to.
#[derive(Debug)]
struct Says<const PRIORITY: u32>(Saying);

#[derive(Clone, Debug)]
enum Saying {
    Pass,
    Refuse,
    Identify(u128),
    ReadBody,
    Wait,
}

/// The numbers of the plugins that have run.
#[derive(Default)]
struct Ran(Vec<u32>);

impl<const PRIORITY: u32> Compiled for Says<PRIORITY> {
    type Config = Saying;
    const PRIORITY: u32 = PRIORITY;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Saying, _: &Make<'_>) -> Result<Self, NotExecutable> {
        Ok(Self(config.clone()))
    }
}

impl<const PRIORITY: u32> Plugin for Says<PRIORITY> {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        ran::<PRIORITY>(exchange);
        Ok(match &self.0 {
            Saying::Pass => Verdict::Pass,
            Saying::Refuse => refuse(),
            Saying::Identify(consumer) => {
                exchange.consumer = Some(Rc::new(Identity::of_consumer(Uuid::from_u128(*consumer))));
                Verdict::Pass
            }
            Saying::ReadBody => match &exchange.body {
                Body::Unread { .. } => Verdict::NeedsBody { max: 4 },
                Body::Read(body) if body == "good" => Verdict::Pass,
                Body::Empty | Body::Read(_) | Body::TooLarge { .. } => refuse(),
            },
            Saying::Wait => Verdict::Wait(
                async {
                    let then: Then = Box::new(|exchange| {
                        ran::<0>(exchange);
                        Ok(Verdict::Pass)
                    });
                    then
                }
                .boxed_local(),
            ),
        })
    }
}

fn refuse() -> Verdict {
    Verdict::Answer(Answer::message(http::StatusCode::FORBIDDEN, "no"))
}

fn ran<const PRIORITY: u32>(exchange: &mut Exchange<'_, '_>) {
    match exchange.effects.get_mut::<Ran>() {
        Some(ran) => ran.0.push(PRIORITY),
        None => exchange.effects.put(Ran(vec![PRIORITY])),
    }
}

fn instance<const PRIORITY: u32>(name: &'static str, says: Saying, observe: bool) -> Arc<Instance> {
    let make =
        Make { id: Uuid::nil(), tools: &Tools::default(), authorities: crate::plugins::Authorities::NONE };
    Arc::new(Instance::of::<Says<PRIORITY>>((name, observe), &says, &make).unwrap())
}

fn says<const PRIORITY: u32>(name: &'static str, says: Saying) -> Arc<Instance> {
    instance::<PRIORITY>(name, says, false)
}

/// Runs a whole chain on each request that it is shown.
#[derive(Debug)]
struct Whole<'c>(&'c Chain, Vec<(u128, Chain)>);

impl Whole<'_> {
    fn run(&self, exchange: &mut Exchange<'_, '_>) -> Verdict {
        let own = |id: Uuid| -> Result<Option<Chain>, StoreError> {
            Ok(self.1.iter().find(|(whose, _)| Uuid::from_u128(*whose) == id).map(|(_, chain)| chain.clone()))
        };
        let mut run = Run::new(self.0);
        let mut step = run.step(exchange, &own).unwrap();
        loop {
            step = match step {
                Step::Passed => return Verdict::Pass,
                Step::Answered(answer) => return Verdict::Answer(answer),
                Step::NeedsBody(max) => {
                    exchange.body =
                        if max < 5 { Body::Read("good".into()) } else { Body::TooLarge { length: None } };
                    run.step(exchange, &own).unwrap()
                }
                Step::Waits(future) => {
                    let then = future.now_or_never().expect("it is there");
                    run.resume(then, exchange, &own).unwrap()
                }
            };
        }
    }
}

impl Plugin for Whole<'_> {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        Ok(self.run(exchange))
    }
}

/// Which plugins ran, and whether the request passed.
fn shown(chain: Vec<Arc<Instance>>, own: Vec<(u128, Chain)>) -> (Vec<u32>, bool) {
    let chain = Chain::new(chain);
    let outcome = request(Method::POST, "/").body("body").show(&Whole(&chain, own));
    let ran = outcome.effects.get::<Ran>().map(|ran| ran.0.clone()).unwrap_or_default();
    (ran, outcome.passed())
}

#[test]
fn plugins_run_by_priority_until_one_answers() {
    let chain =
        vec![says::<5>("e", Saying::Pass), says::<9>("a", Saying::Pass), says::<7>("c", Saying::Pass)];
    assert_eq!(shown(chain.clone(), vec![]), (vec![9, 7, 5], true));
    let refused = [chain, vec![says::<6>("d", Saying::Refuse)]].concat();
    assert_eq!(shown(refused, vec![]), (vec![9, 7, 6], false));
    assert_eq!(shown(vec![], vec![]), (vec![], true));
}

#[test]
fn of_one_priority_the_first_by_name_runs_first_and_both_run() {
    let chain = vec![says::<5>("b", Saying::Refuse), says::<5>("a", Saying::Identify(1))];
    let own = Chain::new(vec![says::<5>("a", Saying::Pass), says::<5>("b", Saying::Pass)]);
    assert_eq!(shown(chain, vec![(1, own)]), (vec![5, 5], true));
}

#[test]
fn a_consumers_own_chain_goes_on_after_whoever_found_out() {
    let usual = vec![
        says::<9>("a", Saying::Identify(1)),
        says::<8>("b", Saying::Identify(2)),
        says::<7>("c", Saying::Refuse),
    ];
    let first = Chain::new(vec![
        says::<10>("x", Saying::Refuse),
        says::<8>("b", Saying::Identify(2)),
        says::<6>("d", Saying::Refuse),
    ]);
    let second = Chain::new(vec![says::<9>("a", Saying::Refuse), says::<3>("e", Saying::Pass)]);
    // The first is asked of the first consumer's chain, and the second of the second's.
    assert_eq!(shown(usual.clone(), vec![(1, first), (2, second)]), (vec![9, 8, 3], true));
    // The second has none of its own: what everybody gets.
    let first = Chain::new(vec![says::<8>("b", Saying::Identify(2))]);
    assert_eq!(shown(usual, vec![(1, first)]), (vec![9, 8, 7], false));
}

#[test]
fn a_plugin_that_needs_the_body_is_asked_again_and_one_that_waits_goes_on() {
    let chain =
        vec![says::<9>("a", Saying::ReadBody), says::<8>("b", Saying::Wait), says::<7>("c", Saying::Pass)];
    assert_eq!(shown(chain, vec![]), (vec![9, 9, 8, 0, 7], true));
}

#[test]
fn what_only_observes_counts_and_passes() {
    let chain = Chain::new(vec![
        instance::<9>("a", Saying::Refuse, true),
        instance::<8>("b", Saying::ReadBody, true),
        says::<7>("c", Saying::Pass),
    ]);
    let outcome = get("/").show(&Whole(&chain, vec![]));
    assert!(outcome.passed());
    assert_eq!(outcome.effects.wanted().unwrap().observed, ["a", "b"]);
    assert_eq!(outcome.effects.get::<Ran>().unwrap().0, [9, 8, 7]);
}

#[test]
fn notes_are_kept_by_type() {
    let mut effects = Effects::default();
    assert!(effects.get::<u8>().is_none() && effects.is_empty());
    effects.put(1_u8);
    effects.put(2_u16);
    effects.put(3_u8);
    assert_eq!((effects.get::<u8>(), effects.get::<u16>(), effects.get::<u32>()), (Some(&3), Some(&2), None));
    *effects.get_mut::<u16>().unwrap() = 9;
    assert_eq!(effects.get::<u16>(), Some(&9));
}

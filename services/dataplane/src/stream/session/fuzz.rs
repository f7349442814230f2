//! Messages of a control plane that were changed at random (`libs/fuzzing`), from `tests/corpus/plane-messages`, one at a time and many at
//! once. Each is done, or ends the stream for a reason that has a name. Whatever came, the gateway holds what its digest says, serves what
//! it holds, and lets no more wait than its limits say.

use std::collections::BTreeMap;

use bytes::Bytes;
use fuzzing::Corpus;
use prost::Message as _;
use proto::sync::v1::{Delta, plane_message::Message as Plane};
use rand::Rng as _;
use sync::{Digest, EntityState, decode_batch, encode_batch};
use uuid::Uuid;

use super::*;
use crate::{
    store::{Scan, StoreError},
    stream::{tests::Node, work::QUEUE_MAX},
    test_region::TestRegion,
    view::{Change, View},
};

const MESSAGES: usize = 1_500;
/// Most messages that come without a wait for an answer.
const BURST_MAX: usize = 14;
/// After so many messages it is checked what the gateway holds.
const CHECKED_EVERY: usize = 25;
/// What is put in at random places: tags and lengths of protobuf, kinds, parts of bodies.
const WORDS: [&str; 16] = [
    "\n",
    "\u{12}",
    "\u{1a}",
    "\u{22}",
    "service",
    "route",
    "plugin",
    "key-auth",
    "consumer",
    "{}",
    "[",
    "\"paths\":[\"~/a\"]",
    "null",
    "\u{ff}",
    "~/\\w{1,255}",
    "{\"id\":\"00000000-0000-0000-0000-000000000001\"}",
];

type Held = BTreeMap<(String, Uuid), EntityState>;

fn held(applier: &Applier) -> Result<Held, StoreError> {
    let mut held = Held::new();
    applier.store().scan(Scan::Serving, |entities| {
        held.extend(entities.into_iter().map(|entity| ((entity.kind.clone(), entity.id), entity)));
    })?;
    Ok(held)
}

fn digest(held: &Held) -> Digest {
    held.values().filter_map(EntityState::digest).collect::<Vec<_>>().iter().collect()
}

/// The delta as a control plane would send it that means its entities: the next version, with the right digest.
fn meant(applier: &Applier, delta: Delta) -> Option<Delta> {
    let position = applier.store().position()?;
    let mut entities = decode_batch(delta.entities).ok()?;
    let (base, version) = (position.version, position.version + 1);
    let mut after = held(applier).expect("a store");
    for entity in &mut entities {
        entity.version = version;
        after.insert((entity.kind.clone(), entity.id), entity.clone());
    }
    let digest = Bytes::copy_from_slice(digest(&after).as_bytes());
    let incarnation = position.incarnation.get();
    Some(Delta { incarnation, base, version, digest, entities: encode_batch(entities), ..delta })
}

fn check(applier: &Applier) {
    let Some(position) = applier.store().position() else { return };
    let held = held(applier).expect("a store");
    assert_eq!(digest(&held), position.digest);
    let change = |entity: EntityState| Change {
        kind: entity.kind,
        id: entity.id,
        body: (!entity.deleted).then_some(entity.body),
    };
    let view = View::default().with(&held.into_values().map(change).collect::<Vec<_>>());
    let live = applier.live().load();
    assert_eq!((view.counts(), view.quarantined()), (live.counts(), live.quarantined()));
}

/// Takes messages that come in a row, and then does all that they ask for. `begins` says after each whether work begins before the next.
async fn handle(
    session: &mut Session<'_>,
    messages: Vec<PlaneMessage>,
    mut begins: impl FnMut() -> bool,
) -> Result<(), StreamError> {
    for message in messages {
        if session.receive(Ok(Some(message)))?.is_some() {
            return Err(StreamError::Refused("it ends the stream".to_owned()));
        }
        assert!(session.work.waiting() <= QUEUE_MAX, "{} messages wait", session.work.waiting());
        if begins() {
            session.work.start()?;
        }
    }
    loop {
        session.work.start()?;
        session.start_saving();
        if let Some(saving) = session.saving.take() {
            saving.await.expect("no panic").1?;
        }
        // Nothing runs once every message is done.
        match futures::FutureExt::now_or_never(session.work.ended()) {
            Some(outcome) => session.work.acknowledge(outcome?, &mut session.outbox)?,
            None if session.work.is_idle() => return Ok(()),
            None => tokio::task::yield_now().await,
        }
        while session.outbox.next().is_some() {}
    }
}

/// The stream has ended for this reason. It is the control plane's message, or what came of it.
fn check_named(error: &StreamError) {
    let is_named = matches!(
        error,
        StreamError::Protocol(_)
            | StreamError::Refused(_)
            | StreamError::NoConvergence(_)
            | StreamError::Credentials(_)
            | StreamError::Apply(_)
            | StreamError::Store(_)
    );
    assert!(is_named && error.to_string().len() > 10, "{error:?}");
}

#[tokio::test]
async fn every_order_of_messages_is_done_or_ends_the_stream() {
    let region = TestRegion::new();
    let node = Node::new(&region, &["127.0.0.1:1".to_owned()], time::Duration::ZERO).await;
    let credentials = node.files.credentials().expect("enrolled");
    let options = node.options();
    let new = || Session::new(&node.applier, &options, &credentials, "127.0.0.1:1");
    let mut session = new();
    let folder = [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", "plane-messages"].join("/");
    let cases = Corpus::of_files(folder).with_words(&WORDS).run(MESSAGES);
    let mut messages = cases.filter_map(|case| PlaneMessage::decode(&*case).ok()).peekable();
    let mut random = fuzzing::random();
    let (mut done, mut crowded) = (0, 0);
    while messages.peek().is_some() {
        let most = if random.random() { 2 } else { BURST_MAX };
        let length = random.random_range(1..=most);
        let mut burst: Vec<_> = messages.by_ref().take(length).collect();
        // One that is good is good many times; of many, one is not.
        if random.random() {
            burst = std::iter::repeat_n(burst.swap_remove(0), length).collect();
        }
        match handle(&mut session, burst, || random.random()).await {
            Ok(()) => done += 1,
            Err(error) => {
                crowded += usize::from(error.to_string().contains("without waiting for replies"));
                check_named(&error);
                session.work.finish().await;
                session = new();
            }
        }
        check(&node.applier);
    }
    println!("{done} rows of messages were done, and {crowded} were too long");
    assert!(done > 0 && crowded > 0, "{done} rows of messages were done, and {crowded} were too long");
}

#[tokio::test]
async fn every_message_is_done_or_ends_the_stream() {
    let region = TestRegion::new();
    let node = Node::new(&region, &["127.0.0.1:1".to_owned()], time::Duration::ZERO).await;
    let credentials = node.files.credentials().expect("enrolled");
    let options = node.options();
    let new = || Session::new(&node.applier, &options, &credentials, "127.0.0.1:1");
    let mut session = new();
    let folder = [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", "plane-messages"].join("/");
    let (mut done, mut versions) = (0, 0);
    for (index, case) in Corpus::of_files(folder).with_words(&WORDS).run(MESSAGES).enumerate() {
        let Ok(mut message) = PlaneMessage::decode(&*case) else { continue };
        // Otherwise few deltas would get past the digest.
        if let Some(Plane::Delta(delta)) = &mut message.message
            && index % 3 > 0
            && let Some(meant) = meant(&node.applier, delta.clone())
        {
            *delta = meant;
        }
        let before = node.applier.store().position().map(|position| position.version);
        match handle(&mut session, vec![message], || true).await {
            Ok(()) => done += 1,
            Err(error) => {
                check_named(&error);
                session.work.finish().await;
                session = new();
            }
        }
        if node.applier.store().position().map(|position| position.version) != before {
            versions += 1;
        }
        if index % CHECKED_EVERY == 0 {
            check(&node.applier);
        }
    }
    check(&node.applier);
    println!("{done} messages were done, and {versions} changed something");
    assert!(done > 50 && versions > 10, "only {done} messages were done, and {versions} changed something");
}

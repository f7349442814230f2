//! Messages of a node that were changed at random (`libs/fuzzing`), from `tests/corpus/node-messages`, several in a row and in any order.
//! Each is taken, or ends its own stream with a reason that the node is told; and the next stream is served as if nothing had been.

use fuzzing::Corpus;
use prost::Message as _;
use proto::sync::v1::{Hello, NodeMessage, node_message::Message, plane_message::Message as FromPlane};
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{streams::Served, world::within};

const MESSAGES: usize = 900;
/// Most messages of one stream, behind the first.
const ROW_MAX: usize = 6;
/// What is put in at random places: tags and lengths of protobuf, and texts that something may choke on.
const WORDS: [&str; 12] = [
    "\n",
    "\u{12}",
    "\u{1a}",
    "\u{22}",
    "\u{32}",
    "\0",
    "\u{7f}",
    "\u{202e}",
    "route",
    "'; DROP TABLE",
    "\u{ff}\u{ff}",
    "%00",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_node_is_taken_or_ends_its_stream() {
    let served = Served::new().await;
    let node = served.enrol().await;
    drop(served.settled(&node).await);
    let mut client = served.dial(&node).await;
    let folder = [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", "node-messages"].join("/");
    let cases = Corpus::of_files(folder).with_words(&WORDS).run(MESSAGES);
    let mut cases = cases.filter_map(|case| NodeMessage::decode(&*case).ok()).peekable();
    let mut random = fuzzing::random();
    let (mut sent, mut answered, mut refused) = (0, 0, 0);
    while cases.peek().is_some() {
        let mut messages: Vec<NodeMessage> = cases.by_ref().take(random.random_range(1..=ROW_MAX)).collect();
        let is_hello = matches!(&messages[0].message, Some(Message::Hello(_)));
        // A stream that begins with something else says no more than that.
        let begins = is_hello || random.random_bool(0.9);
        if !is_hello && begins {
            messages.insert(0, NodeMessage { message: Some(Message::Hello(Hello::default())) });
        }
        let shown = format!("{messages:?}");
        let (outbound, queue) = mpsc::channel(messages.len());
        for message in messages {
            outbound.send(message).await.expect("room");
        }
        drop(outbound);
        sent += 1;
        let mut inbound = match within("a stream", client.follow(ReceiverStream::new(queue))).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => panic!("{status} for {shown}"),
        };
        let mut reason = None;
        while let Ok(Some(message)) = within("the end of a stream", inbound.message()).await {
            answered += 1;
            assert_eq!(reason, None, "nothing comes behind a refusal: {shown}");
            if let Some(FromPlane::Refused(refusal)) = message.message {
                reason = Some(refusal.reason);
            }
        }
        refused += usize::from(reason.is_some());
        assert!(reason.as_ref().is_none_or(|reason| reason.len() > 10), "{reason:?} for {shown}");
        assert!(begins || reason.as_deref() == Some("a stream begins with Hello"), "{reason:?} for {shown}");
    }
    println!("{sent} streams, {answered} messages in answer, {refused} streams refused");
    assert!(sent > 20 && answered > sent / 2 && refused > 5, "{sent} {answered} {refused}");
    let again = served.enrol().await;
    let mut stream = within("a stream", served.open(&again, Hello::default())).await;
    assert!(matches!(stream.next().await, proto::sync::v1::plane_message::Message::Welcome(_)));
}

//! Messages of a node that were changed at random (`libs/fuzzing`), from `tests/corpus/node-messages`. Each is taken or ends its own
//! stream, and the next stream is served as if nothing had been.

use fuzzing::Corpus;
use prost::Message as _;
use proto::sync::v1::{Hello, NodeMessage, node_message::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{streams::Served, world::within};

const STREAMS: usize = 300;
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
    let (mut sent, mut answered) = (0, 0);
    for case in Corpus::of_files(folder).with_words(&WORDS).run(STREAMS) {
        let Ok(message) = NodeMessage::decode(&*case) else { continue };
        let hello = NodeMessage { message: Some(Message::Hello(Hello::default())) };
        // What is no Hello comes behind one, and once more as the answer to whatever the control plane sends.
        let messages = match &message.message {
            Some(Message::Hello(_)) => vec![message],
            _ => vec![hello, message.clone(), message],
        };
        let (outbound, queue) = mpsc::channel(messages.len());
        for message in messages {
            outbound.send(message).await.expect("room");
        }
        drop(outbound);
        sent += 1;
        let mut inbound = match within("a stream", client.follow(ReceiverStream::new(queue))).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => panic!("{status} for {}", case.escape_ascii()),
        };
        while let Ok(Some(_)) = within("the end of a stream", inbound.message()).await {
            answered += 1;
        }
    }
    println!("{sent} streams, {answered} messages in answer");
    assert!(sent > 20 && answered > sent / 2, "{sent} streams, {answered} messages in answer");
    let again = served.enrol().await;
    let mut stream = within("a stream", served.open(&again, Hello::default())).await;
    assert!(matches!(stream.next().await, proto::sync::v1::plane_message::Message::Welcome(_)));
}

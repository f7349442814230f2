//! How much arrives on streams, counted in two ways: the bytes of the connection, and those of the messages once they are unpacked.

use hyper_util::rt::TokioIo;
use metrics::{counter, describe_counter};
use prost::Message as _;
use proto::sync::v1::PlaneMessage;
use tokio::net::TcpStream;
use tokio_util::io::InspectReader;

const RECEIVED: &str = "landbridge_sync_received_bytes_total";
const UNPACKED: &str = "landbridge_sync_unpacked_bytes_total";

/// A connection that counts what is read from it.
pub(super) type Counted = TokioIo<InspectReader<TcpStream, fn(&[u8])>>;

/// Describes the metrics.
pub(super) fn describe() {
    describe_counter!(RECEIVED, "Bytes received on connections to the control plane, TLS included.");
    describe_counter!(UNPACKED, "Bytes of the messages received from the control plane, unpacked.");
}

/// Counts what is read from `connection` from now on.
pub(super) fn counted(connection: TokioIo<TcpStream>) -> Counted {
    let count = |read: &[u8]| counter!(RECEIVED).increment(read.len() as u64);
    TokioIo::new(InspectReader::new(connection.into_inner(), count))
}

/// Notes a message as it came.
pub(super) fn note(message: &PlaneMessage) {
    counter!(UNPACKED).increment(message.encoded_len() as u64);
}

/// Notes that a batch of a message, which was noted as it came, has become larger.
pub(super) fn note_unpacked(from: usize, to: usize) {
    if from > 0 {
        counter!(UNPACKED).increment(to.saturating_sub(from) as u64);
    }
}

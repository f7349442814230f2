//! Bytes of one connection in one direction: read, kept for as long as they are under way, written in order.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{Semaphore, mpsc},
    time::Instant,
};

use super::direction::{Direction, HeldGuard};

/// Bytes of one connection that are under way at most; beyond it, the sender is not read from. At 40 ms one way this
/// carries 25 MB a second.
pub(super) const WINDOW_BYTES: usize = 1024 * 1024;
/// Largest number of bytes that travel as one.
const CHUNK_BYTES_MAX: usize = 16 * 1024;
/// What a chunk takes of the window beside its bytes, so that many small ones are bounded too.
const CHUNK_OVERHEAD_BYTES: usize = 128;

/// Bytes on their way; none are the end of the stream, which travels like everything else.
struct Chunk<'a> {
    bytes: Box<[u8]>,
    arrival: Instant,
    _held: HeldGuard<'a>,
}

/// Carries what `reader` gives to `writer` until it ends, then ends `writer`. An error of reading is an end too: the other
/// side learns of a lost peer no sooner and no otherwise. An error of writing ends the reading.
pub(super) async fn pump(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    over: &Direction,
) -> io::Result<()> {
    let (queue, arrivals) = mpsc::unbounded_channel();
    let window = Semaphore::new(WINDOW_BYTES);
    tokio::try_join!(send(reader, queue, &window, over), deliver(arrivals, writer, &window, over)).map(drop)
}

async fn send<'a>(
    mut reader: impl AsyncRead + Unpin,
    queue: mpsc::UnboundedSender<Chunk<'a>>,
    window: &Semaphore,
    over: &'a Direction,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    loop {
        // Room for the largest chunk first: what is read is kept.
        window.acquire_many(cost(CHUNK_BYTES_MAX)).await.map_err(io::Error::other)?.forget();
        let length = reader.read(&mut buffer).await.unwrap_or(0);
        window.add_permits(CHUNK_BYTES_MAX.saturating_sub(length));
        let chunk = Chunk {
            bytes: buffer.get(..length).unwrap_or_default().into(),
            arrival: over.arrival(length),
            _held: over.hold(length),
        };
        if queue.send(chunk).is_err() || length == 0 {
            return Ok(());
        }
    }
}

async fn deliver(
    mut arrivals: mpsc::UnboundedReceiver<Chunk<'_>>,
    mut writer: impl AsyncWrite + Unpin,
    window: &Semaphore,
    over: &Direction,
) -> io::Result<()> {
    while let Some(chunk) = arrivals.recv().await {
        over.until(chunk.arrival).await;
        writer.write_all(&chunk.bytes).await?;
        writer.flush().await?;
        window.add_permits(CHUNK_OVERHEAD_BYTES + chunk.bytes.len());
        over.delivered(chunk.bytes.len());
    }
    writer.shutdown().await
}

/// What a chunk takes of the window; the largest one fits into 32 bits.
fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes + CHUNK_OVERHEAD_BYTES).unwrap_or(u32::MAX)
}

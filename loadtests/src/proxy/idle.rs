//! What an idle connection costs: memory of a proxy before and after many clients have sent one request each and stay.
//!
//! Each proxy is started for this alone: one that has served before has memory to use again.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::ensure;
use tokio::task::spawn_blocking;

use super::{
    generator::Answer,
    measure::{Clients, Way},
    requests::Requests,
    target::Target,
};
use crate::{
    report::{BYTES, Report},
    wire::READ_BYTES,
};

/// Connections that stay. Each is an open file at both ends.
const CONNECTIONS: usize = 10_000;
/// The proxy has what it needs for any number of connections after this time of load.
const WARM_UP: Duration = Duration::from_secs(1);
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Records the bytes of one connection as `<name>.idle_connection`.
pub async fn record(
    target: &Target,
    clients: &Clients<'_>,
    requests: Requests,
    report: &mut Report,
) -> anyhow::Result<()> {
    clients.saturate(target, Way::Closed, WARM_UP).await?;
    let (before, address) = (target.memory()?, target.plain);
    let connections = spawn_blocking(move || {
        let mut buffer = vec![0; READ_BYTES];
        (0..CONNECTIONS)
            .map(|number| open(address, &requests, number, &mut buffer))
            .collect::<Result<Vec<_>, _>>()
    });
    let connections = connections.await??;
    let bytes = target.memory()?.saturating_sub(before) as f64 / connections.len() as f64;
    report.record(format!("{}.idle_connection", target.name), BYTES, bytes);
    Ok(())
}

fn open(
    address: SocketAddr,
    requests: &Requests,
    number: usize,
    buffer: &mut [u8],
) -> anyhow::Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(READ_TIMEOUT))?;
    let ((head, _), mut answer) = (requests.get(number), Answer::default());
    connection.write_all(head)?;
    loop {
        let count = connection.read(buffer)?;
        ensure!(count > 0, "connection {number} was closed");
        if answer.take(buffer.get(..count).unwrap_or_default(), requests.expected())? {
            return Ok(connection);
        }
    }
}

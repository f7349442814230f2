//! Holds one connection to a server, and opens it again when it breaks.

use std::{io, sync::Weak, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use random::Random;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};

use super::{Outside, Remote, Server, State};

/// Pause before the first attempt after a connection, and the longest one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Until nobody needs the server any more.
pub(super) async fn hold(remote: Weak<Remote>, random: Random) {
    let mut attempt = 0;
    loop {
        let Some(held) = remote.upgrade() else { return };
        let (server, outside) = (held.server.clone(), held.outside.clone());
        drop(held);
        let opened = timeout(server.timeout, open(&server, &outside)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        match opened {
            Ok((connection, driver)) => {
                attempt = 0;
                let Some(held) = remote.upgrade() else { return };
                held.state.send_replace(State::There(connection));
                tracing::info!(?server, "connected to the server of shared counts");
                let is_silent = held.is_silent.clone();
                drop(held);
                // The driver ends when the connection is broken, or when nobody has it any more.
                tokio::select! {
                    () = driver => {}
                    () = is_silent.notified() => {}
                }
                let Some(held) = remote.upgrade() else { return };
                held.state.send_replace(State::Broken);
                tracing::warn!(?server, "the connection to the server of shared counts is broken");
            }
            Err(error) => {
                let Some(held) = remote.upgrade() else { return };
                held.state.send_replace(State::Broken);
                tracing::warn!(?server, %error, "the server of shared counts cannot be reached");
            }
        }
        sleep(pace::full_jitter(attempt, PAUSE_MIN, PAUSE_MAX, random.number())).await;
        attempt = attempt.saturating_add(1);
    }
}

/// Opens a connection. It lives while the future that comes with it is driven.
async fn open(
    server: &Server,
    outside: &Outside,
) -> io::Result<(MultiplexedConnection, BoxFuture<'static, ()>)> {
    let calls = &outside.calls;
    let tcp = calls.connect(&server.host, server.port).await.map_err(io::Error::other)?;
    let stream: Box<dyn Stream> = match &server.tls {
        None => Box::new(tcp),
        Some(with) => Box::new(calls.secure(tcp, with).await.map_err(io::Error::other)?),
    };
    let mut info = RedisConnectionInfo::default().set_db(server.database.into()).set_skip_set_lib_name();
    if let Some(username) = &server.username {
        info = info.set_username(username);
    }
    if let Some(password) = &server.password {
        info = info.set_password(password);
    }
    // Whoever asks waits as long as he likes.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
    opened.map(|(connection, driver)| (connection, driver.boxed())).map_err(io::Error::other)
}

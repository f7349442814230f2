//! Tells systemd, or another service manager that listens at `NOTIFY_SOCKET`, how far this process has come (`sd_notify(3)`). Without one,
//! nothing happens.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// This process serves, and is the one that the manager watches from now on. (`NotifyAccess=all` in the unit lets a process say so that the
/// manager has not started.)
pub fn ready() {
    notify(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// This process ends, and with it the service.
pub fn stopping() {
    notify("STOPPING=1\n");
}

fn notify(state: &str) {
    if let Err(error) = send(state) {
        tracing::warn!(%error, "the service manager cannot be told how far this process has come");
    }
}

fn send(state: &str) -> io::Result<()> {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

//! A connection from its seat to its first request: the PROXY protocol, TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rustls_pki_types::CertificateDer;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use crate::{
    Stream,
    options::{Balancers, Options},
    proxy_protocol,
    seats::Seat,
};

/// A connection that has a seat, and of which nothing was read.
pub struct Arrived {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) seat: Seat,
    pub(crate) options: Arc<Options>,
}

/// A connection on which requests can be read.
pub struct Opened {
    /// Its bytes.
    pub stream: Stream,
    /// Its seat; it lasts for as long as this is held.
    pub seat: Seat,
    /// Where it comes from; of a connection that a load balancer passes on by the PROXY protocol, what that one says.
    pub peer: SocketAddr,
    /// The port that the client connected to; `None` if the kernel does not say.
    pub local_port: Option<u16>,
    /// The certificate that the client showed, verified by the TLS configuration.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Arrived {
    /// Where it comes from, as TCP says.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Learns whose connection it is, and opens TLS if the port speaks it. An error if that fails, takes too long, or the seat is
    /// needed for another connection meanwhile.
    pub async fn open(self) -> io::Result<Opened> {
        let Self { tcp, peer, seat, options } = self;
        tcp.set_nodelay(true)?;
        let limit = options.limits.handshake_timeout;
        let Balancers { addresses, proxy_protocol } = &options.balancers;
        let (tcp, seat, peer, local_port) = match *proxy_protocol && addresses.contain(peer.ip()) {
            true => timeout(limit, passed_on(tcp, seat, peer)).await??,
            false => {
                let local_port = tcp.local_addr().ok().map(|address| address.port());
                (tcp, seat, peer, local_port)
            }
        };
        let Some(tls) = &options.tls else {
            let stream = Stream::Plain(tcp);
            return Ok(Opened { stream, seat, peer, local_port, certificate: None });
        };
        let handshake = timeout(limit, TlsAcceptor::from(tls.clone()).accept(tcp));
        let stream = tokio::select! {
            stream = handshake => stream??,
            () = seat.lost() => return Err(displaced()),
        };
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
        let seat = match &certificate {
            Some(certificate) => seat.with_certificate(certificate).ok_or_else(displaced)?,
            None => seat,
        };
        Ok(Opened { stream: Stream::Tls(Box::new(stream)), seat, peer, local_port, certificate })
    }
}

/// Reads whose connection a load balancer passes on. The connection is then counted against that one's address.
async fn passed_on(
    mut tcp: TcpStream,
    seat: Seat,
    balancer: SocketAddr,
) -> io::Result<(TcpStream, Seat, SocketAddr, Option<u16>)> {
    let Some(passed) = proxy_protocol::read(&mut tcp).await? else {
        let local_port = tcp.local_addr().ok().map(|address| address.port());
        return Ok((tcp, seat, balancer, local_port));
    };
    let seat = seat.at_address(passed.source.ip()).ok_or_else(displaced)?;
    Ok((tcp, seat, passed.source, Some(passed.destination.port())))
}

fn displaced() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the limit of connections is reached")
}

impl Opened {
    /// The server name that the client asked for in TLS.
    pub fn server_name(&self) -> Option<&str> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.server_name(),
        }
    }

    /// The protocol that the TLS handshake agreed on, as in `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

//! A connection from its seat to its first request: the PROXY protocol, TLS.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::server::Acceptor;
use rustls_pki_types::CertificateDer;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};

use crate::{
    Stream,
    options::{Balancers, Choice, Options, Tls},
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
    /// The certificate that the client showed, verified by the TLS configuration; `None` also where that is chosen for each client.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether the client was asked for a certificate by a TLS configuration that was chosen for it.
    pub was_asked: bool,
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
            return Ok(Opened { stream, seat, peer, local_port, certificate: None, was_asked: false });
        };
        let (stream, was_asked) = tokio::select! {
            opened = timeout(limit, handshake(tls, tcp)) => opened??,
            () = seat.lost() => return Err(displaced()),
        };
        let (certificate, seat) = match tls {
            Tls::Alike(_) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
                let seat = match &certificate {
                    Some(certificate) => seat.with_certificate(certificate).ok_or_else(displaced)?,
                    None => seat,
                };
                (certificate, seat)
            }
            // It proves nothing yet: whoever makes new ones must not have more seats.
            Tls::Chosen(_) => (None, seat),
        };
        Ok(Opened { stream: Stream::Tls(Box::new(stream)), seat, peer, local_port, certificate, was_asked })
    }
}

/// Opens TLS. Returns also whether the client was asked for a certificate by what was chosen for it.
async fn handshake(tls: &Tls, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, bool)> {
    match tls {
        Tls::Alike(config) => Ok((TlsAcceptor::from(config.clone()).accept(tcp).await?, false)),
        Tls::Chosen(choose) => {
            let begun = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
            let Choice { config, asks } = choose(&begun.client_hello());
            Ok((begun.into_stream(config).await?, asks))
        }
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

    /// The certificates that the client showed in TLS, its own first; none if it showed none.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        match &self.stream {
            Stream::Plain(_) => &[],
            Stream::Tls(tls) => tls.get_ref().1.peer_certificates().unwrap_or_default(),
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

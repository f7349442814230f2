//! A name server for tests, over UDP: it answers what it is told to, or nothing.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use hickory_resolver::proto::{
    op::{Message, MessageType},
    rr::{Name, RData, Record, RecordType, rdata::SRV},
};
use tokio::{net::UdpSocket, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{client::DEADLINE, gateway::any_port};

/// Seconds for which its answers count.
const TTL: u32 = 1;

pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<State>,
    _running: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    records: Mutex<HashMap<(String, RecordType), Vec<RData>>>,
    is_silent: AtomicBool,
    /// What the names begin with that it says nothing of.
    silent_for: Mutex<Option<&'static str>>,
    queries: AtomicUsize,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind(any_port()).await.unwrap();
        let (address, state) = (socket.local_addr().unwrap(), Arc::new(State::default()));
        let running = tokio::spawn(serve(socket, state.clone()));
        Self { address, state, _running: AbortOnDropHandle::new(running) }
    }

    /// `name` has these addresses from now on.
    pub fn addresses(&self, name: &str, addresses: &[IpAddr]) {
        let data = addresses.iter().map(|address| match address {
            IpAddr::V4(address) => RData::A((*address).into()),
            IpAddr::V6(address) => RData::AAAA((*address).into()),
        });
        let (v4, v6) = data.partition(|data| matches!(data, RData::A(_)));
        self.set(name, RecordType::A, v4);
        self.set(name, RecordType::AAAA, v6);
    }

    /// `name` has these services from now on: priority, weight, port and host.
    pub fn services(&self, name: &str, services: &[(u16, u16, u16, &str)]) {
        let record = |(priority, weight, port, host): &(u16, u16, u16, &str)| {
            RData::SRV(SRV::new(*priority, *weight, *port, fqdn(host)))
        };
        self.set(name, RecordType::SRV, services.iter().map(record).collect());
    }

    /// Whether it answers nothing from now on.
    pub fn is_silent(&self, is_silent: bool) {
        self.state.is_silent.store(is_silent, SeqCst);
    }

    /// Says nothing of names that begin with `prefix`.
    pub fn is_silent_for(&self, prefix: &'static str) {
        *self.state.silent_for.lock().unwrap() = Some(prefix);
    }

    /// Waits until so many further queries have come.
    pub async fn asked(&self, further: usize) {
        let before = self.state.queries.load(SeqCst);
        let come = async {
            while self.state.queries.load(SeqCst) < before + further {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, come).await.expect("it is asked");
    }

    fn set(&self, name: &str, kind: RecordType, records: Vec<RData>) {
        self.state.records.lock().unwrap().insert((fqdn(name).to_string(), kind), records);
    }
}

/// An address on loopback that differs from others by its last byte.
pub fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 7, last).into()
}

fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

async fn serve(socket: UdpSocket, state: Arc<State>) {
    let mut bytes = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
        if let Some(answer) = state.answer(&bytes[..length]) {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

impl State {
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(query).ok()?;
        self.queries.fetch_add(1, SeqCst);
        if self.is_silent.load(SeqCst) {
            return None;
        }
        message.metadata.message_type = MessageType::Response;
        message.metadata.recursion_available = true;
        let asked = message.queries[0].clone();
        let is_silent = |prefix| asked.name().to_string().starts_with(prefix);
        if self.silent_for.lock().unwrap().is_some_and(is_silent) {
            return None;
        }
        let key = (asked.name().to_lowercase().to_string(), asked.query_type());
        for data in self.records.lock().unwrap().get(&key).into_iter().flatten() {
            message.add_answer(Record::from_rdata(asked.name().clone(), TTL, data.clone()));
        }
        message.to_vec().ok()
    }
}

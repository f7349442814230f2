//! What other regions ask of this one: what it holds, and entries out of its log.

use std::sync::Arc;

use proto::replication::v1::{
    ExchangeRequest, ExchangeResponse, FetchRequest, FetchResponse, replication_server,
};
use replication::{Entry, Origin};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    known::Told,
    shared::{GENERATION, Shared},
};

/// Most entries of one page.
pub const PAGE_OPERATIONS_MAX: u32 = 512;
/// A page ends with the entry that reaches this size.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Digests that a region may send at once.
const DIGESTS_MAX: usize = 64;

/// The server's side. Behind a listener that lets in the same service of other regions only.
pub struct Server(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl replication_server::Replication for Server {
    async fn exchange(
        &self,
        request: Request<ExchangeRequest>,
    ) -> Result<Response<ExchangeResponse>, Status> {
        let shared = &self.0;
        let peer = request.extensions().get::<service::Peer>().cloned();
        let ExchangeRequest { state, fresh } = request.into_inner();
        let state = state.ok_or_else(|| Status::invalid_argument("state is missing"))?;
        let Some(peer) = peer.filter(|peer| peer.region.as_str() == state.region) else {
            return Err(Status::permission_denied("a region speaks for itself alone"));
        };
        if state.digests.len() > DIGESTS_MAX {
            return Err(Status::invalid_argument("too many digests"));
        }
        let told = Told::from_wire(&state, shared.own.service())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let told = shared.believe(&peer.region, told).await.map_err(unavailable)?;
        let (fenced, is_comparable) = (told.fenced, told.generation == GENERATION);
        shared.known.heard(&peer.region, told, Instant::now());
        if is_comparable && !state.digests.is_empty() {
            let _ = shared.to_compare.try_send(state.digests);
        }
        if fenced {
            // From here on nothing of that region's log is applied: the answer stays true until it is open again.
            drop(shared.hold_applying().await);
        }
        let told = if fresh || fenced { shared.tell().await } else { shared.told_lately().await };
        let told = told.map_err(unavailable)?;
        Ok(Response::new(ExchangeResponse { state: Some(told.to_wire(shared.region(), Vec::new())) }))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<FetchResponse>, Status> {
        let FetchRequest { origin, after_seq, limit } = request.into_inner();
        let origin: Origin =
            origin.parse().map_err(|_| Status::invalid_argument("origin: not `<service>.<region>`"))?;
        if origin.service() != self.0.own.service() {
            return Err(Status::invalid_argument("origin: a log of another service"));
        }
        if after_seq > i64::MAX.cast_unsigned() {
            return Ok(Response::new(FetchResponse { operations: Vec::new() }));
        }
        let limit = limit.clamp(1, PAGE_OPERATIONS_MAX);
        let entries = self.0.log.entries(&origin, after_seq, limit).await.map_err(unavailable)?;
        let entries = first_bytes(entries).iter().map(Entry::to_wire).collect();
        Ok(Response::new(FetchResponse { operations: entries }))
    }
}

fn unavailable(error: postgres::Error) -> Status {
    tracing::debug!(%error, "another region could not be answered");
    Status::unavailable("the database cannot be asked now")
}

/// The first entries up to [`PAGE_BYTES_MAX`]; never none of some.
fn first_bytes(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let over = entries.iter().position(|entry| {
        bytes += entry.body.len();
        bytes >= PAGE_BYTES_MAX
    });
    if let Some(last) = over {
        entries.truncate(last + 1);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{chain, origin};

    #[test]
    fn pages_end_by_size_and_are_never_empty() {
        let mut log = chain(&origin("authz.us"), 1, 4);
        assert_eq!(first_bytes(log.clone()).len(), 4);
        assert_eq!(first_bytes(Vec::new()), []);
        log[0].body = "x".repeat(2 * PAGE_BYTES_MAX);
        assert_eq!(first_bytes(log.clone()).len(), 1);
        log[0].body = "x".repeat(PAGE_BYTES_MAX - 4);
        assert_eq!(first_bytes(log).len(), 3, "{{}} each reaches the limit with the third");
    }
}

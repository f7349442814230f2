//! A receiver of traces over OTLP (gRPC), and what tests ask of the spans that came in.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span as Received,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A span that came in. Ids are in hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// As in `us`.
    pub region: String,
    /// Which part of the region made it, as in `edge`.
    pub part: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for a root.
    pub parent: String,
    /// The spans that it is linked to.
    pub links: Vec<String>,
}

/// Takes spans in until the test's runtime ends.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Receiver {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self { address: listener.local_addr()?, spans: Arc::default() };
        let server = Server::builder().add_service(TraceServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(receiver)
    }

    /// As in `http://127.0.0.1:4317`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that has come in so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for resource_spans in request.into_inner().resource_spans {
            let resource = resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default();
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(read(&resource, &span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(resource: &[KeyValue], span: &Received) -> Span {
    Span {
        region: text(resource, "service.namespace"),
        part: text(resource, "service.instance.id"),
        name: span.name.clone(),
        trace: hex::encode(&span.trace_id),
        id: hex::encode(&span.span_id),
        parent: hex::encode(&span.parent_span_id),
        links: span.links.iter().map(|link| hex::encode(&link.span_id)).collect(),
    }
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The first of `spans` that is as `wanted` says and comes of the span `cause`: by parents, and by links, which stand where
/// the work of several traces was done at once.
pub fn effect<'a>(spans: &'a [Span], cause: &str, wanted: impl Fn(&Span) -> bool) -> Option<&'a Span> {
    let (mut seen, mut causes) = (HashSet::from([cause]), VecDeque::from([cause]));
    while let Some(cause) = causes.pop_front() {
        for span in spans {
            let follows = span.parent == cause || span.links.iter().any(|link| link == cause);
            if follows && seen.insert(&span.id) {
                if wanted(span) {
                    return Some(span);
                }
                causes.push_back(&span.id);
            }
        }
    }
    None
}

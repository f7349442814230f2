//! What telemetry costs a gateway: one that tells everything beside one that tells nothing, and beside one as it is without settings.
//!
//! Everything: a line in the access log for each request, metrics of each route and each consumer, and a span for a hundredth of the requests,
//! exported to a collector that takes them all. The lines go to a file on disk, whose writer has the gateway's core too.

use std::{net::SocketAddr, num::NonZeroUsize};

use hyper::{
    Response,
    body::{Body, Bytes, Incoming},
    header::HeaderValue,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::{
    SIZE, in_turn,
    measure::{Clients, Way},
    site::{Site, Start},
    target::Target,
    warm_up,
};
use crate::{Pace, report::Report, stage::say};

/// The share of the requests that get a span.
const SAMPLE: &str = "0.01";

/// Runs the scenario and adds its figures to the report.
pub async fn run(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    say(&format!("{} routes, {} keys", SIZE.routes, SIZE.consumers));
    let mut site = Site::start(SIZE).await?;
    let collector = format!("http://{}", collect().await?);
    let log = site.folder.make("log")?.join("access.log").display().to_string();
    let silent = [("LANDBRIDGE_METRICS__ROUTES", "false")];
    let everything = [
        ("LANDBRIDGE_ACCESS_LOG__FILE", log.as_str()),
        ("LANDBRIDGE_METRICS__CONSUMERS", "true"),
        ("LANDBRIDGE_METRICS__SERIES_MAX", "20000"),
        ("LANDBRIDGE_TELEMETRY__OTLP", &collector),
        ("LANDBRIDGE_TRACE_SAMPLE", SAMPLE),
    ];
    let mut gateways = Vec::new();
    for (name, environment) in [("silent", &silent[..]), ("usual", &[]), ("telling", &everything)] {
        let (cores, threads) = (site.cores.proxy, NonZeroUsize::MIN);
        let start = Start { name, label: name, key_auth: true, cores, threads, environment };
        gateways.push(site.gateway(start).await?);
    }
    {
        let clients = Clients::new(SIZE, &site.certificate)?;
        let all: Vec<&Target> = gateways.iter().collect();
        warm_up(&all, &clients, report).await?;
        for round in 1..=pace.rounds {
            say(&format!("Round {round} of {}", pace.rounds));
            for target in in_turn(&all, round) {
                clients.record(target, Way::Closed, pace.round, report).await?;
            }
        }
    }
    let cpu = |name: &str| format!("{name}.closed.cpu_per_request");
    for (key, name) in [("usual_telemetry_cost_pct", "usual"), ("telemetry_cost_pct", "telling")] {
        report.record_excess(key, &cpu(name), &cpu("silent"));
    }
    for gateway in &gateways {
        gateway.process.stop().await?;
    }
    site.close().await
}

/// Takes whatever spans come, and answers that they were taken.
async fn collect() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let service = service_fn(|request| async { taken(request).await });
            let served =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service);
            tokio::spawn(served);
        }
    });
    Ok(address)
}

async fn taken(request: hyper::Request<Incoming>) -> hyper::Result<Response<String>> {
    let mut body = request.into_body();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        let _: Option<Bytes> = frame?.into_data().ok();
    }
    // A message without a field, behind its five bytes of length.
    let mut answer = Response::new("\0\0\0\0\0".to_owned());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
    Ok(answer)
}

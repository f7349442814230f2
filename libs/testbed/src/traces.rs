//! Where the processes of a region send their traces.

use ids::Region;

use crate::process::Program;

/// How long a process keeps finished spans before it sends them, in milliseconds: tests wait for them.
const EXPORT_DELAY_MS: &str = "100";

/// Where one region's processes send their traces, if anywhere.
#[derive(Clone, Debug)]
pub struct Traces {
    region: Region,
    /// An OTLP receiver (gRPC), as in `http://127.0.0.1:4317`.
    endpoint: Option<String>,
}

impl Traces {
    pub(crate) fn new(region: Region, endpoint: Option<String>) -> Self {
        Self { region, endpoint }
    }

    /// `program` with traces as set. Its spans say which `part` of which region made them: `service.instance.id` is the part,
    /// as in `edge`, and `service.namespace` the region.
    pub(crate) fn of(&self, part: &str, program: Program) -> Program {
        let Some(endpoint) = &self.endpoint else { return program };
        let attributes = format!("service.namespace={},service.instance.id={part}", self.region);
        program
            .env("LANDBRIDGE_TELEMETRY__OTLP", endpoint)
            .env("OTEL_BSP_SCHEDULE_DELAY", EXPORT_DELAY_MS)
            .env("OTEL_RESOURCE_ATTRIBUTES", attributes)
    }
}

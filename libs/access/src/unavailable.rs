//! Why there is no answer now: the one error of everything that is asked on the way to a decision.

use std::{fmt, sync::Arc};

use ids::ServiceName;
use replication::{Origin, Vector};
use tonic::{Code, Status};
use web::Problem;

/// There is no answer now, and nobody is to blame: 503, over HTTP and gRPC alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// A service of this region could not be asked.
    NotAsked {
        /// Which one.
        service: ServiceName,
        /// Why. It goes to the log where the answer is given, and not to the client.
        cause: Arc<str>,
    },
    /// This region has not applied yet what the answer depends on.
    NotYet {
        /// What is missing, as far as is known.
        missing: Vector,
    },
    /// This region's database was started anew and may be a copy from the past, so that a denial could be wrong.
    Unconfirmed,
}

impl Unavailable {
    /// `service` could not be asked, because of `cause`.
    pub fn new(service: ServiceName, cause: &dyn fmt::Display) -> Self {
        Self::NotAsked { service, cause: cause.to_string().into() }
    }

    /// This region has not applied `missing` yet.
    pub fn not_yet(missing: Vector) -> Self {
        Self::NotYet { missing }
    }

    /// What the refusal of a call to `service` means, when the call waited for `wanted`.
    pub(crate) fn of_status(service: ServiceName, status: &Status, wanted: &Vector) -> Self {
        match status.code() {
            Code::OutOfRange => Self::not_yet(wanted.clone()),
            _ => Self::new(service, status),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked { service, .. } => write!(f, "{service} cannot be asked now"),
            Self::Unconfirmed => {
                f.write_str("no other region has confirmed yet that this region's database is whole")
            }
            Self::NotYet { missing } => {
                f.write_str("this region has not applied yet what the answer depends on")?;
                let logs: Vec<String> =
                    missing.iter().map(|(origin, _): (&Origin, _)| origin.to_string()).collect();
                if logs.is_empty() { Ok(()) } else { write!(f, " (logs: {})", logs.join(", ")) }
            }
        }
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        let detail = format!("{unavailable}; try again");
        match unavailable {
            Unavailable::NotAsked { cause, .. } => Self::unavailable(detail).because(cause),
            Unavailable::Unconfirmed => Self::unavailable(detail),
            Unavailable::NotYet { .. } => Self::not_yet_replicated(detail),
        }
    }
}

/// The cause of a refused call: [`telemetry::grpc_trace_layer`] logs it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(Arc<str>);

/// For gRPC servers; [`RemoteSessions`](crate::RemoteSessions) and [`RemoteDecisions`](crate::RemoteDecisions) read it back.
impl From<Unavailable> for Status {
    fn from(unavailable: Unavailable) -> Self {
        let message = unavailable.to_string();
        match unavailable {
            Unavailable::NotAsked { cause, .. } => {
                let mut status = Self::unavailable(message);
                status.set_source(Arc::new(Cause(cause)));
                status
            }
            Unavailable::Unconfirmed => Self::unavailable(message),
            Unavailable::NotYet { .. } => Self::out_of_range(message),
        }
    }
}

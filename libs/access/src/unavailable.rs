//! Why there is no answer now: the one error of everything that is asked on the way to a decision.
//!
//! What cannot be known now is 503. Where the answer would only come too late, there is more to do than can be done: 429, which clients such as
//! decK take as a sign to slow down. Neither is ever a refusal.

use std::{fmt, sync::Arc, time::Duration};

use ids::ServiceName;
use replication::{Origin, Vector};
use tonic::{Code, Status};
use web::Problem;

use crate::TooMany;

/// When a client that is told to slow down should try again.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// There is no answer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// A service of this region could not be asked.
    NotAsked {
        /// Which one.
        service: ServiceName,
        /// Why. It goes to the log where the answer is given, and not to the client.
        cause: Arc<str>,
    },
    /// A service of this region is there, and has more to do than it can answer in time.
    Busy {
        /// Which one.
        service: ServiceName,
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
            Code::DeadlineExceeded | Code::ResourceExhausted => Self::Busy { service },
            _ => Self::new(service, status),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked { service, .. } => write!(f, "{service} cannot be asked now"),
            Self::Busy { service } => {
                write!(f, "{service} has too much to do to answer in time; send fewer requests at a time")
            }
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
            Unavailable::Busy { .. } => Self::too_many_requests(detail, SLOW_DOWN),
            Unavailable::Unconfirmed => Self::unavailable(detail),
            Unavailable::NotYet { .. } => Self::not_yet_replicated(detail),
        }
    }
}

impl From<TooMany> for Problem {
    fn from(too_many: TooMany) -> Self {
        Self::too_many_requests(too_many.to_string(), SLOW_DOWN)
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
            Unavailable::Busy { .. } => Self::resource_exhausted(message),
            Unavailable::Unconfirmed => Self::unavailable(message),
            Unavailable::NotYet { .. } => Self::out_of_range(message),
        }
    }
}

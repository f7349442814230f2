//! Asks DNS for the texts of a name.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};

use super::Error;

/// How long a name server may take for one query, and how often it is asked.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
const QUERY_ATTEMPTS: usize = 2;
/// Most texts of one name that are looked at.
const TEXTS_MAX: usize = 64;

/// Asks name servers. Cheap to clone.
#[derive(Clone)]
pub struct Dns(Result<TokioResolver, Arc<str>>);

impl Dns {
    /// Asks `servers`, or those of the system if there are none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let resolver = Self::resolver(servers);
        if let Err(error) = &resolver {
            tracing::warn!(%error, "domains cannot be verified: set single_sign_on.name_servers");
        }
        Self(resolver.map_err(|error| error.to_string().into()))
    }

    fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
        let mut builder = if servers.is_empty() {
            Resolver::builder_tokio()?
        } else {
            let server = |server: &SocketAddr| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            };
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (QUERY_TIMEOUT, QUERY_ATTEMPTS);
        options.use_hosts_file = ResolveHosts::Never;
        // Whoever has just made a record is not told for a while that there is none.
        options.cache_size = 0;
        builder.build()
    }

    /// Whether one of the TXT records of `name` says `text`. [`Error::NoAnswer`] if nobody can tell.
    pub(super) async fn says(&self, name: &str, text: &str) -> Result<bool, Error> {
        let resolver = self.0.as_ref().map_err(|_| Error::NoAnswer)?;
        let found = match resolver.txt_lookup(format!("{name}.")).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(false),
            Err(error) => {
                tracing::warn!(name, %error, "DNS does not answer");
                return Err(Error::NoAnswer);
            }
        };
        // A long text comes in several strings.
        let texts = found.answers().iter().take(TEXTS_MAX).filter_map(|record| match &record.data {
            RData::TXT(record) => Some(record.txt_data.concat()),
            _ => None,
        });
        Ok(texts.into_iter().any(|found| found == text.as_bytes()))
    }
}

//! How much anybody may ask: addresses that show tokens which open nothing, callers, and organizations.
//!
//! A request is charged before anything is done for it. What is beyond a limit is answered 429 with the time after which it would be
//! let through. Each process counts for itself, in tables of bounded size; the algorithm is GCRA (`governor`).

mod limit;

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody as _};
use futures::StreamExt as _;
use ids::{OrganizationId, PrincipalId};
use moka::sync::Cache;
use settings::sections::Rates as Settings;
use web::{Answer, ClientAddress, Problem};

use self::limit::{Limit, Seconds};
use crate::Session;

/// Bytes in the unit that bodies are counted in. Each body, and each part of one whose length is not known before, counts as at least
/// one.
const UNIT: u64 = 1024;
/// Different limits of organizations' own that are counted at once. Whichever was not used for longest begins anew.
const OWN_LIMITS_MAX: u64 = 256;

/// The limits of one process.
pub(crate) struct Rates {
    unknown_tokens: Limit<Network>,
    caller_requests: Limit<PrincipalId>,
    caller_bodies: Limit<PrincipalId>,
    organization_requests: Limit<OrganizationId>,
    /// Of organizations that have a limit of their own, by that limit.
    own_requests: Cache<NonZeroU32, Arc<Limit<OrganizationId>>>,
    organization_bodies: Limit<OrganizationId>,
}

/// What is counted as one address: of IPv6 a /64, which one customer of a network has whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub fn of(ClientAddress(address): ClientAddress) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address => address,
        })
    }
}

impl Rates {
    pub fn new(settings: &Settings) -> Self {
        let [caller_requests, organization_requests] =
            [settings.caller_requests, settings.organization_requests].map(Seconds::two);
        let [caller_bodies, organization_bodies] =
            [settings.caller_kib, settings.organization_kib].map(Seconds::two);
        let unknown_tokens =
            Seconds { per_second: settings.unknown_tokens, burst: settings.unknown_tokens_burst };
        Self {
            unknown_tokens: Limit::new("unknown-tokens", unknown_tokens),
            caller_requests: Limit::new("caller-requests", caller_requests),
            caller_bodies: Limit::new("caller-bodies", caller_bodies),
            organization_requests: Limit::new("organization-requests", organization_requests),
            own_requests: Cache::builder().max_capacity(OWN_LIMITS_MAX).build(),
            organization_bodies: Limit::new("organization-bodies", organization_bodies),
        }
    }

    /// Goes on unless `address` has shown too many tokens that open nothing.
    pub fn hears(&self, address: Option<Network>) -> Answer<()> {
        let Some(address) = address else { return Ok(()) };
        self.unknown_tokens.look(&address).map_err(|wait| {
            let text = "too many tokens from this address open nothing; tokens that are known here still do";
            Problem::too_many_requests(text, wait)
        })
    }

    /// `address` has shown a token that opens nothing.
    pub fn was_refused(&self, address: Option<Network>) {
        if let Some(address) = address {
            // That nothing is left is found out when the next one comes.
            let _ = self.unknown_tokens.spend(&address, 1);
        }
    }

    /// Charges a request of `session`, and answers its body, which is charged as well: before it is read if its length is known, and
    /// part by part if not.
    pub fn charge(self: &Arc<Self>, session: &Session, body: Body) -> Answer<Body> {
        let beyond = |who: &str| format!("too many requests of {who}; try again");
        self.caller_requests
            .spend(&session.principal, 1)
            .map_err(|wait| Problem::too_many_requests(beyond("this caller"), wait))?;
        self.spend_of_organization(session)
            .map_err(|wait| Problem::too_many_requests(beyond("this organization"), wait))?;
        match body.size_hint().exact() {
            Some(0) => Ok(body),
            Some(bytes) => self.charge_bytes(session, bytes).map(|()| body),
            None => {
                let (rates, session) = (self.clone(), session.clone());
                let charged = move |part: Bytes| {
                    let charged = rates.charge_bytes(&session, part.len() as u64);
                    charged.map(|()| part).map_err(axum::Error::new)
                };
                Ok(Body::from_stream(body.into_data_stream().map(move |part| charged(part?))))
            }
        }
    }

    /// One request, by the organization's own limit if it has one.
    fn spend_of_organization(&self, session: &Session) -> Result<(), Duration> {
        let Some(per_second) = session.limits.requests_per_second else {
            return self.organization_requests.spend(&session.organization, 1);
        };
        let make = || Arc::new(Limit::new("organization-requests", Seconds::two(per_second)));
        self.own_requests.get_with(per_second, make).spend(&session.organization, 1)
    }

    fn charge_bytes(&self, session: &Session, bytes: u64) -> Answer<()> {
        let beyond = |who: &str| format!("too many bytes in bodies of {who}; try again");
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.caller_bodies
            .spend(&session.principal, units)
            .map_err(|wait| Problem::too_many_requests(beyond("this caller"), wait))?;
        self.organization_bodies
            .spend(&session.organization, units)
            .map_err(|wait| Problem::too_many_requests(beyond("this organization"), wait))
    }
}

#[cfg(test)]
mod tests {
    use web::ClientAddress;

    use super::Network;

    fn network(address: &str) -> Network {
        Network::of(ClientAddress(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_is_what_one_customer_has() {
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::9"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }
}

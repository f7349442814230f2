//! A consumer who was identified, and what upstreams are told of it.

use std::cell::OnceCell;

use bytes::Bytes;
use gateway_model::Entity;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::{
    super::{ANONYMOUS_CONSUMER, CONSUMER_CUSTOM_ID, CONSUMER_ID, CONSUMER_USERNAME, CREDENTIAL_IDENTIFIER},
    Secret,
};
use crate::store::{Groups, Identified};

/// Everything that upstreams may be told of who sends a request.
const TOLD: [HeaderName; 5] =
    [CONSUMER_ID, CREDENTIAL_IDENTIFIER, CONSUMER_USERNAME, CONSUMER_CUSTOM_ID, ANONYMOUS_CONSUMER];

/// A consumer who was identified.
#[derive(Debug)]
pub struct Identity {
    /// Id of the consumer.
    pub consumer: Uuid,
    /// Id of the credential of the gateway that the request shows; `None` if something else identifies the consumer.
    pub credential: Option<Uuid>,
    /// What requests are checked against.
    pub secret: Secret,
    /// It is nobody in particular: no credential was shown.
    pub is_anonymous: bool,
    pub(super) groups: OnceCell<MemberOf>,
    /// Unix seconds from which the credential counts no more.
    expires_at: Option<u64>,
    /// What upstreams are told: values for [`TOLD`].
    told: [Option<HeaderValue>; 5],
}

/// The groups of a consumer.
#[derive(Debug)]
pub struct MemberOf {
    /// What the store says.
    pub groups: Groups,
    /// Those of access lists, as upstreams are told.
    pub acl_told: Option<HeaderValue>,
    /// All of them.
    pub all_told: Option<HeaderValue>,
}

impl MemberOf {
    pub(super) fn new(mut groups: Groups) -> Self {
        groups.acl.sort_unstable();
        groups.consumer_groups.sort_unstable();
        let told = |groups: &[String]| HeaderValue::from_maybe_shared(Bytes::from(groups.join(", "))).ok();
        let all = [&groups.acl[..], &groups.consumer_groups].concat();
        Self { acl_told: told(&groups.acl), all_told: told(&all), groups }
    }
}

impl Identity {
    /// Whom a credential, or a name that somebody vouches for, leads to.
    pub fn new(identified: &Identified, secret: Secret) -> Self {
        // As in Kong, upstreams know a credential by what its owner does. An API key and a token are told by their ids, being secret themselves.
        let credential = identified.credential.as_ref().map(|(id, entity)| match entity {
            Entity::BasicAuth(held) => held.username.clone(),
            Entity::HmacAuth(held) => held.username.clone(),
            Entity::Jwt(held) => held.key.plain().map_or_else(|| id.to_string(), str::to_owned),
            _ => id.to_string(),
        });
        Self { secret, ..Self::told(identified, credential.as_deref(), false) }
    }

    /// The consumer that requests without a credential count as.
    pub fn anonymous(identified: &Identified) -> Self {
        Self::told(identified, None, true)
    }

    /// UTF-8 is told as it is. A value that no header can hold is left out: the consumer's id, which always fits, still tells who it is.
    fn told(identified: &Identified, credential: Option<&str>, is_anonymous: bool) -> Self {
        let Identified { consumer_id, consumer, expires_at, .. } = identified;
        let id = consumer_id.to_string();
        let texts = [
            Some(id.as_str()),
            credential,
            consumer.username.as_deref(),
            consumer.custom_id.as_deref(),
            is_anonymous.then_some("true"),
        ];
        // All in one piece of memory, which a request then touches once.
        let all = Bytes::from(texts.iter().flatten().copied().collect::<String>());
        let mut start = 0;
        let told = texts.map(|text| {
            let end = start + text?.len();
            let value = HeaderValue::from_maybe_shared(all.slice(start..end));
            start = end;
            value.ok()
        });
        Self {
            consumer: *consumer_id,
            credential: identified.credential.as_ref().map(|(id, _)| *id),
            secret: Secret::None,
            is_anonymous,
            groups: OnceCell::new(),
            expires_at: *expires_at,
            told,
        }
    }

    /// A consumer of whom nothing but its id is known.
    #[cfg(test)]
    pub fn of_consumer(consumer: Uuid) -> Self {
        Self {
            consumer,
            credential: None,
            secret: Secret::None,
            is_anonymous: false,
            groups: OnceCell::new(),
            expires_at: None,
            told: [const { None }; 5],
        }
    }

    /// Whether the credential counts no more at `now`, in Unix seconds.
    pub fn has_ended(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether a credential was found whose secret is not to be had.
    pub fn lacks_secret(&self) -> bool {
        self.credential.is_some() && matches!(self.secret, Secret::None)
    }

    /// What the upstream is told by the header `name`.
    pub fn says(&self, name: &HeaderName) -> Option<&HeaderValue> {
        TOLD.iter().zip(&self.told).find(|(held, _)| *held == name).and_then(|(_, value)| value.as_ref())
    }

    /// Tells the upstream nothing any more.
    pub fn untell(headers: &mut HeaderMap) {
        TOLD.iter().for_each(|name| drop(headers.remove(name)));
    }

    /// Tells the upstream who sends the request. `before`: somebody was told already, by another plugin; what clients say of themselves was
    /// removed before any plugin ran.
    pub fn tell(&self, headers: &mut HeaderMap, before: bool) {
        if before {
            Self::untell(headers);
        }
        for (name, value) in TOLD.iter().zip(&self.told) {
            if let Some(value) = value {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}

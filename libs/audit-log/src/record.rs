//! An entry as a link of its chain: what readers get, and what is hashed.

use ids::{PrincipalId, TokenId, kinds};
use postgres::{Error, SqlId};
use replication::{Hash, Signature};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    Chain, Place,
    clients::{self, SALT_BYTES},
};

/// An entry of the audit log, in the one form in which it is listed, exported, delivered and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLogEntry)]
pub struct Record {
    /// The chain that the entry is part of: `service`, `region` and `organization_id`.
    #[serde(flatten)]
    #[schema(value_type = ChainSchema)]
    pub chain: Chain,
    /// Its place in the chain, from 1, without gaps.
    pub seq: u64,
    /// When it happened; the first of several.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// `change`: something was written. `authorization`: a request was refused. `authentication`: somebody signed on or out or got a new
    /// password, or tried to. `notice`: the log says something of itself.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it, or tried to; absent for the operator and for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<PrincipalId>,
    /// `user`, `system_account` or `operator`; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_type: Option<String>,
    /// The access token of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<TokenId>,
    /// As in `team.create`; of a refused request the action that was asked for, as in `route:Write`.
    pub action: String,
    /// What it was about: an id, or a path of ids; of a refused request its path.
    pub target: String,
    /// `allowed`, `denied`, or `failed`: a token had ended, or a password was wrong.
    pub outcome: String,
    /// The name of the problem that was answered, as in `forbidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The id by which the services' logs know the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The id of its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The endpoint, as in `/v3/teams/{team_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How many equal requests the entry stands for.
    pub count: u64,
    /// When the last of them was.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub last_time: Option<OffsetDateTime>,
    /// A salted hash of where the request came from, in the entries of identity in the organization's home region: the chain covers it.
    #[serde(default, with = "hexed::optional", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_hash: Option<Hash>,
    /// The address that the request came from. Shown in the organization's home region only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// What sent the request, as that says itself. Shown in the organization's home region only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The salt of `client_hash`, in hexadecimal: with it, anybody who has the entry can verify the address.
    #[serde(default, with = "hexed::optional", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_salt: Option<[u8; SALT_BYTES]>,
    /// Hash of the entry before it in the chain, 64 hexadecimal digits; zeros for the first one.
    #[serde(with = "hexed")]
    #[schema(value_type = String)]
    pub prev_hash: Hash,
    /// Hash of this entry and, through `prev_hash`, of all before it.
    #[serde(with = "hexed")]
    #[schema(value_type = String)]
    pub hash: Hash,
    /// The service's signature of it, in hexadecimal. Not every entry has one: each covers all before it.
    #[serde(default, with = "hexed::signature", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub signature: Option<Signature>,
}

/// How OpenAPI shows a [`Chain`].
#[derive(ToSchema)]
#[schema(as = AuditLogChain)]
#[expect(dead_code, reason = "only its schema is used")]
struct ChainSchema {
    /// The service that keeps the entry: `identity`, `authz` or `config`.
    service: String,
    /// The region that it is in.
    region: String,
    /// The organization.
    organization_id: String,
}

impl Record {
    /// What its hash has to be: BLAKE3 over every field, each with its length before it, but for the hash itself, the signature, and what
    /// `client_hash` is of.
    pub fn computed_hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("landbridge audit entry v1");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(self.chain.to_string().as_bytes());
        field(&self.seq.to_le_bytes());
        field(&self.prev_hash);
        field(&clock::microseconds(self.time).to_le_bytes());
        field(self.kind.as_bytes());
        field(self.action.as_bytes());
        field(self.target.as_bytes());
        field(self.outcome.as_bytes());
        field(&self.count.to_le_bytes());
        let actor = self.actor_id.map(|id| id.to_string());
        let session = self.session_id.map(|id| id.to_string());
        let last = self.last_time.map(|at| clock::microseconds(at).to_string());
        for optional in [
            &actor,
            &self.actor_type,
            &session,
            &self.problem,
            &self.request_id,
            &self.trace_id,
            &self.method,
            &self.route,
            &last,
        ] {
            // What is absent differs from what is empty.
            field(&[u8::from(optional.is_some())]);
            field(optional.as_deref().unwrap_or_default().as_bytes());
        }
        // Nothing where there is none, as in entries of earlier releases.
        if let Some(client) = &self.client_hash {
            field(client);
        }
        hasher.finalize().into()
    }

    /// Whether the client is the one that `client_hash` is of, or is not there. It may have been deleted, or be kept elsewhere.
    pub fn has_its_client(&self) -> bool {
        let (address, user_agent) = (self.client_ip.as_deref(), self.user_agent.as_deref());
        match (&self.client_hash, &self.client_salt) {
            (_, None) => address.is_none() && user_agent.is_none(),
            (None, Some(_)) => false,
            (Some(hash), Some(salt)) => {
                *hash == clients::hash(salt, address.unwrap_or_default(), user_agent.unwrap_or_default())
            }
        }
    }
}

/// A row of `audit`.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub id: i64,
    pub organization_id: SqlId<kinds::Organization>,
    at: OffsetDateTime,
    actor_id: Option<SqlId<kinds::Principal>>,
    session_id: Option<SqlId<kinds::Token>>,
    action: String,
    target: String,
    actor_kind: Option<String>,
    r#type: String,
    outcome: String,
    problem: Option<String>,
    count: i64,
    last_at: Option<OffsetDateTime>,
    request_id: Option<String>,
    trace_id: Option<String>,
    method: Option<String>,
    route: Option<String>,
    seq: Option<i64>,
    prev_hash: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
    client_hash: Option<Vec<u8>>,
    /// From `resident.audit_client`, where that is read.
    #[sqlx(default)]
    address: Option<String>,
    #[sqlx(default)]
    user_agent: Option<String>,
    #[sqlx(default)]
    salt: Option<Vec<u8>>,
}

/// The columns of a [`Row`].
pub(crate) const COLUMNS: &str =
    "id, organization_id, at, actor_id, session_id, action, target, actor_kind, type, outcome, problem,
    count, last_at, request_id, trace_id, method, route, seq, prev_hash, hash, signature, client_hash";

impl Row {
    /// The row as the entry of a chain in `place` with this sequence number, after an entry with the hash `prev_hash`.
    pub fn link(self, place: &Place, seq: u64, prev_hash: Hash) -> Record {
        let stated = |bytes: Vec<u8>| bytes.try_into().unwrap_or([0xff; 32]);
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut record = Record {
            chain: Chain { place: place.clone(), organization_id: self.organization_id.into() },
            seq,
            time: self.at,
            kind: self.r#type,
            actor_id: self.actor_id.map(Into::into),
            actor_type: self.actor_kind,
            session_id: self.session_id.map(Into::into),
            action: self.action,
            target: self.target,
            outcome: self.outcome,
            problem: self.problem,
            request_id: self.request_id,
            trace_id: self.trace_id,
            method: self.method,
            route: self.route,
            count: self.count.cast_unsigned(),
            last_time: self.last_at,
            client_hash: self.client_hash.map(stated),
            client_ip: text(self.address),
            user_agent: text(self.user_agent),
            client_salt: self.salt.map(stated),
            prev_hash,
            hash: prev_hash,
            signature: None,
        };
        record.hash = record.computed_hash();
        record
    }

    /// The linked row as it stands. An error for one that is not linked.
    pub fn record(mut self, place: &Place) -> Result<Record, Error> {
        let absent = |what: &str| Error::undecodable(format!("audit: a linked row has no {what}"));
        let hash = |bytes: Option<Vec<u8>>| {
            let bytes = bytes.ok_or_else(|| absent("hash"))?;
            // One of another length is the hash of nothing.
            Ok::<Hash, Error>(bytes.try_into().unwrap_or([0xff; 32]))
        };
        let seq = self.seq.ok_or_else(|| absent("seq"))?.cast_unsigned();
        let (stated, signature) = (hash(self.hash.take())?, self.signature.take());
        let prev_hash = hash(self.prev_hash.take())?;
        let record = self.link(place, seq, prev_hash);
        let signature = signature.and_then(|bytes| Signature::from_bytes(&bytes));
        Ok(Record { hash: stated, signature, ..record })
    }
}

/// Hashes and signatures as hexadecimal text.
pub(crate) mod hexed {
    use replication::Hash;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash)
            .map_err(|_| D::Error::custom("a hash is 64 hexadecimal digits"))?;
        Ok(hash)
    }

    /// The same, where there may be none.
    pub mod optional {
        use serde::{Deserializer, Serializer};

        pub fn serialize<S: Serializer>(hash: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
            match hash {
                Some(hash) => super::serialize(hash, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }

    /// Signatures, where there may be none.
    pub mod signature {
        use replication::Signature;
        use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

        pub fn serialize<S: Serializer>(
            signature: &Option<Signature>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match signature {
                Some(signature) => serializer.serialize_some(&hex::encode(signature.as_bytes())),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Signature>, D::Error> {
            let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
            let bytes = hex::decode(&text).ok().and_then(|bytes| Signature::from_bytes(&bytes));
            let refusal = || D::Error::custom("a signature is 144 hexadecimal digits");
            bytes.map(Some).ok_or_else(refusal)
        }
    }
}

//! Declarative mode: a gateway without a control plane. Its configuration comes from a file, and, where that is asked for, from
//! `POST /config` on the admin port ([`http`]). The file is followed: what is written into it is applied too ([`follow`]).
//!
//! A document is the whole configuration. It is compared with what the store holds. Only the differences are applied, by the
//! same [`Applier`] as the changes of a control plane: all of them or none, without stopping a request. A document that is
//! not valid changes nothing, and the error says where it is wrong.
//!
//! Called by the gateway and by `dataplane check-config`.

mod body;
mod follow;
pub mod http;
pub mod report;
mod secrets;

use std::{collections::HashMap, path::Path, sync::Arc};

use bytes::Bytes;
use gateway_model::{
    Entity, FieldError, Invalid, Kind,
    declarative::{Document, Unchecked, write},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sync::{Digest, EntityState, limits::ENTITY_BYTES_MAX};
use tokio::sync::Mutex;
use uuid::{Uuid, uuid};

pub use self::{follow::Followed, secrets::Secrets};
use crate::{
    applier::{Applier, ApplyError},
    store::{Owner, Position, Scan, Store, StoreError},
};

/// An entity without an id gets one that is derived from its name, in this namespace. So the same document applied twice
/// changes nothing.
const NAMESPACE: Uuid = uuid!("6f0c4d0e-8a43-4c0b-9a3a-5f8f3b0f6f5d");

/// Why a document was not applied. Then the configuration stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum DeclarativeError {
    /// The document is not valid.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The document is valid and could not be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<StoreError> for DeclarativeError {
    fn from(error: StoreError) -> Self {
        DeclarativeError::Apply(error.into())
    }
}

/// What a document changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The configuration's version after the document.
    pub version: u64,
    /// Digest of all its entities: the same for as long as nothing changes.
    #[serde(serialize_with = "as_text")]
    pub hash: Digest,
    /// Entities that are new.
    pub created: usize,
    /// Entities that changed.
    pub updated: usize,
    /// Entities that are gone.
    pub deleted: usize,
}

fn as_text<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

/// Why a document has no ACME certificates.
const NOBODY_ORDERS: &str = "is ordered by a control plane, and this gateway has none: give the certificate itself under `certificates`";

/// Says in a document what it is without.
const WITHOUT_SECRETS: &str = "Secrets are left out: the gateway holds hashes of API keys and passwords, and other secrets sealed. Add what is missing before applying it.";

/// Applies documents, one at a time.
pub struct Declarative {
    applier: Applier,
    secrets: Secrets,
    /// Held while a document is applied.
    exclusive: Mutex<()>,
}

impl Declarative {
    /// Prepares the store. A configuration that a control plane sent is dropped: this gateway no longer follows it.
    pub async fn start(applier: Applier, secrets: Secrets) -> Result<Arc<Declarative>, DeclarativeError> {
        applier.bind(Owner::Declarative, Some(secrets.key().clone())).await?;
        Ok(Arc::new(Declarative { applier, secrets, exclusive: Mutex::new(()) }))
    }

    /// Makes the document in the file `path` the configuration.
    pub async fn apply_file(&self, path: &Path) -> Result<Changed, DeclarativeError> {
        self.apply(tokio::fs::read_to_string(path).await?).await
    }

    /// Makes `document` the configuration.
    pub async fn apply(&self, document: String) -> Result<Changed, DeclarativeError> {
        let _exclusive = self.exclusive.lock().await;
        let (store, secrets) = (self.applier.store().clone(), self.secrets.clone());
        let plan = tokio::task::spawn_blocking(move || plan(&store, &secrets, &document));
        let (entities, changed) = plan.await.map_err(|_| ApplyError::Derive)??;
        let applied = self.applier.local(entities).await?;
        let Position { version, digest, .. } = applied.position;
        Ok(Changed { version, hash: digest, ..changed })
    }

    /// The configuration as a document, and its hash. What is secret is left out, but for the hashes of passwords.
    pub async fn document(&self) -> Result<(Map<String, Value>, Digest), DeclarativeError> {
        let _exclusive = self.exclusive.lock().await;
        let store = self.applier.store().clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut entities = Vec::new();
            store.scan(Scan::Serving, |held| {
                entities.extend(held.into_iter().filter_map(|state| {
                    // Every one was written by this release, or the store was emptied when this release began.
                    let entity = Entity::from_wire(Kind::from_name(&state.kind)?, &state.body).ok()?;
                    Some((state.id, entity))
                }))
            })?;
            let digest = store.position().map(|position| position.digest).unwrap_or_default();
            Ok((write::document(&entities, WITHOUT_SECRETS, &[]), digest))
        });
        read.await.map_err(|_| ApplyError::Derive)?
    }
}

/// A document that a gateway without a control plane can serve. Plugins that it does not execute stay: what they are for is answered 503.
fn read(document: &str) -> Result<Document, Invalid> {
    let document = Unchecked::read(document)?.keeping_foreign_plugins().check(&|| ())?;
    document.without(Kind::AcmeCertificate, NOBODY_ORDERS)
}

/// The plugins of a document that this gateway does not execute.
fn unsupported(document: &Document) -> Vec<FieldError> {
    document.foreign_plugins().fields
}

/// The number of entities in `document`, or what is wrong with it.
pub fn check(document: &str) -> Result<usize, Invalid> {
    let secrets = Secrets::for_checks();
    let entities = read(document)?.entities(NAMESPACE, &|_, _| None)?;
    let count = entities.len();
    entities.into_iter().try_for_each(|(id, entity)| at_rest(&secrets, id, entity, None).map(drop))?;
    Ok(count)
}

/// The entities that make the store's content what `document` says.
fn plan(
    store: &Store,
    secrets: &Secrets,
    document: &str,
) -> Result<(Vec<EntityState>, Changed), DeclarativeError> {
    let wanted = read(document)?.entities(NAMESPACE, &|_, _| None)?;
    let mut held = HashMap::<EntityKey, Bytes>::new();
    store.scan(Scan::Serving, |entities| {
        held.extend(entities.into_iter().map(|entity| ((entity.kind, entity.id), entity.body)))
    })?;
    let version = store.position().map_or(0, |position| position.version).saturating_add(1);
    let mut changed = Changed::default();
    let mut entities = Vec::new();
    for (id, entity) in wanted {
        let kind = entity.kind().name().to_owned();
        let key = (kind, id);
        let before = held.remove(&key);
        let (kind, id) = key;
        let body = at_rest(secrets, id, entity, before.as_deref())?;
        match before {
            Some(before) if before == body => continue,
            Some(_) => changed.updated += 1,
            None => changed.created += 1,
        }
        entities.push(EntityState { kind, id, version, body, deleted: false });
    }
    changed.deleted = held.len();
    let gone = held.into_keys().map(|(kind, id)| EntityState {
        kind,
        id,
        version,
        body: Bytes::new(),
        deleted: true,
    });
    entities.extend(gone);
    Ok((entities, changed))
}

/// Kind, by its wire name, and id of an entity.
type EntityKey = (String, Uuid);

/// The form in which an entity is stored, where `before` is.
fn at_rest(secrets: &Secrets, id: Uuid, entity: Entity, before: Option<&[u8]>) -> Result<Bytes, Invalid> {
    let kind = entity.kind().name();
    let body = secrets.at_rest(id, entity, before)?;
    if body.len() > ENTITY_BYTES_MAX {
        return Err(Invalid::one(format!("{kind} {id}"), format!("is larger than {ENTITY_BYTES_MAX} bytes")));
    }
    Ok(Bytes::from(body))
}

#[cfg(test)]
mod tests;

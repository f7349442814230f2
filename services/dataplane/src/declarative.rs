//! Declarative mode: a gateway without a control plane. Its configuration comes from a file, and, where that is asked for, from
//! `POST /config` on the admin port ([`http`]).
//!
//! A document is the whole configuration. It is compared with what the store holds. Only the differences are applied, by the
//! same [`Applier`] as the changes of a control plane: all of them or none, without stopping a request. A document that is
//! not valid changes nothing, and the error says where it is wrong.
//!
//! Called by the gateway and by `dataplane check-config`.

mod body;
pub mod http;

use std::{collections::HashMap, path::Path, sync::Arc};

use bytes::Bytes;
use gateway_model::{Invalid, declarative::parse};
use serde::Serialize;
use sync::{EntityState, limits::ENTITY_BYTES_MAX};
use tokio::sync::Mutex;
use uuid::{Uuid, uuid};

use crate::{
    applier::{Applier, ApplyError},
    store::{Owner, Scan, Store, StoreError},
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
    /// Entities that are new.
    pub created: usize,
    /// Entities that changed.
    pub updated: usize,
    /// Entities that are gone.
    pub deleted: usize,
}

/// Applies documents, one at a time.
pub struct Declarative {
    applier: Applier,
    /// Held while a document is applied.
    exclusive: Mutex<()>,
}

impl Declarative {
    /// Prepares the store. A configuration that a control plane sent is dropped: this gateway no longer follows it.
    pub async fn start(applier: Applier) -> Result<Arc<Declarative>, DeclarativeError> {
        applier.bind(Owner::Declarative).await?;
        Ok(Arc::new(Declarative { applier, exclusive: Mutex::new(()) }))
    }

    /// Makes the document in the file `path` the configuration.
    pub async fn apply_file(&self, path: &Path) -> Result<Changed, DeclarativeError> {
        self.apply(tokio::fs::read_to_string(path).await?).await
    }

    /// Makes `document` the configuration.
    pub async fn apply(&self, document: String) -> Result<Changed, DeclarativeError> {
        let _exclusive = self.exclusive.lock().await;
        let store = self.applier.store().clone();
        let plan = tokio::task::spawn_blocking(move || plan(&store, &document));
        let (entities, changed) = plan.await.map_err(|_| ApplyError::Derive)??;
        let applied = self.applier.local(entities).await?;
        Ok(Changed { version: applied.position.version, ..changed })
    }
}

/// The number of entities in `document`, or what is wrong with it.
pub fn check(document: &str) -> Result<usize, Invalid> {
    Ok(entities(document)?.len())
}

/// The entities that make the store's content what `document` says.
fn plan(store: &Store, document: &str) -> Result<(Vec<EntityState>, Changed), DeclarativeError> {
    let wanted = entities(document)?;
    let mut held = HashMap::<EntityKey, Bytes>::new();
    store.scan(Scan::Serving, |entities| {
        held.extend(entities.into_iter().map(|entity| ((entity.kind, entity.id), entity.body)))
    })?;
    let version = store.position().map_or(0, |position| position.version).saturating_add(1);
    let mut changed = Changed::default();
    let mut entities = Vec::new();
    for (key, body) in wanted {
        match held.remove(&key) {
            Some(before) if before == body => continue,
            Some(_) => changed.updated += 1,
            None => changed.created += 1,
        }
        let (kind, id) = key;
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

/// Each entity in `document`, with its body in wire form.
fn entities(document: &str) -> Result<Vec<(EntityKey, Bytes)>, Invalid> {
    let entities = parse(document)?.entities(NAMESPACE, &|_, _| None)?;
    let wire = |(id, entity): (Uuid, gateway_model::Entity)| {
        let kind = entity.kind().name();
        let body =
            entity.to_wire().map_err(|error| Invalid::one(format!("{kind} {id}"), error.to_string()))?;
        if body.len() > ENTITY_BYTES_MAX {
            let message = format!("is larger than {ENTITY_BYTES_MAX} bytes");
            return Err(Invalid::one(format!("{kind} {id}"), message));
        }
        Ok(((kind.to_owned(), id), Bytes::from(body)))
    };
    entities.into_iter().map(wire).collect()
}

#[cfg(test)]
mod tests;

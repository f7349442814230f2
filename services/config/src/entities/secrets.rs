//! Secrets of entities at rest: drawn, sealed and opened. Which fields are secret, and what is kept of each, the gateway model says
//! (`gateway_model::Treatment`); the form that nodes get is made by `entity_secrets`.
//!
//! Two keys seal, both made of the region's: one for what the API alone may see again, such as an API key of which nodes have the
//! hash; and one for each control plane, for what its nodes need as it is, such as the private key of a certificate. The second one
//! never leaves the region but to the nodes of that control plane.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
pub use entity_secrets::has_password;
use entity_secrets::{NodeKey, OpenError, PasswordError, purpose};
use gateway_model::{Entity, Kind, NotReady, Secret, SecretMut, Treatment};
use ids::ControlPlaneId;
use seal::SealKey;
use uuid::Uuid;

use super::known::EntityId;

/// Bytes of randomness in a secret that the API draws.
const DRAWN_BYTES: usize = 24;

/// Why the secrets of an entity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    Sealed(#[from] seal::Unsealable),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a secret is no text")]
    NoText,
    #[error(transparent)]
    Invalid(#[from] gateway_model::Invalid),
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

/// What is stored of an entity.
pub struct AtRest {
    /// The wire form, which nodes get too.
    pub wire: Vec<u8>,
    /// The sealed secret of which the wire form has the hash.
    pub secret: Option<Vec<u8>>,
}

/// The keys that seal the secrets of one control plane's entities. Cheap to clone.
#[derive(Clone)]
pub struct Sealing {
    /// Seals what nodes never see.
    ours: SealKey,
    /// Seals what nodes open.
    nodes: NodeKey,
}

impl Sealing {
    /// The keys of `control_plane` in the region whose key is `region`.
    pub fn of(region: &SealKey, control_plane: ControlPlaneId) -> Self {
        Self { ours: region.clone(), nodes: NodeKey::new(&key_of_nodes(region, control_plane)) }
    }

    /// The form in which the entity is stored.
    pub fn seal(&self, id: EntityId, entity: &Entity) -> Result<AtRest, SecretError> {
        let mut entity = entity.clone();
        let mut hashed = None;
        for SecretMut { field, treatment, secret } in entity.secrets_mut() {
            match (treatment, &*secret) {
                (Treatment::Hash, Secret::Plain(text)) => {
                    hashed = Some(self.ours.seal(id.id.as_bytes(), text.as_bytes()));
                }
                (Treatment::Withhold, Secret::Plain(text)) => {
                    let sealed = self.ours.seal(&purpose(id.kind, id.id, field), text.as_bytes());
                    *secret = Secret::AtRest(BASE64_STANDARD.encode(sealed));
                }
                _ => {}
            }
        }
        self.nodes.seal(id.id, &mut entity, None);
        Ok(AtRest { wire: entity.to_wire()?, secret: hashed })
    }

    /// The entity of a stored form, secrets in clear.
    pub fn open(
        &self,
        kind: Kind,
        id: Uuid,
        wire: &[u8],
        hashed: Option<&[u8]>,
    ) -> Result<Entity, SecretError> {
        let mut entity = Entity::from_wire(kind, wire)?;
        if let Some(sealed) = hashed {
            let text = String::from_utf8(self.ours.open(id.as_bytes(), sealed)?);
            entity.join_hashed(&text.map_err(|_| SecretError::NoText)?)?;
        }
        for SecretMut { field, treatment, secret } in entity.secrets_mut() {
            if let (Treatment::Withhold, Secret::AtRest(sealed)) = (treatment, &*secret) {
                let sealed = BASE64_STANDARD.decode(sealed).map_err(|_| SecretError::NoText)?;
                let text = String::from_utf8(self.ours.open(&purpose(kind, id, field), &sealed)?);
                *secret = Secret::Plain(text.map_err(|_| SecretError::NoText)?);
            }
        }
        self.nodes.open(id, &mut entity)?;
        Ok(entity)
    }
}

/// The key that nodes of `control_plane` open secrets with, in the region whose key is `region`. It opens nothing of another control plane.
pub fn key_of_nodes(region: &SealKey, control_plane: ControlPlaneId) -> [u8; 32] {
    region.derived(control_plane.uuid().as_bytes())
}

/// Draws the secrets that the entity's body left to the API. `seed` is random, and of this write alone.
pub fn draw(id: EntityId, entity: &mut Entity, seed: &[u8; 32]) {
    for SecretMut { field, secret, .. } in entity.secrets_mut() {
        if *secret == Secret::Missing {
            let drawn = blake3::keyed_hash(seed, &purpose(id.kind, id.id, field));
            let drawn = drawn.as_bytes().get(..DRAWN_BYTES).unwrap_or_default();
            *secret = Secret::Plain(BASE64_URL_SAFE_NO_PAD.encode(drawn));
        }
    }
}

/// Replaces passwords by their hashes, the same each time. Takes milliseconds for each.
pub fn hash_passwords(control_plane: ControlPlaneId, entity: &mut Entity) -> Result<(), PasswordError> {
    entity_secrets::hash_passwords(control_plane.uuid(), entity)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sealing(control_plane: u128) -> Sealing {
        Sealing::of(&SealKey::new(&[7; 32]), ControlPlaneId::from_uuid(Uuid::from_u128(control_plane)))
    }

    fn entity(kind: Kind) -> (EntityId, Entity) {
        let mut entity = Entity::from_api(kind, &kind.example()).expect("the example is valid");
        hash_passwords(ControlPlaneId::from_uuid(Uuid::from_u128(1)), &mut entity).expect("hashed");
        (EntityId { kind, id: Uuid::from_u128(5) }, entity)
    }

    #[test]
    fn every_kind_is_stored_and_read_back_without_a_secret_in_clear() {
        for kind in Kind::ALL {
            let (id, mut entity) = entity(kind);
            let AtRest { wire, secret } = sealing(1).seal(id, &entity).expect("sealed");
            let back = sealing(1).open(kind, id.id, &wire, secret.as_deref()).expect("opened");
            assert_eq!(back, entity, "{kind:?}");
            let wire = String::from_utf8(wire).expect("text");
            for SecretMut { field, treatment, secret } in entity.secrets_mut() {
                if let (Secret::Plain(text), true) = (&*secret, treatment != Treatment::Keep) {
                    let json = serde_json::to_string(text).expect("text");
                    assert!(!wire.contains(json.trim_matches('"')), "{kind:?}.{field}: {wire}");
                }
            }
        }
    }

    #[test]
    fn a_sealed_secret_opens_at_its_place_only() {
        let (id, entity) = entity(Kind::HmacAuth);
        let AtRest { wire, .. } = sealing(1).seal(id, &entity).expect("sealed");
        assert!(sealing(2).open(id.kind, id.id, &wire, None).is_err(), "another control plane");
        assert!(sealing(1).open(id.kind, Uuid::from_u128(6), &wire, None).is_err(), "another entity");
    }

    #[test]
    fn what_is_left_open_is_drawn_once() {
        let body = json!({"consumer": {"id": Uuid::from_u128(9)}});
        let id = EntityId { kind: Kind::Jwt, id: Uuid::from_u128(5) };
        let drawn = |seed: u8| {
            let mut entity = Entity::from_api(Kind::Jwt, &body).expect("valid");
            draw(id, &mut entity, &[seed; 32]);
            entity.to_api()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1)["secret"], drawn(2)["secret"]);
        assert_ne!(drawn(1)["secret"], drawn(1)["key"]);
    }

    #[test]
    fn passwords_are_hashed_the_same_each_time_and_hashes_are_kept() {
        let hashed = |control_plane: u128, body| {
            let mut entity = Entity::from_api(Kind::BasicAuth, &body).expect("valid");
            let id = ControlPlaneId::from_uuid(Uuid::from_u128(control_plane));
            hash_passwords(id, &mut entity).expect("hashed");
            entity.to_api()["password"].as_str().expect("shown").to_owned()
        };
        let body = |user: &str, password: &str| json!({"consumer": {"id": Uuid::from_u128(9)}, "username": user, "password": password});
        let hash = hashed(1, body("alice", "secret"));
        assert!(hash.starts_with("$argon2id$v=19$m=4096,t=1,p=1$"), "{hash}");
        assert_eq!(hash, hashed(1, body("alice", "secret")));
        assert_ne!(hash, hashed(1, body("bob", "secret")));
        assert_ne!(hash, hashed(2, body("alice", "secret")));
        assert_eq!(hash, hashed(1, body("alice", &hash)), "a hash is taken for what it is");
    }
}

//! The secrets of a document, at rest like those that a control plane sends: passwords as slow hashes, and what is needed as it is sealed. The key
//! lies beside the store. So the store alone, such as a copy of it, tells no secret.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use entity_secrets::{NodeKey, hash_passwords, purpose};
use gateway_model::{Entity, Invalid, Kind, Secret, SecretMut};
use random::Random;
use uuid::Uuid;

/// The file with the key, in the data folder: 64 hexadecimal digits.
const KEY_FILE: &str = "declarative.key";

/// Makes the secrets of documents ready to be stored.
#[derive(Clone)]
pub struct Secrets {
    key: NodeKey,
    /// Stands for this gateway in the salts of passwords.
    owner: Uuid,
}

impl Secrets {
    /// Those of the gateway whose data folder is `folder`. Its key is made if there is none.
    ///
    /// # Errors
    /// When the key's file cannot be read or made, or holds no key.
    pub fn in_folder(folder: &Path, random: &Random) -> io::Result<Self> {
        let file = folder.join(KEY_FILE);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(random.bytes::<32>());
                let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
                made.write_all(text.as_bytes())?;
                made.sync_all()?;
                text
            }
            read => read?,
        };
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
            let remedy = "must hold 64 hexadecimal digits; without it, a new key is made, and all secrets are sealed again";
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {remedy}", file.display()))
        })?;
        Ok(Self::new(&key))
    }

    /// Those of nobody: for documents that are only checked.
    pub fn for_checks() -> Self {
        Self::new(&[0; 32])
    }

    /// What opens the secrets that [`Secrets::at_rest`] seals.
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    fn new(key: &[u8; 32]) -> Self {
        let owner = blake3::derive_key("landbridge dataplane v1 salts of passwords", key);
        let owner = Uuid::from_bytes(*owner.first_chunk().expect("a hash has 32 bytes"));
        Self { key: NodeKey::new(key), owner }
    }

    /// Draws the secrets that the entity does not use and a file may leave out, the same each time. Nobody can know them.
    fn draw(&self, id: Uuid, entity: &mut Entity) {
        let kind = entity.kind();
        for SecretMut { field, secret, .. } in entity.secrets_mut() {
            if *secret == Secret::Missing {
                let material = [self.owner.as_bytes(), purpose(kind, id, field).as_slice()].concat();
                let drawn =
                    blake3::derive_key("landbridge dataplane v1 secrets that are left out", &material);
                *secret = Secret::Plain(hex::encode(drawn));
            }
        }
    }

    /// The form in which an entity is stored. `before` is the one that is stored under its id and kind: the same entity has the same form.
    pub fn at_rest(&self, id: Uuid, mut entity: Entity, before: Option<&[u8]>) -> Result<Vec<u8>, Invalid> {
        let kind: Kind = entity.kind();
        let invalid = |error: String| Invalid::one(format!("{} {id}", kind.name()), error);
        self.draw(id, &mut entity);
        hash_passwords(self.owner, &mut entity).map_err(|error| invalid(error.to_string()))?;
        let mut before = before.and_then(|before| Entity::from_wire(kind, before).ok());
        self.key.seal(id, &mut entity, before.as_mut());
        entity.to_wire().map_err(|error| invalid(error.to_string()))
    }
}

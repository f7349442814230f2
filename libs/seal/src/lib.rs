//! Sealing: AES-256-GCM with a random nonce in front of the sealed bytes. What lies sealed in a database is worthless without
//! the key. Knows nothing of databases.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};

/// The bytes were sealed with another key or for another purpose, or were altered.
#[derive(Debug, thiserror::Error)]
#[error("sealed with another key, or altered")]
pub struct Unsealable;

/// A key that seals and opens.
#[derive(Clone)]
pub struct SealKey(Arc<Keys>);

struct Keys {
    sealing: RandomizedNonceKey,
    /// Of which keys for narrower uses are made.
    root: Prk,
}

impl SealKey {
    /// A key of 32 bytes, which have to be random.
    pub fn new(key: &[u8; 32]) -> Self {
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key).expect("AES-256-GCM takes 32 bytes");
        Self(Arc::new(Keys { sealing, root: Salt::new(HKDF_SHA256, &[]).extract(key) }))
    }

    /// Reads a key from a file with 64 hexadecimal digits.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("secrets.key_file: cannot read {}", path.display()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key)
            .context("secrets.key_file: must hold 32 bytes as 64 hexadecimal digits")?;
        Ok(Self::new(&key))
    }

    /// The 32 bytes of a key of its own for `name`, always the same. Who has it knows nothing of this one, or of those for other names.
    pub fn derived(&self, name: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        let info = [b"landbridge seal v1".as_slice(), name];
        let expanded = self.0.root.expand(&info, HKDF_SHA256).and_then(|material| material.fill(&mut key));
        expanded.expect("32 bytes are one block of the hash");
        key
    }

    /// Seals `plain` for `purpose`: it opens for the same purpose only.
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let nonce = self
            .0
            .sealing
            .seal_in_place_append_tag(Aad::from(purpose), &mut body)
            .expect("the input is far below the limit");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// What was sealed for `purpose` with this key.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut body = body.to_vec();
        let length =
            self.0.sealing.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| Unsealable)?.len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::SealKey;

    #[test]
    fn derived_keys_differ_by_name_and_root() {
        let (one, other) = (SealKey::new(&[1; 32]), SealKey::new(&[2; 32]));
        assert_eq!(one.derived(b"a"), SealKey::new(&[1; 32]).derived(b"a"));
        assert_ne!(one.derived(b"a"), one.derived(b"b"));
        assert_ne!(one.derived(b"a"), other.derived(b"a"));
        assert_ne!(one.derived(b"a"), [1; 32]);
    }

    #[test]
    fn opens_for_the_same_key_and_purpose_only() {
        let key = SealKey::new(&[1; 32]);
        let sealed = key.seal(b"row 1", b"secret");
        assert_eq!(key.open(b"row 1", &sealed).expect("opens"), b"secret");
        assert!(key.open(b"row 2", &sealed).is_err());
        assert!(SealKey::new(&[2; 32]).open(b"row 1", &sealed).is_err());
        assert!(key.open(b"row 1", &sealed[..5]).is_err());
        let mut altered = sealed;
        *altered.last_mut().expect("not empty") ^= 1;
        assert!(key.open(b"row 1", &altered).is_err());
    }
}

//! Passwords are hashed with Argon2id, on few threads: each hash takes memory and tens of milliseconds on purpose.
//!
//! The parameters are those that OWASP's Password Storage Cheat Sheet names first: 19 MiB, two passes, one lane.

use std::{sync::Arc, thread::available_parallelism, time::Duration};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use random::Random;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Memory of one hash, KiB.
pub const KIBIBYTES: u32 = 19_456;
/// Passes over that memory.
pub const PASSES: u32 = 2;
/// Lanes of that memory, which are filled one after the other here.
pub const LANES: u32 = 1;
/// Bytes of a salt and of a hash.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Most passwords that are hashed at once, whatever the machine has: they take 150 MiB together.
const AT_ONCE_MAX: usize = 8;
/// Requests that wait for a turn at once, and for how long. What is beyond is told to slow down.
const WAITING_MAX: usize = 64;
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Highest costs that a stored hash may name.
const CHECKED_KIBIBYTES_MAX: u32 = 262_144;
const CHECKED_PASSES_MAX: u32 = 16;

/// Too many passwords are to be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Hashes passwords. Cheap to clone; clones share the turns.
#[derive(Clone)]
pub struct Hasher {
    random: Random,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What a password is compared with that is nobody's.
    decoy: Arc<str>,
}

impl Hasher {
    /// Salts come from `random`.
    pub fn new(random: Random) -> Self {
        let at_once = available_parallelism().map_or(1, usize::from).min(AT_ONCE_MAX);
        // Of a password that nobody has: nothing hashes to zeros.
        let decoy = write(&[0; SALT_BYTES], &[0; HASH_BYTES]);
        Self {
            random,
            turns: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(at_once + WAITING_MAX)),
            decoy: decoy.into(),
        }
    }

    /// The hash of `password`, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String, Busy> {
        let salt = self.random.bytes();
        self.run(move || hash(&password, &salt)).await
    }

    /// Whether `known` is the hash of `password`. Where there is none, it takes as long and is `false`.
    pub async fn verify(&self, known: Option<String>, password: String) -> Result<bool, Busy> {
        let known = known.unwrap_or_else(|| self.decoy.to_string());
        self.run(move || verify(&known, &password).unwrap_or_default()).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        let turn = timeout(WAIT_MAX, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        // The turn ends with the work, also where nobody waits for it any more.
        let done = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| Busy)
    }
}

fn hash(password: &str, salt: &[u8; SALT_BYTES]) -> String {
    let params =
        Params::new(KIBIBYTES, PASSES, LANES, Some(HASH_BYTES)).expect("the costs are in their ranges");
    let mut hash = [0; HASH_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), salt, &mut hash).expect("salt and hash have fit lengths");
    write(salt, &hash)
}

fn write(salt: &[u8], hash: &[u8]) -> String {
    let [salt, hash] = [salt, hash].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
    format!("$argon2id$v=19$m={KIBIBYTES},t={PASSES},p={LANES}${salt}${hash}")
}

/// `None` if `known` has not the form of a hash, or costs too much.
fn verify(known: &str, password: &str) -> Option<bool> {
    let mut parts = known.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, expected) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str, max: u32| {
        let number: u32 = costs.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
        (1..=max).contains(&number).then_some(number)
    };
    let (kibibytes, passes, lanes) =
        (cost("m", CHECKED_KIBIBYTES_MAX)?, cost("t", CHECKED_PASSES_MAX)?, cost("p", LANES)?);
    let [salt, expected] = [salt, expected].map(|text| BASE64_STANDARD_NO_PAD.decode(text).ok());
    let (salt, expected) = (salt?, expected?);
    let params = Params::new(kibibytes, passes, lanes, Some(expected.len())).ok()?;
    let mut found = vec![0; expected.len()];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.as_bytes(), &salt, &mut found).ok()?;
    Some(verify_slices_are_equal(&found, &expected).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{SALT_BYTES, hash, verify, write};

    #[test]
    fn a_password_is_known_by_its_hash() {
        let known = hash("correct horse", &[7; SALT_BYTES]);
        assert!(known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{known}");
        assert_ne!(known, hash("correct horse", &[8; SALT_BYTES]));
        assert_eq!(verify(&known, "correct horse"), Some(true));
        for wrong in ["correct hors", "Correct horse", "", "correct horse "] {
            assert_eq!(verify(&known, wrong), Some(false), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_hash_is_nobodys() {
        let known = hash("correct horse", &[7; SALT_BYTES]);
        let dear = known.replace("m=19456", "m=4000000");
        for wrong in [
            "",
            "correct horse",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            dear.as_str(),
            &known.replace("id$", "i$"),
        ] {
            assert_eq!(verify(wrong, "correct horse"), None, "{wrong}");
        }
        assert_eq!(
            verify(&write(&[0; SALT_BYTES], &[0; 32]), ""),
            Some(false),
            "the one that stands for nobody's"
        );
    }
}

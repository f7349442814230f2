//! What the tests share: databases, ids, and time.

use ids::{OrganizationId, Region};
use replication::Signer;
use test_database::Database;
use uuid::Uuid;

/// A new database with all tables of authz.
pub async fn database() -> Database {
    test_database::create_with(&[&authz::MIGRATIONS, &oplog::MIGRATIONS]).await
}

/// A region by its name.
pub fn region(name: &str) -> Region {
    name.parse().expect("a region's name")
}

/// The key of every log of these tests.
pub fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).expect("a key")
}

/// The organization of tests that need one.
pub fn acme() -> OrganizationId {
    OrganizationId::from_uuid(Uuid::from_u128(0xac3e))
}

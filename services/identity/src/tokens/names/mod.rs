//! What people call their tokens. A name is a person's free text, so it is kept in the organization's home region only.
//!
//! Every region has a keyed fingerprint of it instead, in the log and in the rows: by that, a request that comes again in another
//! region is recognised. A token that is made elsewhere has its name sent home ([`carrier`]). Until it has arrived, lists show none.
//! The home takes a name only if it has the fingerprint that the token's entry carries, so no region can invent one.

pub mod carrier;
mod legacy;
pub mod store;

use std::sync::Arc;

use access::TokenKey;
use ids::OrganizationId;
pub use legacy::{hide, move_out};

const PURPOSE: &str = "landbridge access tokens: the fingerprint of a name";

/// The fingerprint of a name.
pub type Print = [u8; 32];

/// Makes fingerprints. All regions of a deployment make the same ones. Cheap to clone.
#[derive(Clone)]
pub struct Prints(Arc<[[u8; 32]]>);

impl Prints {
    /// Fingerprints keyed with the deployment's key.
    pub fn new(key: &TokenKey) -> Self {
        Self(key.for_purpose(PURPOSE).into())
    }

    /// The fingerprint of `name` in `organization`: equal names of two organizations have different ones.
    pub fn of(&self, organization: OrganizationId, name: &str) -> Print {
        print(&self.0[0], organization, name)
    }

    /// Whether `given` is the fingerprint of `name`, made with this key or with one that is being replaced.
    pub fn fits(&self, organization: OrganizationId, name: &str, given: &Print) -> bool {
        self.0.iter().any(|key| print(key, organization, name) == *given)
    }
}

fn print(key: &[u8; 32], organization: OrganizationId, name: &str) -> Print {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(organization.as_bytes()).update(name.as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use access::TokenKey;
    use ids::OrganizationId;

    use super::Prints;

    #[test]
    fn a_fingerprint_is_of_one_name_of_one_organization_under_one_key() {
        let key = |byte: &str| TokenKey::from_hex(&byte.repeat(32)).expect("a key");
        let (prints, organization) = (Prints::new(&key("ab")), OrganizationId::generate());
        let print = prints.of(organization, "ci");
        assert!(prints.fits(organization, "ci", &print));
        assert!(!prints.fits(organization, "cd", &print));
        assert!(!prints.fits(OrganizationId::generate(), "ci", &print));
        assert!(!Prints::new(&key("cd")).fits(organization, "ci", &print));
        assert!(Prints::new(&key("cd").opening(key("ab"))).fits(organization, "ci", &print));
    }
}

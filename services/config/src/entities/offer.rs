//! What the region offers to those who order certificates. It is checked where something is written: what is stored stays.

use gateway_model::{AcmeChallenge, Entity, Invalid};

/// The ACME servers of the region, by name, and how it can prove names to them. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct AcmeOffer {
    /// Those that an entity may name.
    pub directories: Vec<String>,
    /// The one for entities that name none; `None`: they have to.
    pub default: Option<String>,
    /// Whether there is a hook that makes records in DNS.
    pub has_dns: bool,
}

impl AcmeOffer {
    /// The offer of a region that has no ACME server.
    pub const NOTHING: Self = Self { directories: Vec::new(), default: None, has_dns: false };

    /// Refuses an entity that asks for what the region does not have. The message names its first domain, since a document may have many.
    pub fn check(&self, entity: &Entity) -> Result<(), Invalid> {
        let Entity::AcmeCertificate(certificate) = entity else { return Ok(()) };
        let of = certificate.domains.first().map(String::as_str).unwrap_or_default();
        let refuse = |field: &str, message: String| {
            Err(Invalid::one(field, format!("{message} (ACME certificate of {of})")))
        };
        if self.directories.is_empty() {
            let remedy = "is not offered: this region has no ACME server; its operator names some in the setting `acme.directories`";
            return refuse("directory", remedy.to_owned());
        }
        let one_of = || self.directories.join(", ");
        match &certificate.directory {
            Some(named) if self.directories.contains(named) => {}
            Some(_) => return refuse("directory", format!("must be one of {}", one_of())),
            None if self.default.is_some() => {}
            None => return refuse("directory", format!("is required: choose one of {}", one_of())),
        }
        if certificate.challenge == AcmeChallenge::Dns01 && !self.has_dns {
            let remedy = "is not offered: this region cannot make records in DNS; its operator names a hook in the setting `acme.dns_hook`";
            return refuse("challenge", remedy.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gateway_model::Kind;
    use serde_json::{Value, json};

    use super::*;

    fn refused(offer: &AcmeOffer, directory: Value, challenge: &str) -> Option<String> {
        let body = json!({"domains": ["a.example"], "account_email": "a@b.example", "tos_accepted": true,
                          "directory": directory, "challenge": challenge});
        let entity = Entity::from_api(Kind::AcmeCertificate, &body).expect("valid");
        offer.check(&entity).err().map(|invalid| invalid.to_string())
    }

    #[test]
    fn what_the_region_does_not_have_is_refused_by_the_field_and_the_setting() {
        let directories = vec!["one".to_owned(), "two".to_owned()];
        let has_dns = AcmeOffer { default: directories.first().cloned(), directories, has_dns: true };
        for directory in [json!(null), json!("two")] {
            assert_eq!(refused(&has_dns, directory, "dns-01"), None);
        }
        let other = refused(&has_dns, json!("three"), "http-01").expect("refused");
        assert!(other.contains("directory must be one of one, two"), "{other}");
        let no_default = AcmeOffer { default: None, ..has_dns.clone() };
        let unnamed = refused(&no_default, json!(null), "http-01").expect("refused");
        assert!(unnamed.contains("choose one of one, two"), "{unnamed}");
        let no_dns =
            refused(&AcmeOffer { has_dns: false, ..has_dns }, json!(null), "dns-01").expect("refused");
        assert!(no_dns.contains("challenge") && no_dns.contains("acme.dns_hook"), "{no_dns}");
        let nothing = refused(&AcmeOffer::NOTHING, json!(null), "http-01").expect("refused");
        assert!(nothing.contains("acme.directories") && nothing.contains("a.example"), "{nothing}");
        let other_kind = Entity::from_api(Kind::Consumer, &Kind::Consumer.example()).expect("valid");
        assert_eq!(AcmeOffer::NOTHING.check(&other_kind), Ok(()));
    }
}

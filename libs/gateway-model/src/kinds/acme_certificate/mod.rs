//! ACME certificate: one that the control plane orders from an ACME server (RFC 8555), and renews. Fields are called as in Kong's plugin `acme`.
//!
//! What was issued, and the challenges that are open, is part of the entity and of no body: [`AcmeState`]. So it reaches gateways as every
//! change does, and a document that is applied again takes nothing away.

mod state;

use serde_json::json;

use self::state::StateOfOrder;
pub use self::state::{AcmeIssued, AcmeKey, AcmeLeaf, AcmeState, DOMAINS_MAX};
use super::{KindRow, Model, UniqueField};
use crate::record::{
    Fields, Rules, Secret, boolean, integer, integer_of, list, record, schema_of, tags, text, withheld, word,
    words,
};
use crate::rules::{self, NAME, Rule};
use crate::{Entity, UniqueKey};

/// Characters of an e-mail address (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
/// Characters of a key that an ACME server has given for external account binding.
const EAB_CHARS_MAX: usize = 512;
/// Days before its end from which a certificate is renewed at the latest, if nothing else is said; as in Kong.
const RENEW_THRESHOLD_DAYS: u16 = 14;

/// A name that a certificate is ordered for.
const DOMAIN: Rule = Rule::new(domain, rules::UPSTREAM_HOST.chars_max);
const EMAIL: Rule = Rule::new(email, EMAIL_CHARS_MAX);
/// The id of a key for external account binding.
const EAB_KID: Rule =
    Rule::new(|text| rules::length(text, EAB_CHARS_MAX).and_then(|()| rules::printable(text)), EAB_CHARS_MAX);
const EAB_KEY: Rule = Rule::new(eab_key, EAB_CHARS_MAX);

fn domain(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    rules::host_name(name)?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("be in lower case".to_owned());
    }
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    match name.rsplit_once('.') {
        Some((_, last)) if !is_number(last) => Ok(()),
        _ => Err("be a whole name with a dot in it, such as `shop.example.com`, and no address".to_owned()),
    }
}

fn email(text: &str) -> Result<(), String> {
    rules::length(text, EMAIL_CHARS_MAX)?;
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$&'*+/=^_`{|}~-".contains(&byte);
    let fits = |(local, host): (&str, &str)| {
        !local.is_empty() && local.bytes().all(is_local) && rules::host_name(host).is_ok()
    };
    if text.split_once('@').is_some_and(fits) {
        Ok(())
    } else {
        Err("be an e-mail address such as `ops@example.com`".to_owned())
    }
}

fn eab_key(text: &str) -> Result<(), String> {
    rules::length_bytes(text, EAB_CHARS_MAX)?;
    let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if valid {
        Ok(())
    } else {
        Err("be base64url without padding, as the ACME server has shown it".to_owned())
    }
}

words! {
    /// How the ACME server finds out that a name is the customer's.
    pub enum AcmeChallenge {
        /// It asks the name for a file, which every gateway of the control plane has.
        Http01 = "http-01",
        /// It looks for a record in DNS, which the region's hook makes.
        Dns01 = "dns-01",
    }
}

words! {
    /// Which kind of key a certificate is for.
    pub enum AcmeKeyType {
        /// RSA, of `rsa_key_size` bits.
        Rsa = "rsa",
        /// ECDSA over P-256: what handshakes cost least with.
        Ecc = "ecc",
    }
}

record! {
    /// A certificate that the control plane orders from an ACME server, and renews. Gateways show it for its domains.
    pub struct AcmeCertificate keeps empty_lists {
        /// The names, in lower case, exact or with a leading `*.`; the first is the certificate's own. Each is that of one ACME certificate of
        /// the control plane at most.
        pub domains: Vec<String> = list(DOMAIN, DOMAINS_MAX).required("name the hosts that the certificate is for"),
        /// Where the ACME server writes to.
        pub account_email: String = text(EMAIL).required("give an e-mail address that the ACME server may write to"),
        /// Whether the terms of service of the ACME server are accepted. They have to be.
        pub tos_accepted: bool = boolean(false),
        /// The ACME server, by the name that the region gives it; the region's first one when absent.
        pub directory: Option<String> = text(NAME),
        /// How the ACME server finds out that the names are yours. Names with `*.` need `dns-01`.
        pub challenge: AcmeChallenge = word(AcmeChallenge::Http01),
        /// The kind of the certificate's key.
        pub cert_type: AcmeKeyType = word(AcmeKeyType::Ecc),
        /// Bits of an RSA key.
        pub rsa_key_size: u16 = integer_of(4096, &[2048, 3072, 4096]),
        /// Days before its end from which the certificate is renewed; earlier when a third of its life is left, and never in the first half of it.
        pub renew_threshold_days: u16 = integer(RENEW_THRESHOLD_DAYS, 1..=365),
        /// Id of the key with which the ACME server knows its customer, where it demands external account binding.
        pub eab_kid: Option<String> = text(EAB_KID),
        /// That key, in base64url.
        pub eab_hmac_key: Option<Secret> = withheld("eab_hmac_key_sealed", EAB_KEY),
        /// Free labels to select entities by.
        pub tags: Vec<String> = tags(),
        /// What was issued, and the challenges that are open, which are no part of bodies. `None`: not told.
        pub state: Option<AcmeState> = StateOfOrder,
    }
}

pub(crate) const ROW: KindRow = KindRow {
    name: "acme_certificate",
    collection: "acme_certificates",
    section: "acme_certificates",
    label: "ACME certificate",
    name_field: None,
    unique: &[UniqueField {
        field: "domains",
        taken: Some("another ACME certificate of the control plane is for one of these names"),
        repeated: Some("has a domain of {}"),
    }],
    grants_access: false,
    children: &[],
    read: |fields| Entity::AcmeCertificate(super::read(fields)),
    schema: schema_of::<AcmeCertificate>,
    example: || {
        json!({"domains": ["*.shop.example"], "account_email": "ops@shop.example", "tos_accepted": true,
               "directory": "letsencrypt", "challenge": "dns-01", "cert_type": "rsa", "rsa_key_size": 2048,
               "renew_threshold_days": 30, "eab_kid": "kid-1", "eab_hmac_key": "c2VjcmV0LWtleQ", "tags": ["shop"]})
    },
};

impl Rules for AcmeCertificate {
    fn check(&self, fields: &mut Fields<'_>) {
        if !self.tos_accepted {
            fields.fail(
                "tos_accepted",
                "must be true: the ACME server issues to those only who accept its terms of service",
            );
        }
        if self.challenge == AcmeChallenge::Http01 {
            for (index, _) in self.domains.iter().enumerate().filter(|(_, domain)| domain.starts_with("*.")) {
                let message =
                    "has a wildcard, which an ACME server believes by DNS only: set `challenge` to `dns-01`";
                fields.fail(format_args!("domains[{index}]"), message);
            }
        }
        match (&self.eab_kid, &self.eab_hmac_key) {
            // One that cannot be read is told already.
            (Some(_), None) if fields.has("eab_hmac_key") => {}
            (Some(_), None) => fields.fail("eab_hmac_key", "is required: it is the key of `eab_kid`"),
            (None, Some(_)) => fields.fail("eab_kid", "is required: `eab_hmac_key` is its key"),
            _ => {}
        }
    }
}

impl Model for AcmeCertificate {
    fn unique_keys(&self) -> Vec<UniqueKey> {
        self.domains.iter().map(|domain| UniqueKey::new("domains", domain)).collect()
    }

    /// A certificate stays in service as long as it is for one of the domains.
    fn take_over(&mut self, stored: &Entity) {
        let Entity::AcmeCertificate(Self { state: Some(stored), .. }) = stored else { return };
        if self.state.is_none() {
            let mut state = stored.clone();
            state.issued = state.issued.filter(|issued| {
                issued
                    .leaf()
                    .is_some_and(|leaf| self.domains.iter().any(|domain| leaf.names.contains(domain)))
            });
            self.state = Some(state);
        }
    }
}

#[cfg(test)]
mod tests;

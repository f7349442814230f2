//! The credentials of a gateway that is known by a pinned certificate: from the files that its settings name. The gateway changes none of
//! them, and names itself by the id in its store.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use ids::NodeId;
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sync::identity::NodeIdentity;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Credentials, EnrolError};
use crate::settings::Pinned;

/// What the settings say, and which node this is.
#[derive(Clone, Debug)]
pub struct Own {
    pub settings: Pinned,
    pub node: NodeId,
}

impl Own {
    /// Reads the files. The error names the setting and the file.
    pub fn credentials(&self) -> Result<Credentials, EnrolError> {
        let Pinned { certificate, key, ca, sync, region, control_plane } = &self.settings;
        let read = |path: &Path, name| {
            fs::read_to_string(path).map_err(|error| unusable(path, format!("pinned.{name}: {error}")))
        };
        let (certificate_pem, key_pem, ca_pem) =
            (read(certificate, "certificate")?, read(key, "key")?, read(ca, "ca")?);
        let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain
            .ok_or_else(|| unusable(certificate, "pinned.certificate: no certificate in PEM".to_owned()))?;
        let not_after = end_of(&chain[0])
            .ok_or_else(|| unusable(certificate, "pinned.certificate: no X.509 certificate".to_owned()))?;
        let in_pem = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|error| unusable(key, format!("pinned.key: no private key in PEM: {error}")))?;
        CertifiedKey::from_der(chain, in_pem, &aws_lc_rs::default_provider()).map_err(|error| {
            unusable(key, format!("pinned.key: not the key of pinned.certificate: {error}"))
        })?;
        Ok(Credentials {
            identity: NodeIdentity { region: region.clone(), control_plane: *control_plane, node: self.node },
            key_pem,
            certificate_pem,
            ca_pem,
            not_after,
            endpoints: sync.names().to_vec(),
            token: None,
        })
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let end = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end))
}

fn unusable(path: &Path, reason: String) -> EnrolError {
    EnrolError::File { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use settings::Names;

    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_named_with_the_setting() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = |name: &str| folder.path().join(name);
        let key = KeyPair::generate().expect("key");
        let certificate = CertificateParams::default().self_signed(&key).expect("certificate").pem();
        let sync: Names = serde_json::from_str(r#""a.test:443, b.test:443""#).expect("names");
        let settings = Pinned {
            certificate: file("certificate"),
            key: file("key"),
            ca: file("ca"),
            sync,
            region: "us".parse().expect("region"),
            control_plane: ids::ControlPlaneId::generate(),
        };
        let own = Own { settings, node: NodeId::generate() };
        let write = |name: &str, text: &str| fs::write(file(name), text).expect("written");
        let refused = || own.credentials().err().expect("refused").to_string();
        assert!(refused().contains("pinned.certificate: No such file"), "{}", refused());
        for name in ["certificate", "key", "ca"] {
            write(name, "nothing");
        }
        assert!(refused().contains("certificate: pinned.certificate: no certificate"), "{}", refused());
        write("certificate", &certificate);
        assert!(refused().contains("pinned.key: no private key"), "{}", refused());
        write("key", &KeyPair::generate().expect("key").serialize_pem());
        assert!(refused().contains("pinned.key: not the key of pinned.certificate"), "{}", refused());
        write("key", &key.serialize_pem());
        let credentials = own.credentials().expect("usable");
        assert_eq!((credentials.identity.node, credentials.token), (own.node, None));
        assert_eq!(credentials.endpoints, ["a.test:443", "b.test:443"]);
    }
}

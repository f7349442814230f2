//! The files that a node keeps of its enrolment, in one folder. Used by enrolment and by the stream.
//!
//! | file | content |
//! |---|---|
//! | `key.pem` | private key, ECDSA P-256; readable by its owner only; made once |
//! | `certificate.pem` | the node's certificate; replaced by each renewal |
//! | `ca.pem` | the region's CA |
//! | `secrets.json` | the key that opens the secrets of the control plane's entities, and whose it is; readable by its owner only |
//! | `identity.json` | who the node is, endpoints, and the token that was used; written last: if it is there, all files are |
//!
//! Each file is replaced atomically and durably. A certificate that is not for this key and this node is refused, so that no
//! node follows a control plane that it never enrolled with.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use entity_secrets::NodeKey;
use ids::{ControlPlaneId, NodeId};
use rcgen::{CertificateParams, CertificateSigningRequest, DistinguishedName, KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};
use sync::identity::NodeIdentity;
use uuid::Uuid;
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem, prelude::X509Certificate};
use zeroize::Zeroizing;

use super::{EnrolError, own::Own};
use crate::settings::Pinned;

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const CA: &str = "ca.pem";
const SECRETS: &str = "secrets.json";
const IDENTITY: &str = "identity.json";

/// The folder that holds a node's enrolment.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    folder: PathBuf,
    /// In the place of what an enrolment has left.
    own: Option<Own>,
}

/// All that a node needs to open a stream.
pub struct Credentials {
    /// Region, control plane and node, as the certificate says.
    pub identity: NodeIdentity,
    /// The node's private key.
    pub key_pem: String,
    /// The node's certificate.
    pub certificate_pem: String,
    /// The CA that the control plane is verified by.
    pub ca_pem: String,
    /// When the certificate ends.
    pub not_after: SystemTime,
    /// Addresses of the control plane's listener for streams, tried one after the other.
    pub endpoints: Vec<String>,
    /// Id of the enrolment token that was used; `None` with a pinned certificate, which is not renewed.
    pub token: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
struct IdentityFile {
    /// SPIFFE id that the certificate must carry.
    node: String,
    token: Uuid,
    sync: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct SecretsFile<'a> {
    /// The control plane whose secrets the key opens.
    control_plane: ControlPlaneId,
    /// 64 hexadecimal digits.
    key: &'a str,
}

impl NodeFiles {
    /// The files in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, own: None }
    }

    /// The same, for a gateway that is `node` and known by a pinned certificate, if it is.
    pub fn with_pinned(self, pinned: Option<Pinned>, node: NodeId) -> Self {
        Self { own: pinned.map(|settings| Own { settings, node }), ..self }
    }

    /// The node's credentials; [`EnrolError::NotEnrolled`] when there are none.
    pub fn credentials(&self) -> Result<Credentials, EnrolError> {
        if let Some(own) = &self.own {
            return own.credentials();
        }
        let identity_file = match self.read(IDENTITY) {
            Err(EnrolError::NotEnrolled) => return Err(EnrolError::NotEnrolled),
            text => text?,
        };
        let IdentityFile { node, token, sync: endpoints } =
            serde_json::from_str(&identity_file).map_err(|error| self.error(IDENTITY, error))?;
        let (key_pem, certificate_pem, ca_pem) = (self.read(KEY)?, self.read(CERTIFICATE)?, self.read(CA)?);
        let key = KeyPair::from_pem(&key_pem).map_err(|error| self.error(KEY, error))?;
        let (identity, not_after) = examine(&certificate_pem, &key)?;
        require_same(&identity, &node)?;
        let token = Some(token);
        Ok(Credentials { identity, key_pem, certificate_pem, ca_pem, not_after, endpoints, token })
    }

    /// The node's private key, made if there is none.
    pub fn key(&self) -> Result<KeyPair, EnrolError> {
        match self.read(KEY) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| self.error(KEY, error)),
            Err(EnrolError::NotEnrolled) => {
                let key = KeyPair::generate()?;
                self.write(KEY, key.serialize_pem().as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores the answer to an enrolment, if the certificate is for this key and names `expected`.
    pub fn keep(
        &self,
        expected: NodeIdentity,
        certificate_pem: &str,
        ca_pem: &str,
        endpoints: Vec<String>,
        token: Uuid,
    ) -> Result<Credentials, EnrolError> {
        let (found, _) = examine(certificate_pem, &self.key()?)?;
        require_same(&found, &expected.to_string())?;
        self.write(CA, ca_pem.as_bytes())?;
        self.write(CERTIFICATE, certificate_pem.as_bytes())?;
        let identity = IdentityFile { node: expected.to_string(), token, sync: endpoints };
        let identity = serde_json::to_vec_pretty(&identity);
        self.write(IDENTITY, &identity.map_err(|error| self.error(IDENTITY, error))?)?;
        self.credentials()
    }

    /// Replaces the certificate by a renewed one, if that is for the same key and the same node.
    pub fn replace_certificate(&self, certificate_pem: &str) -> Result<(), EnrolError> {
        let held = self.credentials()?;
        let (found, _) = examine(certificate_pem, &self.key()?)?;
        require_same(&found, &held.identity.to_string())?;
        self.write(CERTIFICATE, certificate_pem.as_bytes())
    }

    /// The key that opens the secrets of the control plane's entities; `None` if that has not told one yet.
    pub fn secrets_key(&self) -> Result<Option<NodeKey>, EnrolError> {
        let text = match self.read(SECRETS) {
            Err(EnrolError::NotEnrolled) => return Ok(None),
            text => Zeroizing::new(text?),
        };
        let file: SecretsFile<'_> =
            serde_json::from_str(&text).map_err(|error| self.error(SECRETS, error))?;
        // That of an earlier enrolment opens nothing any more.
        if file.control_plane != self.credentials()?.identity.control_plane {
            return Ok(None);
        }
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(file.key, key.as_mut())
            .map_err(|_| self.error(SECRETS, "`key` must be 64 hexadecimal digits"))?;
        Ok(Some(NodeKey::new(&key)))
    }

    /// The same, where a node can do without: the control plane tells it again.
    pub fn secrets_key_or_none(&self) -> Option<NodeKey> {
        let read = self.secrets_key();
        read.inspect_err(
            |error| tracing::warn!(%error, "secrets stay sealed until the control plane tells the key"),
        )
        .unwrap_or_default()
    }

    /// Stores the key that opens the secrets of the control plane's entities, unless it is the one that is stored.
    pub fn keep_secrets_key(&self, key: &[u8; 32]) -> Result<(), EnrolError> {
        if self.secrets_key().is_ok_and(|held| held == Some(NodeKey::new(key))) {
            return Ok(());
        }
        let control_plane = self.credentials()?.identity.control_plane;
        let key = Zeroizing::new(hex::encode(key));
        let file = SecretsFile { control_plane, key: &key };
        let text = Zeroizing::new(serde_json::to_vec(&file).map_err(|error| self.error(SECRETS, error))?);
        self.write(SECRETS, &text)
    }

    fn read(&self, name: &str) -> Result<String, EnrolError> {
        fs::read_to_string(self.folder.join(name)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => EnrolError::NotEnrolled,
            _ => self.error(name, error),
        })
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), EnrolError> {
        write_atomically(&self.folder, name, content).map_err(|error| self.error(name, error))
    }

    fn error(&self, name: &str, reason: impl ToString) -> EnrolError {
        EnrolError::File { path: self.folder.join(name), reason: reason.to_string() }
    }
}

impl Credentials {
    /// A request for a new certificate for the same key, in DER.
    pub fn certificate_request(&self) -> Result<Vec<u8>, EnrolError> {
        Ok(certificate_request(&KeyPair::from_pem(&self.key_pem)?)?.der().to_vec())
    }
}

/// A request that proves possession of `key`. It names nobody: the region decides who the node is.
pub(super) fn certificate_request(key: &KeyPair) -> Result<CertificateSigningRequest, EnrolError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?)
}

fn require_same(found: &NodeIdentity, expected: &str) -> Result<(), EnrolError> {
    if found.to_string() == expected {
        Ok(())
    } else {
        Err(EnrolError::Certificate(format!("it is for {found}, not for {expected}")))
    }
}

/// Whom a certificate is for, and when it ends. An error if it is not for `key`.
fn examine(certificate_pem: &str, key: &KeyPair) -> Result<(NodeIdentity, SystemTime), EnrolError> {
    let unreadable = |error: &dyn std::fmt::Display| EnrolError::Certificate(error.to_string());
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).map_err(|error| unreadable(&error))?;
    let certificate = pem.parse_x509().map_err(|error| unreadable(&error))?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(EnrolError::Certificate("it is for another key than this node's".to_owned()));
    }
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).ok();
    let not_after = not_after.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)));
    let not_after = not_after.ok_or_else(|| unreadable(&"it ends at a time that cannot be represented"))?;
    Ok((spiffe_id(&certificate)?.parse()?, not_after))
}

/// The one URI among a certificate's alternative names.
fn spiffe_id<'a>(certificate: &X509Certificate<'a>) -> Result<&'a str, EnrolError> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        _ => Err(EnrolError::Certificate("it must carry exactly one SPIFFE id".to_owned())),
    }
}

/// Writes another file, makes it durable and renames it: after a crash the file has its old content or the new.
fn write_atomically(folder: &Path, name: &str, content: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

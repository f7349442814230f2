//! Every action that a service checks, with the stable name that stands in policies, audit entries and requests.
//!
//! An action is a leaf: a service names exactly one per request. Which roles hold it is written once, in
//! `cedar/schema.cedarschema`; [`crate::system`] refuses to load when the two lists of actions differ.

use std::{fmt, str::FromStr};

use crate::decision::ResourceKind;

/// An action. The variant is the stable name without its punctuation: [`Action::CpCreate`] is `cp:Create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Create a control plane. Checked on the region's collection.
    CpCreate,
    /// Read a control plane: its name, description, labels and version.
    CpRetrieve,
    /// See a control plane in a list. Rows come from [`crate::Index::visible_control_planes`].
    CpList,
    /// Change a control plane's name, description or labels.
    CpUpdate,
    /// Delete a control plane with all that is in it.
    CpDelete,
    /// Read services.
    ServiceRead,
    /// Create, change and delete services.
    ServiceWrite,
    /// Read routes.
    RouteRead,
    /// Create, change and delete routes.
    RouteWrite,
    /// Read consumers.
    ConsumerRead,
    /// Create, change and delete consumers.
    ConsumerWrite,
    /// Read API keys of consumers, the keys themselves included.
    KeyAuthRead,
    /// Create, change and delete API keys of consumers.
    KeyAuthWrite,
    /// Read plugins.
    PluginRead,
    /// Create, change and delete plugins.
    PluginWrite,
    /// Read upstreams and their targets.
    UpstreamRead,
    /// Create, change and delete upstreams and their targets.
    UpstreamWrite,
    /// Read certificates, their keys included, CA certificates, and what is ordered from ACME servers.
    CertificateRead,
    /// Create, change and delete certificates, their keys included, CA certificates, and what is ordered from ACME servers.
    CertificateWrite,
    /// Read server names.
    SniRead,
    /// Create, change and delete server names.
    SniWrite,
    /// Read credentials of consumers other than API keys, secrets included.
    CredentialRead,
    /// Create, change and delete credentials of consumers other than API keys, secrets included.
    CredentialWrite,
    /// Read consumer groups and their members.
    ConsumerGroupRead,
    /// Create, change and delete consumer groups and their members.
    ConsumerGroupWrite,
    /// Read vaults.
    VaultRead,
    /// Create, change and delete vaults.
    VaultWrite,
    /// Read config stores and their secrets.
    ConfigStoreRead,
    /// Create, change and delete config stores and their secrets.
    ConfigStoreWrite,
    /// Read cryptographic keys and key sets.
    KeyRead,
    /// Create, change and delete cryptographic keys and key sets.
    KeyWrite,
    /// Replace the whole configuration of a control plane with a document.
    ConfigApply,
    /// List nodes, and how far each has applied the configuration.
    NodeList,
    /// Remove a node: its certificate opens nothing any more.
    NodeRemove,
    /// Make enrolment tokens.
    NodeEnrol,
    /// Read teams and their members.
    IamReadTeams,
    /// Create, change and delete teams, and their members.
    IamManageTeams,
    /// Give and take roles. What may be given is [`crate::Index::may_grant`].
    IamAssignRoles,
    /// Read which roles are assigned to whom.
    IamReadRoles,
    /// Create, change and delete system accounts, and their tokens.
    IamManageSystemAccounts,
    /// Read system accounts and what is known of their tokens.
    IamReadSystemAccounts,
    /// Read users.
    IamReadUsers,
    /// Create, change and delete users.
    IamManageUsers,
    /// Read the organization itself. Every member may.
    OrgRead,
    /// Change the organization itself.
    OrgUpdate,
    /// Read and export the audit log.
    AuditRead,
    /// Say where the audit log is delivered.
    AuditManage,
}

/// No action has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no action is named {0:?}")]
pub struct UnknownAction(pub String);

impl Action {
    /// Every action, in the order of this enum.
    pub const ALL: [Self; 47] = [
        Self::CpCreate,
        Self::CpRetrieve,
        Self::CpList,
        Self::CpUpdate,
        Self::CpDelete,
        Self::ServiceRead,
        Self::ServiceWrite,
        Self::RouteRead,
        Self::RouteWrite,
        Self::ConsumerRead,
        Self::ConsumerWrite,
        Self::KeyAuthRead,
        Self::KeyAuthWrite,
        Self::PluginRead,
        Self::PluginWrite,
        Self::UpstreamRead,
        Self::UpstreamWrite,
        Self::CertificateRead,
        Self::CertificateWrite,
        Self::SniRead,
        Self::SniWrite,
        Self::CredentialRead,
        Self::CredentialWrite,
        Self::ConsumerGroupRead,
        Self::ConsumerGroupWrite,
        Self::VaultRead,
        Self::VaultWrite,
        Self::ConfigStoreRead,
        Self::ConfigStoreWrite,
        Self::KeyRead,
        Self::KeyWrite,
        Self::ConfigApply,
        Self::NodeList,
        Self::NodeRemove,
        Self::NodeEnrol,
        Self::IamReadTeams,
        Self::IamManageTeams,
        Self::IamAssignRoles,
        Self::IamReadRoles,
        Self::IamManageSystemAccounts,
        Self::IamReadSystemAccounts,
        Self::IamReadUsers,
        Self::IamManageUsers,
        Self::OrgRead,
        Self::OrgUpdate,
        Self::AuditRead,
        Self::AuditManage,
    ];

    /// The stable name, as in `route:Write`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CpCreate => "cp:Create",
            Self::CpRetrieve => "cp:Retrieve",
            Self::CpList => "cp:List",
            Self::CpUpdate => "cp:Update",
            Self::CpDelete => "cp:Delete",
            Self::ServiceRead => "service:Read",
            Self::ServiceWrite => "service:Write",
            Self::RouteRead => "route:Read",
            Self::RouteWrite => "route:Write",
            Self::ConsumerRead => "consumer:Read",
            Self::ConsumerWrite => "consumer:Write",
            Self::KeyAuthRead => "key_auth:Read",
            Self::KeyAuthWrite => "key_auth:Write",
            Self::PluginRead => "plugin:Read",
            Self::PluginWrite => "plugin:Write",
            Self::UpstreamRead => "upstream:Read",
            Self::UpstreamWrite => "upstream:Write",
            Self::CertificateRead => "certificate:Read",
            Self::CertificateWrite => "certificate:Write",
            Self::SniRead => "sni:Read",
            Self::SniWrite => "sni:Write",
            Self::CredentialRead => "credential:Read",
            Self::CredentialWrite => "credential:Write",
            Self::ConsumerGroupRead => "consumer_group:Read",
            Self::ConsumerGroupWrite => "consumer_group:Write",
            Self::VaultRead => "vault:Read",
            Self::VaultWrite => "vault:Write",
            Self::ConfigStoreRead => "config_store:Read",
            Self::ConfigStoreWrite => "config_store:Write",
            Self::KeyRead => "key:Read",
            Self::KeyWrite => "key:Write",
            Self::ConfigApply => "config:Apply",
            Self::NodeList => "node:List",
            Self::NodeRemove => "node:Remove",
            Self::NodeEnrol => "node:Enrol",
            Self::IamReadTeams => "iam:ReadTeams",
            Self::IamManageTeams => "iam:ManageTeams",
            Self::IamAssignRoles => "iam:AssignRoles",
            Self::IamReadRoles => "iam:ReadRoles",
            Self::IamManageSystemAccounts => "iam:ManageSystemAccounts",
            Self::IamReadSystemAccounts => "iam:ReadSystemAccounts",
            Self::IamReadUsers => "iam:ReadUsers",
            Self::IamManageUsers => "iam:ManageUsers",
            Self::OrgRead => "org:Read",
            Self::OrgUpdate => "org:Update",
            Self::AuditRead => "audit:Read",
            Self::AuditManage => "audit:Manage",
        }
    }

    /// The action that reads or writes entities of a gateway kind, by the kind's name in the gateway model.
    pub fn entity(kind_name: &str, write: bool) -> Option<Self> {
        let (read_action, write_action) = match kind_name {
            "service" => (Self::ServiceRead, Self::ServiceWrite),
            "route" => (Self::RouteRead, Self::RouteWrite),
            "consumer" => (Self::ConsumerRead, Self::ConsumerWrite),
            "key_auth" => (Self::KeyAuthRead, Self::KeyAuthWrite),
            "plugin" => (Self::PluginRead, Self::PluginWrite),
            "upstream" | "target" => (Self::UpstreamRead, Self::UpstreamWrite),
            "certificate" | "ca_certificate" | "acme_certificate" => {
                (Self::CertificateRead, Self::CertificateWrite)
            }
            "sni" => (Self::SniRead, Self::SniWrite),
            "basic_auth" | "hmac_auth" | "jwt" | "mtls_auth" | "acl" | "oauth2_token" => {
                (Self::CredentialRead, Self::CredentialWrite)
            }
            "consumer_group" | "consumer_group_member" => (Self::ConsumerGroupRead, Self::ConsumerGroupWrite),
            "vault" => (Self::VaultRead, Self::VaultWrite),
            "config_store" | "config_store_secret" => (Self::ConfigStoreRead, Self::ConfigStoreWrite),
            "key" | "key_set" => (Self::KeyRead, Self::KeyWrite),
            _ => return None,
        };
        Some(if write { write_action } else { read_action })
    }

    /// Whether the action is about the organization's identity (`iam:*`, `org:*`, `audit:*`). No custom policy can permit it.
    pub fn is_identity(self) -> bool {
        self.applies_to(ResourceKind::Identity)
    }

    /// Whether the action can be asked of such a resource, as the schema says.
    pub fn applies_to(self, kind: ResourceKind) -> bool {
        crate::system::system().applies(self, kind)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == name)
            .ok_or_else(|| UnknownAction(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Action;

    #[test]
    fn names_are_unique_and_read_back() {
        let names: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(names.len(), Action::ALL.len());
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert!("cp:Nope".parse::<Action>().is_err());
    }

    #[test]
    fn each_gateway_kind_has_a_read_and_a_write() {
        for kind in ["service", "route", "consumer", "key_auth", "plugin"] {
            let read = Action::entity(kind, false).expect(kind);
            let write = Action::entity(kind, true).expect(kind);
            assert_eq!(read.as_str(), format!("{kind}:Read"));
            assert_eq!(write.as_str(), format!("{kind}:Write"));
        }
        assert_eq!(Action::entity("galaxy", true), None);
    }
}

//! The platform operator: whoever runs the deployment. It is a member of no organization and can do nothing inside one. It makes
//! organizations, says how much they may have, suspends and deletes them, and gives one that has lost its owner a new one.
//!
//! There is one operator, which has access tokens (`lbo_…`), made by `landbridge identity create-operator-token` ([`token`]). They are
//! replicated as all tokens are, under the id of no organization. The guard lets them open the endpoints of [`http`] and no others.

pub mod bodies;
pub mod http;
pub mod token;

use ids::PrincipalId;
use uuid::Uuid;

/// The operator, as tokens and the audit log name it.
pub const OPERATOR: PrincipalId =
    PrincipalId::from_uuid(Uuid::from_u128(0x6c61_6e64_6272_8964_8765_6f70_6572_6174));

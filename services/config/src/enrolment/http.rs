//! The endpoints for enrolment tokens, and the one at which a gateway enrols. That one asks for no access token: the enrolment
//! token proves the right.

use access::{Action, Caller, Makers, Session};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{ControlPlaneId, EnrolmentTokenId, NodeId, Region};
use mutation::{Key, Mutation};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use sync::{
    enrolment::EnrolmentToken,
    identity::NodeIdentity,
    limits::{TEXT_BYTES_MAX, bounded},
};
use time::Duration;
use utoipa::ToSchema;
use web::{Api, Cursor, Cursored, Endpoint, FieldError, Json, Path, Problem, ProblemType, Query, text};

use super::{
    Enrolment, EnrolmentError,
    tokens::{self, EnrolmentTokenInfo, NewToken},
};
use crate::{
    app::App,
    control_planes::ControlPlanes,
    error::Answer,
    nodes::{self, store::Entered},
};

/// Validity of an enrolment token if the request names none, and the longest one, in seconds.
const TTL_DEFAULT: u32 = 3600;
const TTL_MAX: u32 = 7 * 24 * 3600;
/// How many nodes may enrol with one token if the request does not say, and the most that it may say.
const USES_DEFAULT: u32 = 1;
const USES_MAX: u32 = 10_000;

/// Adds the endpoints for enrolment tokens, and the one at which a gateway exchanges a token for a certificate.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes/{control_plane_id}/enrolment-tokens";
    const ONE: &str = "/v2/control-planes/{control_plane_id}/enrolment-tokens/{token_id}";
    api.endpoint(
        Endpoint::get(ALL, "List enrolment tokens")
            .query::<Cursor>()
            .answers::<Cursored<EnrolmentTokenInfo>>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(ALL, "Create an enrolment token, with the command that starts a gateway with it")
            .body::<CreateEnrolmentToken>()
            .answers::<CreatedEnrolmentToken>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::delete(ONE, "Delete an enrolment token; nodes that enrolled with it stay"), delete)
    .endpoint(
        Endpoint::post(
            "/v1/nodes/enrol",
            "Enrol a node: an enrolment token and a certificate request for a certificate",
        )
        .with_credential("the enrolment token is unknown, expired, used up or deleted; make a new one")
        .refuses(
            ProblemType::Forbidden,
            "this node was removed; start it with an empty data folder to enrol it as a new one",
        )
        .refuses(
            ProblemType::Conflict,
            "this node id belongs to a node with another key; remove that node, or start this one with an empty data folder",
        )
        .body::<EnrolBody>()
        .answers::<Enrolled>(StatusCode::OK),
        enrol,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateEnrolmentToken {
    #[serde(default)]
    name: Option<String>,
    /// Seconds until it expires; an hour unless given, at most a week, and at most as long as the access token of the request lives. It
    /// ends with that token in any case.
    ttl_seconds: Option<u32>,
    /// How many nodes may enrol with it; one unless given.
    uses: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct CreatedEnrolmentToken {
    #[serde(flatten)]
    info: EnrolmentTokenInfo,
    /// Shown this once.
    token: String,
    /// Starts a gateway that enrols with this token: paste it where the gateway shall run.
    command: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EnrolBody {
    token: String,
    node_id: NodeId,
    #[serde(default)]
    hostname: String,
    /// Certificate signing request (PKCS #10) in PEM. Of it only the key is used.
    csr_pem: String,
}

#[derive(Serialize, ToSchema)]
struct Enrolled {
    certificate_pem: String,
    ca_pem: String,
    control_plane_id: ControlPlaneId,
    #[schema(value_type = String)]
    region: Region,
    /// Where to connect to.
    sync: Vec<String>,
}

async fn list(
    State(planes): State<ControlPlanes>,
    State(enrolment): State<Enrolment>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    Query(cursor): Query<Cursor>,
) -> Answer<Json<Cursored<EnrolmentTokenInfo>>> {
    planes.authorize(&caller, id, Action::NodeEnrol).await?;
    let limit = cursor.limit();
    let found = tokens::list(&enrolment.db, id, cursor.after()?, limit).await?;
    Ok(Json(cursor.page(found, |token| token.id)))
}

async fn create(
    State(planes): State<ControlPlanes>,
    State(enrolment): State<Enrolment>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    key: Option<Key>,
    Json(body): Json<CreateEnrolmentToken>,
) -> Answer<Response> {
    planes.authorize(&caller, id, Action::NodeEnrol).await?;
    let name = text::description("name", &body.name.unwrap_or_default())?;
    let now = enrolment.clock.now();
    let ttl = life(body.ttl_seconds, caller.session.ends_at.saturating_sub(now.unix_timestamp()))?;
    let uses = body.uses.unwrap_or(USES_DEFAULT);
    if uses == 0 || uses > USES_MAX {
        return Err(Problem::invalid_field("uses", format!("1 to {USES_MAX}")).into());
    }
    let token_id = EnrolmentTokenId::generate();
    let token = EnrolmentToken {
        id: token_id.uuid(),
        secret: enrolment.random.bytes(),
        api: enrolment.public.api.clone(),
        sync: enrolment.public.sync.clone(),
        ca_sha256: enrolment.ca.sha256(),
    };
    let expires_at = now + Duration::seconds(i64::from(ttl));
    let session = serde_json::to_string(&caller.session).map_err(Problem::internal)?;
    let mut write = Mutation::by(&caller, "enrolment-token.create").under(key).begin(&enrolment.db).await?;
    let new = NewToken {
        id: token_id,
        name: &name,
        secret_hash: token.secret_hash(),
        uses_max: uses,
        expires_at,
        session: &session,
    };
    let info = tokens::insert(write.connection(), id, new).await?;
    let token = token.encode();
    // In the environment and not in the arguments, which everybody on a machine can read.
    let command = format!("LANDBRIDGE_ENROLMENT_TOKEN={token} dataplane serve --data-dir ./landbridge-data");
    let created = CreatedEnrolmentToken { info, token, command };
    Ok(write.answer(&token_id.to_string(), StatusCode::CREATED, &created).await?)
}

/// How many seconds a token lives that is made in a session which has `left` to live. What was asked for is never shortened.
fn life(asked: Option<u32>, left: i64) -> Result<u32, FieldError> {
    let longest = u32::try_from(left.max(1)).unwrap_or(TTL_MAX).min(TTL_MAX);
    match asked {
        None => Ok(TTL_DEFAULT.min(longest)),
        Some(asked) if (1..=longest).contains(&asked) => Ok(asked),
        Some(_) => {
            let reason = format!(
                "1 to {longest}: at most {TTL_MAX}, and no longer than the access token of the request"
            );
            Err(FieldError { field: "ttl_seconds".to_owned(), reason })
        }
    }
}

async fn delete(
    State(planes): State<ControlPlanes>,
    State(enrolment): State<Enrolment>,
    caller: Caller,
    Path((id, token)): Path<(ControlPlaneId, EnrolmentTokenId)>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, id, Action::NodeEnrol).await?;
    let mut write = Mutation::by(&caller, "enrolment-token.delete").begin(&enrolment.db).await?;
    if !tokens::delete(write.connection(), id, token).await? {
        return Err(Problem::not_found("enrolment token").into());
    }
    write.commit(&token.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enrols a node. A node id belongs to the key that it was enrolled with first. A node that repeats its request with this key, because
/// the answer was lost, does not count as another use of the token.
async fn enrol(
    State(enrolment): State<Enrolment>,
    makers: Makers,
    Json(body): Json<EnrolBody>,
) -> Answer<Json<Enrolled>> {
    if body.hostname.len() > TEXT_BYTES_MAX || body.hostname.chars().any(char::is_control) {
        let reason = format!("at most {TEXT_BYTES_MAX} bytes, without control characters");
        return Err(Problem::invalid_field("hostname", reason).into());
    }
    let token = EnrolmentToken::parse(&body.token).map_err(EnrolmentError::from)?;
    let csr = CertificateSigningRequestDer::from_pem_slice(body.csr_pem.as_bytes())
        .map_err(|_| Problem::invalid_field("csr_pem", "must be a certificate signing request in PEM"))?;
    let token_id = EnrolmentTokenId::from_uuid(token.id);
    let known = tokens::find(&enrolment.db, token_id).await?.ok_or(EnrolmentError::Refused)?;
    let secret_fits: bool = known.secret_hash.ct_eq(&token.secret_hash()).into();
    if !secret_fits {
        return Err(EnrolmentError::Refused.into());
    }
    let now = enrolment.clock.now();
    if let Some(session) = &known.session {
        let session: Session = serde_json::from_str(session).map_err(Problem::internal)?;
        if !makers.lives(&session, now.unix_timestamp()).await? {
            return Err(EnrolmentError::Refused.into());
        }
    }

    let mut write =
        Mutation::by_operator(known.organization_id.into(), "node.enrol").begin(&enrolment.db).await?;
    let presented = tokens::present(write.connection(), token_id).await?.ok_or(EnrolmentError::Refused)?;
    if presented.expires_at <= now {
        return Err(EnrolmentError::Refused.into());
    }
    let control_plane: ControlPlaneId = presented.control_plane_id.into();
    let again =
        nodes::store::enrolled_with(write.connection(), control_plane, body.node_id, token_id).await?;
    if !again {
        if presented.uses_left <= 0 {
            return Err(EnrolmentError::Refused.into());
        }
        tokens::use_up(write.connection(), token_id).await?;
    }
    let node = NodeIdentity { region: enrolment.region.clone(), control_plane, node: body.node_id };
    let issued = enrolment.ca.sign(&csr, &node, now).map_err(EnrolmentError::from)?;
    let entered = nodes::store::enrol(
        write.connection(),
        control_plane,
        body.node_id,
        bounded(&body.hostname),
        token_id,
        &issued,
    )
    .await?;
    match entered {
        Entered::Yes => {}
        Entered::Removed => return Err(EnrolmentError::Removed.into()),
        Entered::OtherKey => return Err(EnrolmentError::OtherKey.into()),
    }
    write.commit(&node.to_string()).await?;
    Ok(Json(Enrolled {
        certificate_pem: issued.pem,
        ca_pem: enrolment.ca.pem().to_owned(),
        control_plane_id: control_plane,
        region: enrolment.region.clone(),
        sync: enrolment.public.sync.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use super::{TTL_DEFAULT, TTL_MAX, life};

    #[test]
    fn a_token_lives_no_longer_than_the_session_that_makes_it() {
        assert_eq!(life(None, i64::MAX).expect("by default"), TTL_DEFAULT);
        assert_eq!(life(None, 60).expect("shorter than by default"), 60);
        assert_eq!(life(Some(60), 60).expect("as long"), 60);
        let refused = life(Some(61), 60).expect_err("never shortened in silence");
        assert!(refused.field == "ttl_seconds" && refused.reason.starts_with("1 to 60"), "{refused:?}");
        assert_eq!(life(Some(TTL_MAX), i64::MAX).expect("the longest"), TTL_MAX);
        for wrong in [0, TTL_MAX + 1] {
            assert!(life(Some(wrong), i64::MAX).is_err(), "{wrong}");
        }
    }
}

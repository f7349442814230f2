//! `…/acme_certificates/{id}/order`: how the order of a certificate stands, and another attempt at once.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode};
use gateway_model::{AcmeCertificate, Entity, Kind};
use ids::ControlPlaneId;
use mutation::Mutation;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Api, Endpoint, Json, Path, Problem};

use super::{
    Acme, due,
    store::{self, Record},
};
use crate::{app::App, control_planes::ControlPlanes, entities::store as entities, error::Answer};

/// Adds the endpoints of orders.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ORDER: &str =
        "/v2/control-planes/{control_plane_id}/core-entities/acme_certificates/{entity}/order";
    api.endpoint(
        Endpoint::get(ORDER, "How the order of an ACME certificate stands")
            .answers::<OrderStatus>(StatusCode::OK),
        status,
    )
    .endpoint(
        Endpoint::put(ORDER, "Try again at once to order an ACME certificate that could not be ordered"),
        try_again,
    )
}

/// Whether there is a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OrderState {
    /// There is none yet that is for all domains, and no attempt has failed.
    Pending,
    /// There is one for all domains. It stays in service when a renewal fails.
    Valid,
    /// There is none that is for all domains, and the last attempt has failed.
    Failed,
}

/// How the order of a certificate stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcmeOrder)]
struct OrderStatus {
    state: OrderState,
    /// Name of the ACME server that has issued the certificate in service; null if there is none.
    directory: Option<String>,
    /// Its serial number, in hexadecimal.
    serial: Option<String>,
    /// From when on it is valid, RFC 3339.
    #[serde(with = "time::serde::rfc3339::option")]
    not_before: Option<OffsetDateTime>,
    /// Until when it is valid, RFC 3339.
    #[serde(with = "time::serde::rfc3339::option")]
    not_after: Option<OffsetDateTime>,
    /// Whether an attempt is under way.
    ordering: bool,
    /// Attempts since the last success.
    attempts: u32,
    /// When the next attempt is made, or the certificate is renewed, RFC 3339; null while nobody has looked at it, or an attempt is under way.
    #[serde(with = "time::serde::rfc3339::option")]
    next_attempt_at: Option<OffsetDateTime>,
    /// Why the last attempt has failed; null if it has not.
    last_error: Option<LastError>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcmeOrderError)]
struct LastError {
    /// In words, for the most part the ACME server's.
    message: String,
    /// When, RFC 3339.
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
}

async fn status(
    State(planes): State<ControlPlanes>,
    State(acme): State<Acme>,
    caller: Caller,
    Path((id, entity)): Path<(ControlPlaneId, Uuid)>,
) -> Answer<Json<OrderStatus>> {
    planes.authorize(&caller, id, Action::CertificateRead).await?;
    let certificate = acme.certificate(id, entity).await?;
    let (record, now) = store::record(&acme.db, id, entity).await?;
    Ok(Json(shown(entity, &certificate, record, now)))
}

/// Not within a minute of the last attempt: an ACME server forgives few failures.
async fn try_again(
    State(planes): State<ControlPlanes>,
    State(acme): State<Acme>,
    caller: Caller,
    Path((id, entity)): Path<(ControlPlaneId, Uuid)>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, id, Action::CertificateWrite).await?;
    acme.certificate(id, entity).await?;
    let mut write = Mutation::by(&caller, "acme_certificate.order").begin(&acme.db).await?;
    store::hurry(write.connection(), id, entity).await?;
    write.commit(&format!("{id}/{entity}")).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Acme {
    /// The entity; 404 if there is none.
    async fn certificate(&self, id: ControlPlaneId, entity: Uuid) -> Answer<AcmeCertificate> {
        let row = entities::get(&self.db, id, Kind::AcmeCertificate, entity).await?;
        let row = row.ok_or_else(|| Problem::not_found(Kind::AcmeCertificate.label()))?;
        match row.entity(&self.entities.sealing(id))? {
            Entity::AcmeCertificate(certificate) => Ok(certificate),
            _ => Err(Problem::not_found(Kind::AcmeCertificate.label()).into()),
        }
    }
}

fn shown(id: Uuid, certificate: &AcmeCertificate, record: Record, now: OffsetDateTime) -> OrderStatus {
    let issued = certificate.state.as_ref().and_then(|state| state.issued.as_ref());
    let leaf = issued.and_then(|issued| issued.leaf());
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
    let not_after = leaf.as_ref().and_then(|leaf| at(leaf.not_after));
    // Zero: what there is is not what the entity asks for.
    let is_valid = due::needed_at(id, certificate) > 0 && not_after.is_some_and(|end| end > now);
    let has_failed = !record.error.is_empty();
    let ordering = record.is_claimed;
    let is_seen = record != Record::default();
    OrderStatus {
        state: match (is_valid, has_failed) {
            (true, _) => OrderState::Valid,
            (false, true) => OrderState::Failed,
            (false, false) => OrderState::Pending,
        },
        directory: issued.map(|issued| issued.directory.clone()),
        serial: leaf.as_ref().map(|leaf| leaf.serial.clone()),
        not_before: leaf.as_ref().and_then(|leaf| at(leaf.not_before)),
        not_after,
        ordering,
        attempts: record.past.attempts,
        next_attempt_at: at(record.past.due_at).filter(|_| is_seen && !ordering),
        last_error: has_failed.then_some(LastError { message: record.error, at: record.error_at }),
    }
}

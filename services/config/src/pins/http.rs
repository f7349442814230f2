//! `/v2/control-planes/{id}/dp-client-certificates`, in Konnect's shape.

use access::{Action, Caller};
use axum::{extract::State, http::StatusCode, response::Response};
use ids::{ControlPlaneId, PinnedCertificateId, Region};
use mutation::{Key, Mutation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Api, Endpoint, Json, Path, Problem, ProblemType, text};

use super::{
    PinError, Pins,
    certificate::Usable,
    store::{self, NewPin, PinRow},
};
use crate::{app::App, control_planes::ControlPlanes, error::Answer};

/// Adds the endpoints for pinned certificates.
pub fn endpoints(api: Api<App>) -> Api<App> {
    const ALL: &str = "/v2/control-planes/{control_plane_id}/dp-client-certificates";
    const ONE: &str = "/v2/control-planes/{control_plane_id}/dp-client-certificates/{certificate_id}";
    api.endpoint(
        Endpoint::get(ALL, "List pinned certificates: what gateways are known by that did not enrol")
            .answers::<CertificatesPage>(StatusCode::OK),
        list,
    )
    .endpoint(
        Endpoint::post(
            ALL,
            "Pin a certificate: gateways that hold its key are nodes of the control plane, as many as they like",
        )
        .refuses(
            ProblemType::Conflict,
            "the certificate is pinned already, and belongs to one control plane; give each control plane a certificate of its own",
        )
        .refuses(
            ProblemType::LimitReached,
            "a control plane has at most 32 pinned certificates, and an organization 1000; delete those that no gateway uses",
        )
        .body::<PinBody>()
        .answers::<CertificateItem>(StatusCode::CREATED),
        create,
    )
    .endpoint(Endpoint::get(ONE, "One pinned certificate").answers::<CertificateItem>(StatusCode::OK), get)
    .endpoint(
        Endpoint::delete(ONE, "Delete a pinned certificate: the streams of its nodes end, and it opens nothing more"),
        delete,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PinBody {
    /// The gateways' certificate in PEM, without its chain and without its key: self-signed, or of any CA but the region's. What it says does
    /// not matter, but from when until when it counts.
    cert: String,
    /// For people.
    #[serde(default)]
    title: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PinnedCertificate)]
struct CertificateBody {
    /// A UUID; names the certificate when it is read or deleted.
    id: PinnedCertificateId,
    /// PEM, as it was sent.
    cert: String,
    /// Given by whoever pinned it; may be empty.
    title: String,
    /// SHA-256 of the certificate (DER), in hexadecimal.
    sha256: String,
    /// When the certificate ends, in seconds since 1970. It opens no stream from then on: pin the next one before, and give it to the
    /// gateways.
    expires_at: i64,
    /// When it was pinned, in seconds since 1970.
    created_at: i64,
    /// The same: a pinned certificate does not change.
    updated_at: i64,
}

impl From<PinRow> for CertificateBody {
    fn from(row: PinRow) -> Self {
        Self {
            id: row.id.into(),
            cert: row.cert,
            title: row.title,
            sha256: hex::encode(row.sha256),
            expires_at: row.not_after.unix_timestamp(),
            created_at: row.created_at.unix_timestamp(),
            updated_at: row.created_at.unix_timestamp(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PinnedCertificateItem)]
struct CertificateItem {
    item: CertificateBody,
    /// What gateways need besides the certificate and its key.
    gateway: GatewaySettings,
}

/// The section `pinned` of a gateway's settings, but for the files with the certificate and its key.
#[derive(Serialize, ToSchema)]
struct GatewaySettings {
    control_plane: ControlPlaneId,
    #[schema(value_type = String)]
    region: Region,
    /// Where to connect to.
    sync: Vec<String>,
    /// The region's CA in PEM, by which gateways verify the control plane: the content of the file that the setting names.
    ca: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PinnedCertificates)]
struct CertificatesPage {
    items: Vec<CertificateBody>,
    page: Total,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PinnedCertificatesPage)]
struct Total {
    total_count: usize,
}

impl Pins {
    fn item(&self, control_plane: ControlPlaneId, row: PinRow) -> CertificateItem {
        let gateway = GatewaySettings {
            control_plane,
            region: self.region.clone(),
            sync: self.public.sync.clone(),
            ca: self.ca.pem().to_owned(),
        };
        CertificateItem { item: row.into(), gateway }
    }
}

async fn list(
    State(planes): State<ControlPlanes>,
    State(pins): State<Pins>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
) -> Answer<Json<CertificatesPage>> {
    planes.authorize(&caller, id, Action::NodeList).await?;
    let rows = store::list(&pins.db, id).await?;
    let items: Vec<CertificateBody> = rows.into_iter().map(CertificateBody::from).collect();
    let page = Total { total_count: items.len() };
    Ok(Json(CertificatesPage { items, page }))
}

async fn get(
    State(planes): State<ControlPlanes>,
    State(pins): State<Pins>,
    caller: Caller,
    Path((id, certificate)): Path<(ControlPlaneId, PinnedCertificateId)>,
) -> Answer<Json<CertificateItem>> {
    planes.authorize(&caller, id, Action::NodeList).await?;
    let row = store::find(&pins.db, id, certificate).await?;
    let row = row.ok_or_else(|| Problem::not_found("pinned certificate"))?;
    Ok(Json(pins.item(id, row)))
}

async fn create(
    State(planes): State<ControlPlanes>,
    State(pins): State<Pins>,
    caller: Caller,
    Path(id): Path<ControlPlaneId>,
    key: Option<Key>,
    Json(body): Json<PinBody>,
) -> Answer<Response> {
    planes.authorize(&caller, id, Action::NodeEnrol).await?;
    let title = text::description("title", &body.title.unwrap_or_default())?;
    let usable = Usable::read(&body.cert, pins.clock.now())?;
    if pins.ca.has_issued(&usable.der) {
        let reason = "it was issued by this region's CA: its node is known by it without being pinned";
        return Err(PinError::Unusable(reason.to_owned()).into());
    }
    let certificate = PinnedCertificateId::generate();
    let new = NewPin { id: certificate, title: &title, cert: &body.cert, usable: &usable };
    let mut write = Mutation::by(&caller, "dp-client-certificate.create").under(key).begin(&pins.db).await?;
    let row = store::insert(write.connection(), caller.organization(), id, new).await?;
    let target = format!("{id}/{certificate}");
    let answer = write.answer(&target, StatusCode::CREATED, &pins.item(id, row)).await?;
    // The next handshake here takes it; where this fails, one a moment later does.
    let _ = pins.known.read().await;
    Ok(answer)
}

async fn delete(
    State(planes): State<ControlPlanes>,
    State(pins): State<Pins>,
    caller: Caller,
    Path((id, certificate)): Path<(ControlPlaneId, PinnedCertificateId)>,
) -> Answer<StatusCode> {
    planes.authorize(&caller, id, Action::NodeRemove).await?;
    let mut write = Mutation::by(&caller, "dp-client-certificate.delete").begin(&pins.db).await?;
    if !store::delete(write.connection(), id, certificate).await? {
        return Err(Problem::not_found("pinned certificate").into());
    }
    write.commit(&format!("{id}/{certificate}")).await?;
    pins.feed.notice(id).await;
    Ok(StatusCode::NO_CONTENT)
}

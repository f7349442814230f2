//! Resolving tokens from the database: for this service itself, and for the others over gRPC.

use std::sync::Arc;

use access::{KeySet, PrincipalKind, Refusal, Session, Sessions, Unavailable};
use futures::future::BoxFuture;
use ids::kinds;
use postgres::SqlId;
use proto::identity::v1::{
    PrincipalKind as ProtoKind, ResolveTokenRequest, ResolveTokenResponse, SigningKeysRequest,
    SigningKeysResponse, identity_server,
};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use crate::signing_keys::SigningKeys;

pub struct LocalSessions {
    db: PgPool,
    keys: Arc<SigningKeys>,
}

#[derive(FromRow)]
struct Row {
    id: SqlId<kinds::Token>,
    organization_id: SqlId<kinds::Organization>,
    principal_id: SqlId<kinds::Principal>,
    principal_kind: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
}

impl LocalSessions {
    pub fn new(db: PgPool, keys: Arc<SigningKeys>) -> Self {
        Self { db, keys }
    }

    async fn by_hash(&self, sha256: &[u8]) -> Result<Result<Session, Refusal>, Unavailable> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, organization_id, principal_id, principal_kind, created_at, expires_at, revoked_at
             FROM replicated.token WHERE sha256 = $1",
        )
        .bind(sha256)
        .fetch_optional(&self.db)
        .await
        .map_err(|error| Unavailable::new("identity", &error))?;
        let Some(row) = row else { return Ok(Err(Refusal::Unknown)) };
        if row.revoked_at.is_some() || row.expires_at <= OffsetDateTime::now_utc() {
            return Ok(Err(Refusal::Ended));
        }
        Ok(Ok(Session {
            organization: row.organization_id.into(),
            principal: row.principal_id.into(),
            kind: if row.principal_kind == "user" {
                PrincipalKind::User
            } else {
                PrincipalKind::SystemAccount
            },
            id: row.id.into(),
            issued_at: row.created_at.unix_timestamp(),
            expires_at: row.expires_at.unix_timestamp(),
        }))
    }
}

impl Sessions for LocalSessions {
    fn resolve(&self, sha256: [u8; 32]) -> BoxFuture<'_, Result<Result<Session, Refusal>, Unavailable>> {
        Box::pin(async move { self.by_hash(&sha256).await })
    }

    fn signing_keys(&self) -> BoxFuture<'_, Result<KeySet, Unavailable>> {
        Box::pin(
            async move { self.keys.key_set().await.map_err(|error| Unavailable::new("identity", &error)) },
        )
    }
}

/// The gRPC service behind `access::RemoteSessions`.
pub struct Internal(pub Arc<LocalSessions>);

#[tonic::async_trait]
impl identity_server::Identity for Internal {
    async fn resolve_token(
        &self,
        request: Request<ResolveTokenRequest>,
    ) -> Result<Response<ResolveTokenResponse>, Status> {
        let resolved = self.0.by_hash(&request.get_ref().sha256).await;
        match resolved.map_err(|_| Status::unavailable("the database cannot be asked"))? {
            Ok(session) => Ok(Response::new(ResolveTokenResponse {
                organization_id: session.organization.to_string(),
                principal_id: session.principal.to_string(),
                principal_kind: match session.kind {
                    PrincipalKind::User => ProtoKind::User.into(),
                    PrincipalKind::SystemAccount => ProtoKind::SystemAccount.into(),
                },
                session_id: session.id.to_string(),
                issued_at: session.issued_at,
                expires_at: session.expires_at,
            })),
            Err(Refusal::Unknown) => Err(Status::not_found("no such token")),
            Err(Refusal::Ended) => Err(Status::unauthenticated("revoked or expired")),
        }
    }

    async fn signing_keys(
        &self,
        _request: Request<SigningKeysRequest>,
    ) -> Result<Response<SigningKeysResponse>, Status> {
        let jwks =
            self.0.keys.jwks().await.map_err(|_| Status::unavailable("the database cannot be asked"))?;
        Ok(Response::new(SigningKeysResponse { jwks_json: jwks.to_string() }))
    }
}

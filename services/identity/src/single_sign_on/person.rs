//! Who somebody is whom a provider has signed on: a person of the organization, found or made.
//!
//! Issuer and subject decide. The first time nobody is linked to them; then the e-mail address counts, if the provider calls it verified, and
//! if it is in a domain that the organization has verified. Whoever has it is linked, or is made. From then on an address that changes there
//! moves nothing here: addresses are given to others in time.

use std::sync::Arc;

use access::Requested;
use ids::{OrganizationId, UserId, kinds};
use mutation::Mutation;
use postgres::SqlId;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use web::ProblemType;

use super::{Error, exchange::Said};
use crate::{
    app::{App, Tx},
    console::sign_on::{Attempt, NOT_ADMITTED},
    domains,
    error::Answer,
    identity_providers::Config,
    users,
};

/// Why somebody may not sign on, whoever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no address.
    #[error(
        "the identity provider tells no e-mail address of you; an administrator can name another claim or ask for the scope email"
    )]
    NoEmail,
    /// The address may be anybody's.
    #[error("the identity provider does not call your e-mail address verified; verify it there")]
    Unverified,
    /// The provider cannot vouch for the address.
    #[error("your e-mail address is in no domain that the organization has verified; ask an administrator")]
    ForeignDomain,
    /// Another subject of the provider is the person with the address.
    #[error(
        "somebody else at the identity provider has signed on with your e-mail address; ask an administrator"
    )]
    Linked,
    /// The person is deactivated.
    #[error("you are deactivated; ask an administrator")]
    Inactive,
    /// Too many to be looked at.
    #[error("you are in too many groups; an administrator can let the identity provider tell fewer")]
    TooManyGroups,
}

/// Who a subject of an issuer is, if somebody is linked to it.
pub async fn linked(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    issuer: &str,
    subject: &str,
) -> Result<Option<UserId>, postgres::Error> {
    let row: Option<(SqlId<kinds::User>,)> = sqlx::query_as(
        "SELECT person_id FROM resident.identity_link WHERE organization_id = $1 AND issuer = $2 AND subject = $3",
    )
    .bind(SqlId(organization))
    .bind(issuer)
    .bind(subject)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|(id,)| id.into()))
}

/// The person of whom `said` is, found or made. [`Refused`] if there is none, and none can be made.
pub(super) async fn find_or_make(
    app: &App,
    organization: OrganizationId,
    config: &Config,
    said: &Said,
    requested: &Arc<Requested>,
) -> Answer<UserId> {
    let deactivated = |person| {
        let attempt = Attempt { app, requested, organization, person: Some(person) };
        attempt.failed(NOT_ADMITTED, ProblemType::Forbidden);
        Err(Error::from(Refused::Inactive).into())
    };
    if let Some(person) = linked(&app.db, organization, &said.issuer, &said.subject).await? {
        let found = users::store::find(&app.db, organization, person).await?;
        return match found {
            Some(found) if found.active => Ok(person),
            _ => deactivated(person),
        };
    }
    let email = address(config, said).map_err(Error::from)?;
    let domain = domains::of_address(&email).unwrap_or_default();
    if !domains::store::is_verified(&app.db, organization, domain).await? {
        return Err(Error::from(Refused::ForeignDomain).into());
    }
    let known = users::store::by_email(&app.db, organization, &email).await?;
    if let Some(known) = known.filter(|known| !known.active) {
        return deactivated(known.id);
    }
    let name = said.claims.get(&config.claim_mappings.name).and_then(Value::as_str).unwrap_or_default();
    // A name that cannot be shown keeps nobody out.
    let full_name = users::parse_full_name("full_name", name).unwrap_or_default();
    let (issuer, subject) = (said.issuer.clone(), said.subject.clone());
    let id: UserId = app.random.id(app.clock.now());
    let work = app.write(Mutation::by_operator(organization, "user.link-identity"), move |tx| {
        Box::pin(async move {
            // The log is locked: of two sign-ons at once, one finds what the other has done.
            if let Some(person) = linked(tx.connection(), organization, &issuer, &subject).await? {
                return Ok(person);
            }
            let person = match users::store::by_email(tx.connection(), organization, &email).await? {
                Some(found) if !found.active => return Err(Error::from(Refused::Inactive).into()),
                Some(found) => found.id,
                None => users::join(tx, id, &email, full_name).await?.id,
            };
            link(tx, &issuer, &subject, person).await?;
            tx.audit(&person.to_string()).await?;
            Ok(person)
        })
    });
    work.await
}

/// Links a person to a subject. A person has one subject of each issuer: another one is somebody else, who has got the address since.
async fn link(tx: &mut Tx<'_>, issuer: &str, subject: &str, person: UserId) -> Answer<()> {
    let (organization, at) = (tx.organization(), tx.at());
    let connection: &mut PgConnection = tx.connection();
    let linked = sqlx::query(
        "INSERT INTO resident.identity_link (organization_id, issuer, subject, person_id, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT identity_link_person DO NOTHING",
    )
    .bind(SqlId(organization))
    .bind(issuer)
    .bind(subject)
    .bind(SqlId(person))
    .bind(at)
    .execute(connection)
    .await
    .map_err(postgres::Error::from)?;
    if linked.rows_affected() == 0 {
        return Err(Error::from(Refused::Linked).into());
    }
    Ok(())
}

/// The address that the provider vouches for.
fn address(config: &Config, said: &Said) -> Result<String, Refused> {
    let given = said.claims.get(&config.claim_mappings.email).and_then(Value::as_str);
    let email = given.and_then(users::parse_email).ok_or(Refused::NoEmail)?;
    let is_verified = match said.claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        // As some providers send it.
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    if is_verified || config.accept_unverified_emails { Ok(email) } else { Err(Refused::Unverified) }
}

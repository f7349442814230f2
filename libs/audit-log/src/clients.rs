//! Where the requests of entries came from: address and user agent, in the home region of the entry's organization and nowhere else.
//!
//! They stand in a table of their own, `resident.audit_client`. The entry has a hash of them, with 32 bytes of salt that stand beside them,
//! and the chain covers that hash. So whoever changes an address is found; it can be deleted, and the chain stays whole; and who has the
//! entry alone cannot try addresses until one fits.

use access::PrincipalKind;
use ids::OrganizationId;
use postgres::{Error, PgPool, SqlId};
use replication::Hash;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::Entry;

/// What the hash begins with.
const CONTEXT: &str = "landbridge audit client v1";
/// Bytes of salt.
pub(crate) const SALT_BYTES: usize = 32;

/// The hash of a client in an entry. The same is computed in [`keep`], by Postgres.
pub(crate) fn hash(salt: &[u8; SALT_BYTES], address: &str, user_agent: &str) -> Hash {
    let length = u32::try_from(address.len()).unwrap_or(u32::MAX);
    let mut hasher = Sha256::new();
    for part in [CONTEXT.as_bytes(), salt, &length.to_be_bytes(), address.as_bytes(), user_agent.as_bytes()] {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Keeps the clients of those entries whose organization is at home here. Answers, for each entry, the hash that it gets; `None` where no
/// client is kept. What the platform operator is sitting at is no organization's business.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    entries: &[Entry],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut hashes = vec![None; entries.len()];
    let of_people = |entry: &&Entry| entry.actor_kind != Some(PrincipalKind::Operator);
    let client = |entry: &'_ Entry| entry.requested.as_ref().and_then(|requested| requested.client.clone());
    let clients: Vec<_> = (0_i64..)
        .zip(entries)
        .filter(|(_, entry)| of_people(entry))
        .filter_map(|(number, entry)| Some((number, entry.organization, client(entry)?)))
        .collect();
    let Some((_, _, first)) = clients.first() else { return Ok(hashes) };
    let address =
        |client: &access::Client| client.address.map(|address| address.to_string()).unwrap_or_default();
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "WITH made AS MATERIALIZED (
             SELECT number, organization, salt, address, agent,
                 sha256(convert_to($6, 'UTF8') || salt || int4send(octet_length(address))
                        || convert_to(address, 'UTF8') || convert_to(agent, 'UTF8')) AS hash
             FROM (SELECT given.*, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) AS salt
                   FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[])
                       AS given (number, organization, address, agent)
                   JOIN replicated.organization AS o ON o.id = organization AND o.home_region = $5
                   WHERE address <> '' OR agent <> '') AS salted
         ), kept AS (
             INSERT INTO resident.audit_client (client_hash, organization_id, salt, address, user_agent)
             SELECT hash, organization, salt, address, agent FROM made
         )
         SELECT number, hash FROM made",
    )
    .bind(clients.iter().map(|(number, ..)| *number).collect::<Vec<_>>())
    .bind(clients.iter().map(|(_, organization, _)| SqlId(*organization)).collect::<Vec<_>>())
    .bind(clients.iter().map(|(.., client)| address(client)).collect::<Vec<_>>())
    .bind(clients.iter().map(|(.., client)| client.user_agent.as_ref()).collect::<Vec<_>>())
    .bind(first.region.as_str())
    .bind(CONTEXT)
    .fetch_all(connection)
    .await?;
    for (number, hash) in rows {
        if let Some(place) = usize::try_from(number).ok().and_then(|number| hashes.get_mut(number)) {
            *place = Some(hash);
        }
    }
    Ok(hashes)
}

/// Whether clients of the entries of `organization` are kept in `region`, whose database `db` is.
pub(crate) async fn are_kept(
    db: &PgPool,
    region: &ids::Region,
    organization: OrganizationId,
) -> Result<bool, Error> {
    let query = "SELECT EXISTS (SELECT FROM replicated.organization WHERE id = $1 AND home_region = $2)";
    let kept =
        sqlx::query_scalar(query).bind(SqlId(organization)).bind(region.as_str()).fetch_one(db).await?;
    Ok(kept)
}

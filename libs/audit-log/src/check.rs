//! Verifies every chain of a database, as it is in one moment.

use ids::{OrganizationId, kinds};
use postgres::{PgPool, SqlId};
use replication::PublicKey;

use crate::{
    Chain, ChainState, Filter, Place,
    chain::ChainRow,
    page,
    verify::{Broken, Verifier, Whole},
};

/// Entries that are in memory at a time.
const PAGE: u32 = 5000;

/// Reads every chain of `db`, which keeps the log of `place`, and clients of entries if `keeps_clients`. `keys` are those that the service
/// signs and has signed with. The inner error names the first entry that is not as it was made.
pub async fn verify_database(
    db: &PgPool,
    place: &Place,
    keys: &[PublicKey],
    keeps_clients: bool,
) -> Result<Result<Whole, Broken>, postgres::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let rows: Vec<ChainRow> = sqlx::query_as("SELECT * FROM audit_chain ORDER BY organization_id")
        .fetch_all(&mut *transaction)
        .await?;
    // Chains whose end was removed.
    let without: Vec<(SqlId<kinds::Organization>,)> = sqlx::query_as(
        "SELECT DISTINCT organization_id FROM audit AS a WHERE seq IS NOT NULL
         AND NOT EXISTS (SELECT FROM audit_chain AS c WHERE c.organization_id = a.organization_id)",
    )
    .fetch_all(&mut *transaction)
    .await?;
    let ends = rows.into_iter().map(|row| row.state(place));
    let endless = without.into_iter().map(|(id,)| {
        ChainState::empty(Chain { place: place.clone(), organization_id: OrganizationId::from(id) })
    });
    let mut whole = Whole::default();
    for state in ends.chain(endless) {
        let organization = state.chain.organization_id;
        let mut filter =
            Filter { after: state.floor_seq, limit: PAGE, with_clients: keeps_clients, ..Filter::default() };
        let mut verifier = match Verifier::begin(keys, state) {
            Ok(verifier) => verifier,
            Err(broken) => return Ok(Err(broken)),
        };
        loop {
            let records = page(&mut *transaction, place, organization, &filter).await?;
            for record in &records {
                if let Err(broken) = verifier.take(record) {
                    return Ok(Err(broken));
                }
                filter.after = record.seq;
            }
            if records.len() < PAGE as usize {
                break;
            }
        }
        match verifier.end() {
            Ok(entries) => whole.entries += entries,
            Err(broken) => return Ok(Err(broken)),
        }
        whole.chains += 1;
    }
    Ok(Ok(whole))
}

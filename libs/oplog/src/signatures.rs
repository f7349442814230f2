//! Signatures of entries that are in the database already: of those that a release wrote which did not sign, and of those that
//! were signed with a key which has been replaced since.

use ids::Region;
use postgres::Error;
use replication::{Entry, KeyId, Origin};

use crate::{
    Replica, columns,
    stored::{self, OperationRow},
};

impl Replica {
    /// At most `limit` entries of `origin` after `after_seq` that are not signed with `key`, in order.
    pub async fn signed_otherwise(
        &self,
        origin: &Origin,
        after_seq: u64,
        key: &KeyId,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let rows: Vec<OperationRow> = sqlx::query_as(
            "SELECT * FROM log_operation
             WHERE origin = $1 AND seq > $2 AND substring(signature FOR 8) IS DISTINCT FROM $3
             ORDER BY seq LIMIT $4",
        )
        .bind(origin.to_string())
        .bind(after_seq.cast_signed())
        .bind(key.as_slice())
        .bind(i64::from(limit))
        .fetch_all(&self.db)
        .await?;
        stored::entries(rows)
    }

    /// Signs entries of the log that is written here.
    pub fn sign(&self, entries: &mut [Entry]) {
        for entry in entries.iter_mut().filter(|entry| entry.origin == self.origin) {
            entry.signature = Some(self.signer.sign(&entry.origin, &entry.tip()));
        }
    }

    /// Keeps the signatures of `entries`, all of one log, for those of them that are in this database.
    pub async fn keep_signatures(&self, entries: &[Entry]) -> Result<(), Error> {
        let Some(first) = entries.first() else { return Ok(()) };
        let mut transaction = self.db.begin().await?;
        let rows: Vec<OperationRow> =
            sqlx::query_as("SELECT * FROM log_operation WHERE origin = $1 AND seq = ANY($2) FOR UPDATE")
                .bind(first.origin.to_string())
                .bind(entries.iter().map(|entry| columns::seq(entry.position)).collect::<Vec<_>>())
                .fetch_all(&mut *transaction)
                .await?;
        let held = stored::entries(rows)?;
        let is_held = |entry: &&Entry| held.iter().any(|held| held.tip() == entry.tip());
        let given: Vec<(i64, Vec<u8>)> = entries
            .iter()
            .filter(is_held)
            .filter_map(|entry| Some((columns::seq(entry.position), entry.signature?.as_bytes().to_vec())))
            .collect();
        let (seqs, signatures): (Vec<_>, Vec<_>) = given.into_iter().unzip();
        sqlx::query(
            "UPDATE log_operation AS held SET signature = given.signature
             FROM unnest($2::bigint[], $3::bytea[]) AS given (seq, signature)
             WHERE held.origin = $1 AND held.seq = given.seq",
        )
        .bind(first.origin.to_string())
        .bind(seqs)
        .bind(signatures)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The regions that are known to sign what they write.
    pub async fn signing_regions(&self) -> Result<Vec<Region>, Error> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT region FROM log_signing_region").fetch_all(&self.db).await?;
        rows.into_iter().map(|(region,)| region.parse().map_err(Error::undecodable)).collect()
    }

    /// Remembers that `region` signs what it writes, for ever.
    pub async fn note_signing(&self, region: &Region) -> Result<(), Error> {
        sqlx::query("INSERT INTO log_signing_region (region) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(region.as_str())
            .execute(&self.db)
            .await?;
        Ok(())
    }
}

//! Attempts to sign on that fail: after some of them, whoever they are about and wherever they come from has to wait, longer each time.
//!
//! An attempt is charged before the password is looked at, and given back when it was right. So many attempts at once count like many
//! one after the other. An address that nobody has is charged like any other. Kept in the database: every replica counts together, and
//! a restart forgets nothing.

use std::{net::IpAddr, time::Duration};

use ids::OrganizationId;
use postgres::Error;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Attempts that may fail in a row before somebody has to wait.
const FREE_OF_PERSON: i32 = 5;
/// The same for a place, where many people may be.
const FREE_OF_PLACE: i32 = 50;
/// The first wait. Each further failure doubles it, up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(900);
/// Failures are forgotten after so long a time without another one.
pub const REMEMBERED: time::Duration = time::Duration::hours(24);

/// Too many attempts have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts have failed")]
pub struct Locked {
    /// Until the next attempt is looked at.
    pub wait: Duration,
}

/// What failures are counted of.
#[derive(Clone, Debug)]
pub struct Subject {
    id: [u8; 32],
    free: i32,
}

impl Subject {
    /// Attempts to be whoever has the address `email` in the organization, whether anybody has it or not.
    pub fn person(organization: OrganizationId, email: &str) -> Self {
        Self::new("person", FREE_OF_PERSON, &[organization.as_bytes(), email.as_bytes()])
    }

    /// Attempts from `address`; of IPv6, from its /64, which one customer of a network has whole.
    pub fn place(address: IpAddr) -> Self {
        let octets = match address.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        };
        Self::new("place", FREE_OF_PLACE, &[&octets])
    }

    /// Requests for a mail from `address`.
    pub fn asking(address: IpAddr) -> Self {
        let Self { id, free } = Self::place(address);
        Self::new("asking", free, &[&id])
    }

    fn new(kind: &str, free: i32, parts: &[&[u8]]) -> Self {
        let mut material = kind.as_bytes().to_vec();
        for part in parts {
            material.extend((part.len() as u64).to_le_bytes());
            material.extend(*part);
        }
        Self { id: blake3::derive_key("landbridge failed attempts v1", &material), free }
    }
}

/// Charges an attempt at `now` to each of `subjects`. The inner error says how long to wait; nothing is looked at then.
pub async fn charge(
    db: &PgPool,
    subjects: &[&Subject],
    now: OffsetDateTime,
) -> Result<Result<(), Locked>, Error> {
    let mut connection = db.acquire().await?;
    for subject in subjects {
        if let Err(locked) = charge_one(&mut connection, subject, now).await? {
            return Ok(Err(locked));
        }
    }
    Ok(Ok(()))
}

async fn charge_one(
    connection: &mut PgConnection,
    subject: &Subject,
    now: OffsetDateTime,
) -> Result<Result<(), Locked>, Error> {
    let charged: Option<(i32,)> = sqlx::query_as(
        "INSERT INTO resident.failed_attempt AS f (subject, failures, last_at) VALUES ($1, 1, $2)
         ON CONFLICT (subject) DO UPDATE SET last_at = $2,
             failures = CASE WHEN f.last_at < $3 THEN 1 ELSE least(f.failures, 1000000) + 1 END
         WHERE f.locked_until IS NULL OR f.locked_until <= $2
         RETURNING failures",
    )
    .bind(&subject.id[..])
    .bind(now)
    .bind(now - REMEMBERED)
    .fetch_optional(&mut *connection)
    .await?;
    match charged {
        Some((failures,)) => {
            if let Some(wait) = wait_after(failures, subject.free) {
                // This attempt is the last one for a while, unless it succeeds.
                sqlx::query("UPDATE resident.failed_attempt SET locked_until = $2 WHERE subject = $1")
                    .bind(&subject.id[..])
                    .bind(now + wait)
                    .execute(connection)
                    .await?;
            }
            Ok(Ok(()))
        }
        None => {
            let row: Option<(OffsetDateTime,)> = sqlx::query_as(
                "SELECT locked_until FROM resident.failed_attempt WHERE subject = $1 AND locked_until IS NOT NULL",
            )
            .bind(&subject.id[..])
            .fetch_optional(connection)
            .await?;
            let wait = row.map(|(until,)| (until - now).unsigned_abs()).unwrap_or(WAIT_MIN);
            Ok(Err(Locked { wait: wait.min(WAIT_MAX) }))
        }
    }
}

/// An attempt that was charged to `person` and `place` has succeeded.
pub async fn succeeded(
    connection: &mut PgConnection,
    person: &Subject,
    place: Option<&Subject>,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM resident.failed_attempt WHERE subject = $1")
        .bind(&person.id[..])
        .execute(&mut *connection)
        .await?;
    // Others may be at the same place: what they have failed still counts.
    give_back(connection, place.as_slice()).await
}

/// An attempt that was charged to `subjects` was not looked at.
pub async fn give_back(connection: &mut PgConnection, subjects: &[&Subject]) -> Result<(), Error> {
    for subject in subjects {
        sqlx::query(
            "UPDATE resident.failed_attempt SET failures = greatest(failures - 1, 0),
                 locked_until = CASE WHEN failures - 1 < $2 THEN NULL ELSE locked_until END WHERE subject = $1",
        )
        .bind(&subject.id[..])
        .bind(subject.free)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// How long to wait after so many failures; `None` while more are free.
fn wait_after(failures: i32, free: i32) -> Option<Duration> {
    let beyond = u32::try_from(failures - free).ok()?;
    Some(WAIT_MIN.saturating_mul(2_u32.saturating_pow(beyond.min(16))).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ids::OrganizationId;

    use super::{FREE_OF_PERSON, Subject, WAIT_MAX, wait_after};

    #[test]
    fn waits_grow_up_to_a_bound() {
        assert_eq!(wait_after(FREE_OF_PERSON - 1, FREE_OF_PERSON), None);
        assert_eq!(wait_after(FREE_OF_PERSON, FREE_OF_PERSON), Some(Duration::from_secs(30)));
        assert_eq!(wait_after(FREE_OF_PERSON + 2, FREE_OF_PERSON), Some(Duration::from_secs(120)));
        assert_eq!(wait_after(i32::MAX, FREE_OF_PERSON), Some(WAIT_MAX));
    }

    #[test]
    fn subjects_differ_and_a_network_is_one_place() {
        let place = |address: &str| Subject::place(address.parse().expect("an address")).id;
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
        assert_eq!(place("2001:db8:0:1::1"), place("2001:db8:0:1:ffff::9"));
        assert_ne!(place("2001:db8:0:1::1"), place("2001:db8:0:2::1"));
        let (one, other) = (OrganizationId::generate(), OrganizationId::generate());
        assert_ne!(Subject::person(one, "a@b").id, Subject::person(other, "a@b").id);
    }
}

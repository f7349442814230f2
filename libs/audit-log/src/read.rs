//! Reads linked entries of one organization, in the order of its chain.

use ids::{OrganizationId, PrincipalId};
use postgres::{Error, PgPool, SqlId};
use sqlx::{AssertSqlSafe, PgExecutor};
use time::OffsetDateTime;

use crate::{
    Chain, ChainState, Place, Record,
    chain::ChainRow,
    record::{COLUMNS, Row},
};

/// Which entries. All conditions hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only entries behind this sequence number.
    pub after: u64,
    /// Only entries up to this sequence number.
    pub up_to: Option<u64>,
    /// Only entries from then on.
    pub from: Option<OffsetDateTime>,
    /// Only entries until then, that moment included.
    pub until: Option<OffsetDateTime>,
    /// Only entries of this type.
    pub kind: Option<String>,
    /// Only entries about what this principal did.
    pub actor: Option<PrincipalId>,
    /// Only entries with this action.
    pub action: Option<String>,
    /// Only entries with this outcome.
    pub outcome: Option<String>,
    /// Whether the entries have their clients with them. To be asked of a database that keeps them.
    pub with_clients: bool,
    /// Only entries about what came from this address. They have their clients with them.
    pub client_ip: Option<String>,
    /// Only entries about what this user agent has sent. They have their clients with them.
    pub user_agent: Option<String>,
    /// How many at most.
    pub limit: u32,
}

impl Filter {
    /// Whether it is about clients.
    pub fn names_client(&self) -> bool {
        self.client_ip.is_some() || self.user_agent.is_some()
    }

    /// Whether the filter lets the client of `record` through.
    pub fn lets_client_through(&self, record: &Record) -> bool {
        let fits = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        fits(&self.client_ip, &record.client_ip) && fits(&self.user_agent, &record.user_agent)
    }

    /// The same for a database that keeps no clients; `None` if nothing there can fit.
    pub(crate) fn without_clients(&self) -> Option<Self> {
        (!self.names_client()).then(|| Self { with_clients: false, ..self.clone() })
    }
}

/// The clients of entries, beside them.
const CLIENTS: &str =
    "LEFT JOIN (SELECT client_hash AS of_entry, salt, address, user_agent FROM resident.audit_client) AS c
     ON c.of_entry = client_hash";

/// The entries of `organization` that `filter` lets through.
pub async fn page(
    executor: impl PgExecutor<'_>,
    place: &Place,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<Vec<Record>, Error> {
    let (more, clients, fits) = match filter.with_clients || filter.names_client() {
        true => (
            ", c.salt, c.address, c.user_agent",
            CLIENTS,
            "AND ($11::text IS NULL OR c.address = $11) AND ($12::text IS NULL OR c.user_agent = $12)",
        ),
        false => ("", "", "AND $11::text IS NULL AND $12::text IS NULL"),
    };
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {COLUMNS}{more} FROM audit {clients}
         WHERE organization_id = $1 AND seq > $2 AND seq <= $3
           AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at <= $5)
           AND ($6::text IS NULL OR type = $6) AND ($7::uuid IS NULL OR actor_id = $7)
           AND ($8::text IS NULL OR action = $8) AND ($9::text IS NULL OR outcome = $9) {fits}
         ORDER BY seq LIMIT $10"
    )))
    .bind(SqlId(organization))
    .bind(filter.after.cast_signed())
    .bind(filter.up_to.map_or(i64::MAX, u64::cast_signed))
    .bind(filter.from)
    .bind(filter.until)
    .bind(filter.kind.as_deref())
    .bind(filter.actor.map(SqlId))
    .bind(filter.action.as_deref())
    .bind(filter.outcome.as_deref())
    .bind(i64::from(filter.limit))
    .bind(filter.client_ip.as_deref())
    .bind(filter.user_agent.as_deref())
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| row.record(place)).collect()
}

/// How far the chain of `organization` goes.
pub async fn state(db: &PgPool, place: &Place, organization: OrganizationId) -> Result<ChainState, Error> {
    let row: Option<ChainRow> = sqlx::query_as("SELECT * FROM audit_chain WHERE organization_id = $1")
        .bind(SqlId(organization))
        .fetch_optional(db)
        .await?;
    let chain = Chain { place: place.clone(), organization_id: organization };
    Ok(row.map_or_else(|| ChainState::empty(chain), |row| row.state(place)))
}

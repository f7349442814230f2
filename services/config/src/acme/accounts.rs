//! The accounts of control planes at ACME servers: one for each server, e-mail address and external account.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gateway_model::{AcmeCertificate, Secret};
use ids::{ControlPlaneId, OrganizationId};
use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use postgres::SqlId;
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, Transaction};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::{Acme, failure::Failure, options::Directory, store::Job};
use crate::rows::RowError;

/// Accounts that an organization makes within a day. ACME servers count those of an address, and that is the region's, for all.
const ACCOUNTS_OF_A_DAY_MAX: i64 = 10;

/// Pause between two looks at whether another attempt has made the account.
const MAKING_INTERVAL: Duration = Duration::from_millis(200);

/// The account that an entity asks for.
pub struct Accounts<'a> {
    pub acme: &'a Acme,
    pub job: Job,
    pub certificate: &'a AcmeCertificate,
    /// The ACME server.
    pub directory: &'a Directory,
}

impl Accounts<'_> {
    fn row(&self) -> AccountRow<'_> {
        AccountRow {
            control_plane: self.job.control_plane,
            directory_url: &self.directory.url,
            email: &self.certificate.account_email,
            eab_kid: self.certificate.eab_kid.as_deref().unwrap_or_default(),
        }
    }

    /// The control plane's account, made if there is none: by one attempt, while others wait for it.
    pub async fn get(&self) -> Result<Account, Failure> {
        let (row, db) = (self.row(), &self.acme.db);
        loop {
            if let Some(sealed) = row.find(db).await? {
                return self.known(&sealed).await;
            }
            if let Some(making) = row.begin_making(db).await? {
                return self.make(making).await;
            }
            sleep(MAKING_INTERVAL).await;
        }
    }

    /// Forgets it: the ACME server does not know it any more.
    pub async fn forget(&self) -> Result<(), RowError> {
        self.row().forget(&self.acme.db).await
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(self.directory.client.clone()))
    }

    async fn known(&self, sealed: &[u8]) -> Result<Account, Failure> {
        let purpose = self.row().purpose();
        let opened = self.acme.seal.open(&purpose, sealed).map(Zeroizing::new);
        let credentials =
            opened.ok().and_then(|opened| serde_json::from_slice::<AccountCredentials>(&opened).ok());
        let credentials =
            credentials.ok_or_else(|| Failure::refused("the account's key cannot be read in this region"))?;
        Ok(self.builder().from_credentials(credentials).await?)
    }

    async fn make(&self, mut making: Making) -> Result<Account, Failure> {
        let (row, organization) = (self.row(), self.job.organization);
        // Another attempt may have made it just before.
        if let Some(sealed) = row.find(making.connection()).await? {
            return self.known(&sealed).await;
        }
        if made_lately(making.connection(), organization).await? >= ACCOUNTS_OF_A_DAY_MAX {
            return Err(Failure::RateLimited(format!(
                "the organization has made {ACCOUNTS_OF_A_DAY_MAX} accounts at ACME servers within a day; use the same \
                 `account_email` in a control plane's ACME certificates"
            )));
        }
        let contact = format!("mailto:{}", row.email);
        let new =
            NewAccount { contact: &[&contact], terms_of_service_agreed: true, only_return_existing: false };
        let binding = self.binding()?;
        let made = self.builder().create(&new, self.directory.url.clone(), binding.as_ref());
        let (account, credentials) = made.await?;
        let text = serde_json::to_vec(&credentials).map(Zeroizing::new);
        let text = text.map_err(|error| Failure::refused(error.to_string()))?;
        row.insert(making.connection(), organization, &self.acme.seal.seal(&row.purpose(), &text)).await?;
        making.end().await?;
        Ok(account)
    }

    fn binding(&self) -> Result<Option<ExternalAccountKey>, Failure> {
        let (Some(kid), Some(Secret::Plain(key))) =
            (&self.certificate.eab_kid, &self.certificate.eab_hmac_key)
        else {
            return Ok(None);
        };
        let key = BASE64_URL_SAFE_NO_PAD.decode(key).map(Zeroizing::new);
        let key = key.map_err(|_| Failure::refused("eab_hmac_key is not base64url"))?;
        Ok(Some(ExternalAccountKey::new(kid.clone(), &key)))
    }
}

/// How many accounts an organization has made within a day.
async fn made_lately(connection: &mut PgConnection, organization: OrganizationId) -> Result<i64, RowError> {
    let (accounts,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM regional.acme_account
         WHERE organization_id = $1 AND created_at > now() - interval '1 day'",
    )
    .bind(SqlId(organization))
    .fetch_one(connection)
    .await?;
    Ok(accounts)
}

/// The right to make an account, for as long as this lives.
struct Making(Transaction<'static, Postgres>);

impl Making {
    /// Where what is made is written.
    fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    /// The account is made, and others may use it.
    async fn end(self) -> Result<(), RowError> {
        Ok(self.0.commit().await?)
    }
}

/// Which account.
#[derive(Clone, Copy, Debug)]
struct AccountRow<'a> {
    control_plane: ControlPlaneId,
    directory_url: &'a str,
    email: &'a str,
    /// Empty without external account binding.
    eab_kid: &'a str,
}

impl AccountRow<'_> {
    /// What its credentials are sealed for.
    fn purpose(self) -> Vec<u8> {
        format!("acme account {} {} {}", self.control_plane, self.directory_url, self.email).into_bytes()
    }

    /// Begins to make it, unless somebody else does. Others can once [`Making`] is dropped.
    async fn begin_making(self, db: &PgPool) -> Result<Option<Making>, RowError> {
        let mut transaction = db.begin().await?;
        let lock = blake3::hash(&[self.purpose(), self.eab_kid.as_bytes().to_vec()].concat());
        let lock = i64::from_le_bytes(*lock.as_bytes().first_chunk().expect("a hash has 32 bytes"));
        let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock($1)")
            .bind(lock)
            .fetch_one(&mut *transaction)
            .await?;
        Ok(locked.then_some(Making(transaction)))
    }

    /// Its sealed credentials, if there is one.
    async fn find(self, db: impl PgExecutor<'_>) -> Result<Option<Vec<u8>>, RowError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as(
            "SELECT credentials FROM regional.acme_account
             WHERE control_plane_id = $1 AND directory_url = $2 AND email = $3 AND eab_kid = $4",
        )
        .bind(SqlId(self.control_plane))
        .bind(self.directory_url)
        .bind(self.email)
        .bind(self.eab_kid)
        .fetch_optional(db)
        .await?;
        Ok(row.map(|(credentials,)| credentials))
    }

    /// Keeps the account, unless there is one already.
    async fn insert(
        self,
        connection: &mut PgConnection,
        organization: OrganizationId,
        credentials: &[u8],
    ) -> Result<(), RowError> {
        sqlx::query(
            "INSERT INTO regional.acme_account
                 (control_plane_id, organization_id, directory_url, email, eab_kid, credentials)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(SqlId(self.control_plane))
        .bind(SqlId(organization))
        .bind(self.directory_url)
        .bind(self.email)
        .bind(self.eab_kid)
        .bind(credentials)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Forgets an account that the ACME server does not know any more.
    async fn forget(self, db: &PgPool) -> Result<(), RowError> {
        sqlx::query(
            "DELETE FROM regional.acme_account
             WHERE control_plane_id = $1 AND directory_url = $2 AND email = $3 AND eab_kid = $4",
        )
        .bind(SqlId(self.control_plane))
        .bind(self.directory_url)
        .bind(self.email)
        .bind(self.eab_kid)
        .execute(db)
        .await?;
        Ok(())
    }
}

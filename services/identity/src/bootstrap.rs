//! `landbridge identity bootstrap`: the first organization and its owner. Running it again changes nothing.
//!
//! It writes through the log as the service does, beside a service that runs or before its first start.

use access::{Limits, OpaqueToken, TokenFormat, TokenKind};
use anyhow::Context as _;
use clock::Clock;
use ids::{OrganizationId, Region, TokenId, UserId};
use mutation::Mutation;
use oplog::{Log, NotWritten};
use random::Random;
use replication::{Origin, Vector};
use seal::SealKey;
use serde::Serialize;
use service::ConfigFile;
use time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, SERVICE, Tx},
    apply::Rows,
    error::{Answer, Error},
    organizations::{self, NewOrganization},
    settings::Settings,
    tokens::{self, Maker, Name, NewToken, Token, names::Prints},
    users,
};

/// Life of the owner's first token.
const OWNER_TOKEN_LIFE: Duration = Duration::days(365);
/// How long a write is tried again while the database or the log takes no writes. Example: a service that has just started is
/// still finding out whether its database is whole.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// Pause between two tries.
const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

/// Arguments of `landbridge identity bootstrap`.
#[derive(Debug, clap::Args)]
pub struct Bootstrap {
    #[command(flatten)]
    file: ConfigFile,
    /// Name of the organization.
    #[arg(long)]
    organization: String,
    /// E-mail address of the person who owns it.
    #[arg(long)]
    owner_email: String,
    /// Region where its people's data lives: this one.
    #[arg(long)]
    home_region: Region,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The organization, and the owner's token if this run made it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The person who owns it.
    pub owner_id: UserId,
    /// The text of the owner's token; `None` if the organization was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Runs the command, and prints its outcome.
pub async fn bootstrap(arguments: &Bootstrap) -> anyhow::Result<()> {
    let settings: Settings = arguments.file.load()?;
    anyhow::ensure!(
        arguments.home_region == settings.region,
        "--home-region: an organization is made in its home region; run this in {}",
        arguments.home_region
    );
    let name = web::text::name("--organization", &arguments.organization)
        .map_err(|error| anyhow::anyhow!(error.reason))?;
    let email =
        users::parse_email(&arguments.owner_email).context("--owner-email is not an e-mail address")?;
    let outcome =
        with_log(&settings, async |log, clock, maker| find_or_create(log, clock, maker, &name, &email).await);
    print(&outcome.await?, arguments.json)
}

/// Runs `work` with the log of the service whose settings these are, beside that service or without it.
pub async fn with_log<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Log<Rows>, &Clock, &Maker) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let db = postgres::connect(&settings.database, &settings.tls);
    let origin = Origin::new(SERVICE, &settings.region);
    let clock = Clock::system();
    let key = service::consistency_key(&settings.consistency)?;
    let maker = Maker {
        region: settings.region.clone(),
        random: Random::system(),
        format: TokenFormat::new(&key),
        seals: true,
        prints: Prints::new(&key),
        seal: SealKey::from_file(&settings.secrets.key_file)?,
        per_principal_max: settings.limits.access_tokens_max.get(),
    };
    let rows = Rows { region: settings.region.clone(), prints: maker.prints.clone() };
    let (log, committer) = Log::open(db, origin, rows, clock.clone(), service::log_signer(&settings.log)?);
    let done = CancellationToken::new();
    let committing = tokio::spawn(committer.run(done.clone()));
    let outcome = work(&log, &clock, &maker).await;
    done.cancel();
    committing.await.context("the committer failed")??;
    outcome
}

/// The organization named `name`, made with its owner if there is none. `name` and `email` are checked.
pub async fn find_or_create(
    log: &Log<Rows>,
    clock: &Clock,
    maker: &Maker,
    name: &str,
    email: &str,
) -> anyhow::Result<Outcome> {
    if let Some(found) = organizations::store::by_name(log.db(), name).await? {
        return Ok(Outcome { organization_id: found.id, owner_id: found.owner_id, token: None });
    }
    patiently(log, async || create(log, clock, maker, name, email).await).await
}

/// Tries `write` until the log takes it, at most for [`PATIENCE`].
pub async fn patiently<T>(log: &Log<Rows>, write: impl AsyncFn() -> Answer<T>) -> anyhow::Result<T> {
    // A log that nothing was ever written to lacks nothing.
    if log.replica().entry(log.origin(), 1).await?.is_none() {
        log.replica().confirm().await?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match write().await {
            Err(error) if may_pass(&error) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Whether the same write may succeed a moment later.
fn may_pass(error: &Error) -> bool {
    let error = match error {
        Error::Mutation(error)
        | Error::Organization(organizations::Error::NotWritten(error))
        | Error::User(users::Error::NotWritten(error))
        | Error::Token(tokens::Error::NotWritten(error)) => error,
        _ => return false,
    };
    match error {
        mutation::Error::Database(postgres::Error::Unavailable(_)) => true,
        mutation::Error::Log(NotWritten::Database(error)) => {
            matches!(**error, postgres::Error::Unavailable(_))
        }
        mutation::Error::Log(NotWritten::Panicked) => false,
        mutation::Error::Log(_) => true,
        _ => false,
    }
}

async fn create(log: &Log<Rows>, clock: &Clock, maker: &Maker, name: &str, email: &str) -> Answer<Outcome> {
    let now = clock.now();
    let new = NewOrganization {
        id: maker.random.id(now),
        name: name.to_owned(),
        owner: maker.random.id(now),
        limits: Limits::default(),
    };
    let (email, maker) = (email.to_owned(), maker.clone());
    let mutation = Mutation::by_operator(new.id, "organization.bootstrap");
    let work =
        app::write(log, mutation, move |tx| Box::pin(async move { write(tx, &new, &email, &maker).await }));
    work.await
}

async fn write(tx: &mut Tx<'_>, new: &NewOrganization, email: &str, maker: &Maker) -> Answer<Outcome> {
    organizations::create(tx, new, &maker.region).await?;
    users::create(tx, new.owner, email).await?;
    let id = maker.random.id(tx.at());
    let (_, token) = first_token(tx, maker, new.owner, id, "bootstrap").await?;
    tx.audit(&new.id.to_string()).await?;
    Ok(Outcome { organization_id: new.id, owner_id: new.owner, token: Some(token.expose().to_owned()) })
}

/// Makes the first token of an organization's owner, for a year.
pub async fn first_token(
    tx: &mut Tx<'_>,
    maker: &Maker,
    owner: UserId,
    id: TokenId,
    name: &str,
) -> Answer<(Token, OpaqueToken)> {
    let token = NewToken {
        id,
        principal: owner.cast(),
        kind: TokenKind::Personal,
        name: Name::Given(name.to_owned()),
        expires_at: tx.at() + OWNER_TOKEN_LIFE,
        vector: Vector::default(),
        parent: None,
        replaces: None,
    };
    Ok(tokens::mint(tx, maker, token).await?)
}

fn print(outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(outcome)?);
        return Ok(());
    }
    println!("organization: {}\nowner:        {}", outcome.organization_id, outcome.owner_id);
    match &outcome.token {
        Some(token) => println!("token:        {token}\n\nKeep the token: it is shown this once."),
        None => println!("token:        shown when the organization was made, and not again"),
    }
    Ok(())
}

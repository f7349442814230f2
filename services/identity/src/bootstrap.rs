//! `landbridge identity bootstrap`: the first organization and its owner. Running it again changes nothing.
//!
//! It writes through the log as the service does, beside a service that runs or before its first start.

use crate::Answer;
use access::TokenKind;
use anyhow::Context as _;
use clock::Clock;
use ids::{OrganizationId, Region, TokenId, UserId};
use mutation::Mutation;
use oplog::Log;
use replication::{Origin, Vector};
use serde::Serialize;
use service::ConfigFile;
use time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use web::{Problem, ProblemType};

use crate::{
    app::{self, Tx},
    apply::Rows,
    organizations::{self, NewOrganization},
    settings::Settings,
    tokens::{self, NewToken},
    users,
};

/// Life of the owner's first token.
const OWNER_TOKEN_LIFE: Duration = Duration::days(365);
/// How long a write is tried that is answered 503: a service that starts may still be confirming its database.
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

#[derive(Serialize)]
struct Outcome {
    organization_id: OrganizationId,
    owner_id: UserId,
    /// Present only when this run made the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

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
    let db = postgres::connect(&settings.database, &settings.tls);
    let origin = Origin::new("identity", &settings.region);
    let (log, committer) = Log::open(db, origin, Rows, Clock::system());
    let done = CancellationToken::new();
    let committing = tokio::spawn(committer.run(done.clone()));
    let outcome = find_or_create(&log, name, email).await;
    done.cancel();
    committing.await.context("the committer failed")??;
    print(&outcome?, arguments.json)
}

async fn find_or_create(log: &Log<Rows>, name: String, email: String) -> anyhow::Result<Outcome> {
    if let Some(found) = organizations::by_name(log.db(), &name).await? {
        return Ok(Outcome { organization_id: found.id, owner_id: found.owner_id, token: None });
    }
    // A log that nothing was ever written to lacks nothing.
    if log.replica().entry(log.origin(), 1).await?.is_none() {
        log.replica().confirm().await?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match create(log, &name, &email).await.map_err(Problem::from) {
            Err(problem) if problem.kind == ProblemType::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

async fn create(log: &Log<Rows>, name: &str, email: &str) -> Answer<Outcome> {
    let new =
        NewOrganization { id: OrganizationId::generate(), name: name.to_owned(), owner: UserId::generate() };
    let (email, region) = (email.to_owned(), log.origin().region().clone());
    let mutation = Mutation::by_operator(new.id, "organization.bootstrap");
    app::write(log, mutation, move |tx| Box::pin(async move { write(tx, &new, &email, &region).await })).await
}

async fn write(tx: &mut Tx<'_>, new: &NewOrganization, email: &str, region: &Region) -> Answer<Outcome> {
    organizations::create(tx, new, region).await?;
    users::create(tx, new.owner, email).await?;
    let token = NewToken {
        id: TokenId::generate(),
        principal: new.owner.cast(),
        kind: TokenKind::Personal,
        name: "bootstrap".to_owned(),
        expires_at: tx.at() + OWNER_TOKEN_LIFE,
        vector: Vector::default(),
    };
    let (_, token) = tokens::mint(tx, region, token).await?;
    tx.audit(&new.id.to_string()).await?;
    Ok(Outcome { organization_id: new.id, owner_id: new.owner, token: Some(token.expose().to_owned()) })
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

//! `identity bootstrap`: the first organization and its owner. Running it again changes nothing.

use access::TokenKind;
use anyhow::Context as _;
use ids::{OrganizationId, Region, UserId};
use postgres::Write;
use serde::Serialize;
use service::ConfigFile;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::{
    organizations::{self, NewOrganization},
    settings::Settings,
    tokens::{self, NewToken},
    users,
};

/// Life of the owner's first token.
const OWNER_TOKEN_LIFE: Duration = Duration::days(365);

#[derive(clap::Args)]
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

    let outcome = match organizations::by_name(&db, &name).await? {
        Some(found) => Outcome { organization_id: found.id, owner_id: found.owner_id, token: None },
        None => create(&db, &settings.region, name, email).await?,
    };
    print(&outcome, arguments.json)
}

async fn create(db: &PgPool, region: &Region, name: String, email: String) -> anyhow::Result<Outcome> {
    let organization = NewOrganization { id: OrganizationId::generate(), name, owner: UserId::generate() };
    let mut write = Write::begin_internal(db, organization.id, "organization.bootstrap").await?;
    organizations::insert(&mut write, &organization, region).await?;
    users::insert(&mut write, organization.id, organization.owner, &email).await?;
    let new = NewToken {
        organization: organization.id,
        principal: organization.owner.cast(),
        kind: TokenKind::Personal,
        name: "bootstrap".to_owned(),
        expires_at: OffsetDateTime::now_utc() + OWNER_TOKEN_LIFE,
    };
    let (_, token) = tokens::mint(&mut write, region, &new).await?;
    write.commit(&organization.id.to_string()).await?;
    Ok(Outcome {
        organization_id: organization.id,
        owner_id: organization.owner,
        token: Some(token.expose().to_owned()),
    })
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

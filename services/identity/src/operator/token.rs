//! `landbridge identity create-operator-token`: an access token of the platform operator.

use access::TokenKind;
use clock::Clock;
use ids::TokenId;
use mutation::Mutation;
use oplog::Log;
use replication::Vector;
use serde::Serialize;
use service::ConfigFile;
use time::Duration;

use super::OPERATOR;
use crate::{
    app::{self, Tx},
    apply::Rows,
    bootstrap::{patiently, with_log},
    error::Answer,
    settings::Settings,
    tenant::Tenant,
    tokens::{self, Maker, Name, NewToken},
};

/// Longest life of such a token, days.
const DAYS_MAX: u16 = 366;

/// Arguments of `landbridge identity create-operator-token`.
#[derive(Debug, clap::Args)]
pub struct CreateOperatorToken {
    #[command(flatten)]
    file: ConfigFile,
    /// What the token is called: who will use it, for example.
    #[arg(long)]
    name: String,
    /// Days until it expires.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=i64::from(DAYS_MAX)))]
    days: u16,
    /// Says that every region runs this release or a later one. Needed where there are other regions: an earlier release would stop
    /// to read this region's log until it is upgraded.
    #[arg(long)]
    all_regions_upgraded: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A token that was made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Its id, by which it can be revoked.
    pub id: TokenId,
    /// Its text, which exists nowhere else.
    pub token: String,
}

/// Runs the command, and prints the token.
pub async fn create_operator_token(arguments: &CreateOperatorToken) -> anyhow::Result<()> {
    let settings: Settings = arguments.file.load()?;
    anyhow::ensure!(
        settings.regions.is_empty() || arguments.all_regions_upgraded,
        "say --all-regions-upgraded once every region runs this release: an earlier one does not know such tokens"
    );
    let name = web::text::name("--name", &arguments.name)
        .map_err(|error| anyhow::anyhow!("--name {}", error.reason))?;
    let life = Duration::days(i64::from(arguments.days));
    let made = with_log(&settings, async |log, clock, maker| create(log, clock, maker, &name, life).await);
    let made = made.await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&made)?);
    } else {
        println!("id:    {}\ntoken: {}\n\nKeep the token: it is shown this once.", made.id, made.token);
    }
    Ok(())
}

/// Makes a token of the operator. `name` is checked.
pub async fn create(
    log: &Log<Rows>,
    clock: &Clock,
    maker: &Maker,
    name: &str,
    life: Duration,
) -> anyhow::Result<Made> {
    let id = maker.random.id(clock.now());
    patiently(log, async || {
        let (maker, name) = (maker.clone(), name.to_owned());
        let mutation = Mutation::by_operator(Tenant::Deployment.stored(), "operator-token.create");
        app::write(log, mutation, move |tx| Box::pin(async move { write(tx, &maker, id, name, life).await }))
            .await
    })
    .await
}

async fn write(tx: &mut Tx<'_>, maker: &Maker, id: TokenId, name: String, life: Duration) -> Answer<Made> {
    let new = NewToken {
        id,
        principal: OPERATOR,
        kind: TokenKind::Operator,
        name: Name::Given(name),
        expires_at: tx.at() + life,
        vector: Vector::default(),
        parent: None,
        replaces: None,
    };
    let (token, text) = tokens::mint(tx, maker, new).await?;
    tx.audit(&token.id.to_string()).await?;
    Ok(Made { id: token.id, token: text.expose().to_owned() })
}

//! A Postgres for tests, with the databases of two regions. Gone with the test.

use postgres::PgPool;
use settings::sections::{Database, Tls};
use testbed::{ca::Ca, folder::Folder, ports::Ports, postgres::Postgres};
use time::OffsetDateTime;

/// The two databases, by the roles that own them: names of services, since only those have certificates.
const NAMES: [&str; 2] = ["identity", "config"];

pub struct Databases {
    pub us: PgPool,
    pub eu: PgPool,
    _postgres: Postgres,
    _ports: Ports,
    _folder: Folder,
}

impl Databases {
    pub async fn start() -> anyhow::Result<Self> {
        service::once(async { Ok(()) }).await?;
        let folder = Folder::temporary()?;
        let ca = Ca::create(folder.make("ca")?, "us".parse()?, OffsetDateTime::now_utc())?;
        let mut ports = Ports::reserve()?;
        let postgres = Postgres::start(&folder, ports.take()?, &ca, &NAMES).await?;
        let [us, eu] = NAMES.map(|name| connect(&postgres, &ca, name));
        let (us, eu) = (us?, eu?);
        for db in [&us, &eu] {
            postgres::migrate(db, &crate::MIGRATIONS).await?;
            oplog::migrate(db).await?;
        }
        Ok(Self { us, eu, _postgres: postgres, _ports: ports, _folder: folder })
    }
}

fn connect(postgres: &Postgres, ca: &Ca, name: &str) -> anyhow::Result<PgPool> {
    let pair = ca.internal(name)?;
    let tls = Tls { certificate: pair.certificate, key: pair.key, ca: ca.internal_ca().certificate };
    let database = Database {
        host: postgres.address().ip().to_string(),
        port: postgres.address().port(),
        name: name.to_owned(),
        user: name.to_owned(),
        connections_max: 4,
    };
    Ok(::postgres::connect(&database, &tls))
}

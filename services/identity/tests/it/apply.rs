//! Operations as rows of a real database: in any order, twice, before their turn, and in two regions.

use std::collections::{BTreeMap, BTreeSet};

use access::{Limits, PrincipalKind, TokenKind};
use clock::{Clock, at_microseconds};
use identity::{
    SERVICE, app,
    operation::{Operation, OrganizationPut, OrganizationState, ReplacedText, SystemAccountPut, TokenMinted},
    organizations,
    revocations::ANY,
    signing_keys, system_accounts,
    tenant::Tenant,
    tokens::{self, Name, NewToken},
};
use ids::{OrganizationId, PrincipalId, ServiceName, SystemAccountId, TokenId, UserId, kinds};
use mutation::Mutation;
use oplog::{Apply as _, ApplyError, Log, read_operation};
use postgres::SqlId;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use random::Random;
use replication::{Entry, NO_HASH, Origin, Position, Vector};
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::region::{applying, database, maker, signer};

const RUNS: u64 = 20;
const ACCOUNTS: usize = 3;
const TOKENS: usize = 5;
/// Operations of a history beside the minting of its tokens.
const OTHERS: usize = 12;

/// An operation as a log has it, written at `at`.
fn entry(organization: OrganizationId, at: i64, operation: &Operation) -> Entry {
    let tagged = serde_json::to_value(operation).expect("JSON");
    Entry {
        id: Uuid::now_v7(),
        origin: "identity.us".parse().expect("origin"),
        position: Position { epoch: 1, seq: at.cast_unsigned() },
        prev_hash: NO_HASH,
        deps: Vector::default(),
        organization,
        actor: None,
        authority: Vec::new(),
        kind: tagged["kind"].as_str().expect("kind").to_owned(),
        body: tagged["body"].to_string(),
        at,
        traceparent: String::new(),
        signature: None,
    }
}

/// A history of one organization, in the order of writing.
struct History {
    organization: OrganizationId,
    operations: Vec<(i64, Operation)>,
}

impl History {
    fn random(random: &mut StdRng) -> Self {
        let accounts: Vec<SystemAccountId> = (0..ACCOUNTS).map(|_| SystemAccountId::generate()).collect();
        let mut minted: Vec<TokenMinted> = (0..TOKENS).map(|_| token(&accounts, random)).collect();
        // Most are made with one that is there before; some replace its text.
        for place in 1..TOKENS {
            let (parent, old) = (minted[random.random_range(0..place)].id, minted[place - 1].sha256);
            minted[place].parent = random.random_bool(0.8).then_some(parent);
            let ends_at = OffsetDateTime::UNIX_EPOCH + Duration::seconds(random.random_range(0..9));
            minted[place].replaces = random.random_bool(0.3).then_some(ReplacedText { sha256: old, ends_at });
        }
        let mut operations: Vec<_> = minted.iter().cloned().map(Operation::TokenMinted).collect();
        for number in 0..OTHERS {
            let account = accounts[random.random_range(0..ACCOUNTS)];
            let token = &minted[random.random_range(0..TOKENS)];
            operations.push(match random.random_range(0..10) {
                0..3 => Operation::TokenRevoked { id: token.id, expires_at: 0 },
                3 => Operation::SystemAccountRemoved { id: account },
                4 => Operation::PrincipalRemoved { id: account.cast() },
                5 => Operation::TokenRenamed { id: token.id, name: format!("token {number}") },
                _ => Operation::SystemAccountPut(SystemAccountPut {
                    id: account,
                    name: format!("account {number}"),
                    description: String::new(),
                    konnect_managed: [None, Some(false)][number % 2],
                }),
            });
        }
        operations.shuffle(random);
        Self { organization: OrganizationId::generate(), operations: (1..).zip(operations).collect() }
    }

    /// Another order in which it may arrive: what the home region writes keeps its order, the rest comes anyhow; some comes
    /// twice.
    fn shuffled(&self, random: &mut StdRng) -> Vec<(i64, Operation)> {
        let mut shuffled = self.operations.clone();
        shuffled.extend(self.operations.iter().filter(|(at, _)| at % 3 == 0).cloned());
        shuffled.shuffle(random);
        let is_record = |(_, operation): &(i64, Operation)| {
            matches!(operation, Operation::SystemAccountPut(_) | Operation::TokenRenamed { .. })
        };
        let mut records: Vec<_> = shuffled.iter().filter(|one| is_record(one)).cloned().collect();
        records.sort_by_key(|(at, _)| *at);
        let mut records = records.into_iter();
        for slot in shuffled.iter_mut().filter(|one| is_record(one)) {
            *slot = records.next().expect("as many as before");
        }
        shuffled
    }

    async fn apply(&self, connection: &mut PgConnection, operations: &[(i64, Operation)]) {
        for (at, operation) in operations {
            let entry = entry(self.organization, *at, operation);
            applying("us").apply(connection, &entry, operation.clone()).await.expect("applied");
        }
    }

    /// Brute force: when each token ended, at the earliest removal of it, of its principal, or of a token above it; and when its text
    /// was replaced.
    fn tokens(&self) -> Ends {
        let minted: BTreeMap<TokenId, &TokenMinted> = self
            .operations
            .iter()
            .filter_map(|(_, operation)| match operation {
                Operation::TokenMinted(minted) => Some((minted.id, minted)),
                _ => None,
            })
            .collect();
        let own_end = |id: TokenId| {
            let ends = self.operations.iter().filter(|(_, operation)| match operation {
                Operation::TokenRevoked { id: revoked, .. } => *revoked == id,
                Operation::SystemAccountRemoved { id: account } => account.cast() == minted[&id].principal_id,
                Operation::PrincipalRemoved { id: principal } => *principal == minted[&id].principal_id,
                _ => false,
            });
            ends.map(|(at, _)| at_microseconds(*at)).min()
        };
        let end = |id: TokenId| {
            let line = std::iter::successors(Some(id), |id| minted[id].parent);
            line.filter_map(own_end).min()
        };
        let replaced = |sha256: [u8; 32]| {
            let by = minted.values().filter_map(|minted| minted.replaces.as_ref());
            by.filter(|old| old.sha256 == sha256).map(|old| old.ends_at).min()
        };
        minted.iter().map(|(id, minted)| (*id, (end(*id), replaced(minted.sha256)))).collect()
    }

    /// Brute force: the accounts that were made and never removed, with their last name.
    fn accounts(&self) -> BTreeMap<SystemAccountId, String> {
        let (mut accounts, mut removed) = (BTreeMap::new(), BTreeSet::new());
        for (_, operation) in &self.operations {
            match operation {
                Operation::SystemAccountPut(put) => drop(accounts.insert(put.id, put.name.clone())),
                Operation::SystemAccountRemoved { id } => drop(removed.insert(*id)),
                Operation::PrincipalRemoved { id } => drop(removed.insert(id.cast())),
                _ => {}
            }
        }
        accounts.retain(|id, _| !removed.contains(id));
        accounts
    }
}

fn token(accounts: &[SystemAccountId], random: &mut StdRng) -> TokenMinted {
    TokenMinted {
        id: TokenId::generate(),
        sha256: random.random(),
        principal_id: accounts[random.random_range(0..accounts.len())].cast(),
        principal_kind: PrincipalKind::SystemAccount,
        name: "ci".to_owned(),
        name_print: None,
        expires_at: OffsetDateTime::UNIX_EPOCH + Duration::days(40_000),
        vector: Vector::default(),
        parent: None,
        replaces: None,
        session: random.random(),
    }
}

type Ends = BTreeMap<TokenId, (Option<OffsetDateTime>, Option<OffsetDateTime>)>;

async fn rows(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> (Ends, BTreeMap<SystemAccountId, String>) {
    let tokens: Vec<(SqlId<kinds::Token>, Option<OffsetDateTime>, Option<OffsetDateTime>)> =
        sqlx::query_as("SELECT id, revoked_at, replaced_at FROM replicated.token WHERE organization_id = $1")
            .bind(SqlId(organization))
            .fetch_all(&mut *connection)
            .await
            .expect("tokens");
    let accounts: Vec<(SqlId<kinds::SystemAccount>, String)> =
        sqlx::query_as("SELECT id, name FROM replicated.system_account WHERE organization_id = $1")
            .bind(SqlId(organization))
            .fetch_all(connection)
            .await
            .expect("accounts");
    let tokens = tokens.into_iter().map(|(id, revoked, replaced)| (id.into(), (revoked, replaced))).collect();
    (tokens, accounts.into_iter().map(|(id, name)| (id.into(), name)).collect())
}

#[tokio::test]
async fn any_order_of_arrival_ends_in_the_same_rows() {
    let database = database().await;
    let first_seed = u64::from_le_bytes(Random::system().bytes());
    println!("first seed: {first_seed}");
    let mut connection = database.pool().acquire().await.expect("connection");
    let nothing = applying("us").digest(&mut connection, OrganizationId::generate()).await.expect("digest");
    for seed in (0..RUNS).map(|run| first_seed.wrapping_add(run)) {
        let mut random = StdRng::seed_from_u64(seed);
        let history = History::random(&mut random);
        let organization = history.organization;
        let mut digests = BTreeSet::new();
        for order in 0..3 {
            let arriving =
                if order == 0 { history.operations.clone() } else { history.shuffled(&mut random) };
            history.apply(&mut connection, &arriving).await;
            let expected = (history.tokens(), history.accounts());
            assert_eq!(rows(&mut connection, organization).await, expected, "seed {seed}, order {order}");
            digests.insert(applying("us").digest(&mut connection, organization).await.expect("digest"));
            applying("us").clear(&mut connection, organization).await.expect("cleared");
            let cleared = applying("us").digest(&mut connection, organization).await.expect("digest");
            assert_eq!(cleared, nothing, "seed {seed}: clear leaves nothing");
        }
        assert_eq!(digests.len(), 1, "seed {seed}: equal rows have one digest");
    }
}

#[tokio::test]
async fn what_is_written_in_one_region_is_the_same_in_the_other() {
    let (here, there) = (database().await, database().await);
    let (region, organization) = ("us".parse().expect("region"), OrganizationId::generate());
    let origin = Origin::new(SERVICE, &region);
    let (us, committer) = Log::open(here.pool(), origin.clone(), applying("us"), Clock::system(), signer());
    let elsewhere = Origin::new(SERVICE, &"eu".parse().expect("region"));
    let (eu, _) = Log::open(there.pool(), elsewhere, applying("eu"), Clock::system(), signer());
    let eu = eu.replica();
    let done = CancellationToken::new();
    let committing = tokio::spawn(committer.run(done.clone()));
    us.replica().confirm().await.expect("confirmed");

    let owner = PrincipalId::generate();
    let at = region.clone();
    let work = app::write(&us, Mutation::by_operator(organization, "test"), move |tx| {
        Box::pin(async move {
            let maker = maker("us", &Random::seeded(1));
            let put = OrganizationPut {
                name: "Acme".to_owned(),
                owner_id: owner.cast(),
                home_region: at.clone(),
                state: OrganizationState::Active,
                deleting: false,
                limits: Limits::default(),
                installs_owner: false,
            };
            tx.append(Operation::OrganizationPut(put)).await?;
            let expires_at = tx.at() + Duration::hours(1);
            let new = |name: &str| NewToken {
                id: TokenId::generate(),
                principal: owner,
                kind: TokenKind::Personal,
                name: Name::Given(name.to_owned()),
                expires_at,
                vector: Vector::from_iter([(
                    Origin::new(ServiceName::Authz, &at),
                    Position { epoch: 1, seq: 7 },
                )]),
                parent: None,
                replaces: None,
            };
            let (kept, text) = tokens::mint(tx, &maker, new("kept")).await?;
            let (ended, _) = tokens::mint(tx, &maker, new("ended")).await?;
            tx.append(Operation::TokenRevoked { id: ended.id, expires_at: 0 }).await?;
            Ok((kept, ended, text))
        })
    });
    let (kept, ended, text) = work.await.expect("written");
    assert_eq!(
        (&text.region, text.position),
        (&region, Position { epoch: 1, seq: 2 }),
        "the text names the place of its operation"
    );

    let entries = us.replica().entries(&origin, 0, 100).await.expect("entries");
    assert_eq!(entries.iter().filter(|entry| us.replica().is_revocation(entry)).count(), 1);
    // The revocation is denied on receipt, before the token itself is heard of; its turn comes as well.
    eu.receive_early(&entries[3]).await.expect("received early");
    eu.receive(&entries).await.expect("received");
    eu.receive(&entries).await.expect("received again");
    let (vector, digest) = us.replica().digest(organization).await.expect("digest");
    assert_eq!(eu.digest(organization).await.expect("digest"), (vector, digest));

    let row: (Vec<u8>, Option<OffsetDateTime>, String) =
        sqlx::query_as("SELECT sha256, revoked_at, vector FROM replicated.token WHERE id = $1")
            .bind(SqlId(kept.id))
            .fetch_one(&there.pool())
            .await
            .expect("the token's row");
    assert_eq!(row, (text.sha256().to_vec(), None, r#"{"authz.us":{"epoch":1,"seq":7}}"#.to_owned()));
    let (is_revoked,): (bool,) =
        sqlx::query_as("SELECT revoked_at IS NOT NULL FROM replicated.token WHERE id = $1")
            .bind(SqlId(ended.id))
            .fetch_one(&there.pool())
            .await
            .expect("the token's row");
    assert!(is_revoked);
    eu.rebuild(organization).await.expect("rebuilt");
    assert_eq!(eu.digest(organization).await.expect("digest").1, digest, "a rebuild ends in the same rows");
    done.cancel();
    committing.await.expect("ended").expect("in good order");
}

#[tokio::test]
async fn a_name_taken_twice_in_another_region_stops_nobody() {
    let database = database().await;
    let mut connection = database.pool().acquire().await.expect("connection");
    let organization = OrganizationId::generate();
    let put = |id| SystemAccountPut {
        id,
        name: "ci".to_owned(),
        description: String::new(),
        konnect_managed: None,
    };
    let ids = [SystemAccountId::generate(), SystemAccountId::generate()];
    for (at, id) in (1..).zip(ids) {
        let operation = Operation::SystemAccountPut(put(id));
        let entry = entry(organization, at, &operation);
        applying("us").apply(&mut connection, &entry, operation).await.expect("applied");
    }
    for id in ids {
        let found = system_accounts::store::find(&mut *connection, organization, id).await.expect("read");
        assert_eq!(found.expect("found").name, "ci");
    }
    let unknown = Entry {
        kind: "token.cloned".to_owned(),
        ..entry(organization, 3, &Operation::PrincipalRemoved { id: ids[0].cast() })
    };
    let refused = read_operation::<Operation>(&unknown);
    assert!(matches!(refused, Err(ApplyError::Unreadable(_))), "{refused:?}");
}

/// What each operation makes of the rows, as other modules read them, and what it says that it changed.
#[tokio::test]
async fn each_operation_has_its_rows_and_effects() {
    let database = database().await;
    let mut connection = database.pool().acquire().await.expect("connection");
    let organization = OrganizationId::generate();
    let (owner, account) = (UserId::generate(), SystemAccountId::generate());
    let mut at = 0;
    let mut apply = async |tenant: Tenant, operation: Operation| {
        at += 1;
        let entry = entry(tenant.stored(), at, &operation);
        let mut connection = database.pool().acquire().await.expect("connection");
        applying("us").apply(&mut connection, &entry, operation).await.expect("applied")
    };
    let tenant = Tenant::Organization(organization);

    let put = |name: &str, state| {
        Operation::OrganizationPut(OrganizationPut {
            name: name.to_owned(),
            owner_id: owner,
            home_region: "us".parse().expect("region"),
            state,
            deleting: false,
            limits: Limits::default(),
            installs_owner: false,
        })
    };
    assert_eq!(apply(tenant, put("Acme", OrganizationState::Active)).await, []);
    assert_eq!(apply(tenant, put("Acme Ltd", OrganizationState::Suspended)).await, [ANY]);
    let found =
        organizations::store::find(&mut *connection, organization).await.expect("read").expect("there");
    assert_eq!((found.name.as_str(), found.state), ("Acme Ltd", organizations::State::Inactive));
    assert_eq!((found.owner_id, found.home_region.as_str()), (owner, "us"));
    assert_eq!((found.created_at, found.updated_at), (at_microseconds(1), at_microseconds(2)));
    assert!(organizations::store::by_name(&mut *connection, "Acme").await.expect("read").is_none());

    let named = |name: &str| SystemAccountPut {
        id: account,
        name: name.to_owned(),
        description: "d".to_owned(),
        konnect_managed: None,
    };
    assert_eq!(apply(tenant, Operation::SystemAccountPut(named("ci"))).await, []);
    assert_eq!(apply(tenant, Operation::SystemAccountPut(named("cd"))).await, []);
    let found = system_accounts::store::find(&mut *connection, organization, account).await.expect("read");
    let found = found.expect("there");
    assert_eq!((found.name.as_str(), found.description.as_str()), ("cd", "d"));
    assert_eq!((found.created_at, found.updated_at), (at_microseconds(3), at_microseconds(4)));
    let elsewhere = OrganizationId::generate();
    let found = system_accounts::store::find(&mut *connection, elsewhere, account).await.expect("read");
    assert!(found.is_none(), "it is of another organization");

    let put = Operation::PrincipalPut {
        id: account.cast(),
        kind: PrincipalKind::SystemAccount,
        active: true,
        not_before: None,
    };
    assert_eq!(apply(tenant, put).await, [], "only authz has rows of it");

    let minted = token(&[account], &mut StdRng::seed_from_u64(1));
    let other = token(&[account], &mut StdRng::seed_from_u64(2));
    for minted in [&minted, &other] {
        assert_eq!(apply(tenant, Operation::TokenMinted(minted.clone())).await, []);
    }
    assert_eq!(apply(tenant, Operation::TokenRevoked { id: minted.id, expires_at: 0 }).await, [minted.id]);
    let removed = Operation::SystemAccountRemoved { id: account };
    let ended: BTreeSet<_> = apply(tenant, removed).await.into_iter().collect();
    assert_eq!(ended, BTreeSet::from([minted.id, other.id]));
    assert_eq!(apply(tenant, Operation::SystemAccountPut(named("again"))).await, []);
    let found = system_accounts::store::find(&mut *connection, organization, account).await.expect("read");
    assert!(found.is_none(), "what is removed stays so");

    let (id, jwk) = ("us.abc".to_owned(), json!({"kid": "us.abc"}));
    let put = Operation::SigningKeyPut { id: id.clone(), jwk: jwk.clone() };
    assert_eq!(apply(Tenant::Deployment, put).await, []);
    let again = Operation::SigningKeyPut { id, jwk: json!({"kid": "another"}) };
    assert_eq!(apply(Tenant::Deployment, again).await, []);
    let keys = signing_keys::store::public_halves(&mut *connection).await.expect("read");
    assert_eq!(keys, [jwk], "a key never changes");
    applying("us").clear(&mut connection, organization).await.expect("cleared");
    assert!(
        signing_keys::store::exists(&mut *connection, "us.abc").await.expect("read"),
        "it is nobody's in particular"
    );
    applying("us").clear(&mut connection, Tenant::Deployment.stored()).await.expect("cleared");
    assert!(!signing_keys::store::exists(&mut *connection, "us.abc").await.expect("read"));
}

/// A revocation that comes before the token, and one of another organization's token, which is none of its business.
#[tokio::test]
async fn tombstones_hold_for_what_arrives_later_and_for_their_organization_only() {
    let database = database().await;
    let mut connection = database.pool().acquire().await.expect("connection");
    let (organization, other) = (OrganizationId::generate(), OrganizationId::generate());
    let account = SystemAccountId::generate();
    let [early, foreign] = [1, 2].map(|seed| token(&[account], &mut StdRng::seed_from_u64(seed)));
    for (at, organization, operation) in [
        (1, organization, Operation::TokenRevoked { id: early.id, expires_at: 0 }),
        (2, organization, Operation::TokenRevoked { id: foreign.id, expires_at: 0 }),
        (3, organization, Operation::TokenMinted(early.clone())),
        (4, other, Operation::TokenMinted(foreign.clone())),
    ] {
        let entry = entry(organization, at, &operation);
        applying("us").deny(&mut connection, &entry, operation).await.expect("applied");
    }
    let (tokens, _) = rows(&mut connection, organization).await;
    assert_eq!(tokens, BTreeMap::from([(early.id, (Some(at_microseconds(1)), None))]));
    let (tokens, _) = rows(&mut connection, other).await;
    assert_eq!(tokens, BTreeMap::from([(foreign.id, (None, None))]));
}

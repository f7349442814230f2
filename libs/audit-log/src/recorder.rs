//! Writes what requests tell that write nothing themselves: refusals and sign-ons.
//!
//! Whoever is refused again and again must not fill the disk. The first of equal events is written within a second; what follows within the
//! window is one more entry, with a count. Of one organization so many different ones are told apart in a window; the others are counted
//! together. Those of strangers, who fail to sign on, are counted apart from those of its own people and programs.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use access::{Client, Event, Happened, Reports, Requested};
use ids::{OrganizationId, PrincipalId, TokenId};
use metrics::{counter, describe_counter};
use postgres::{Error, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use web::ProblemType;

use crate::{Entry, EntryType, Outcome, insert};

/// How long equal events are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Pause between two writes.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Events that are taken from the queue at once.
const BATCH_MAX: usize = 256;
/// Different events that are told apart in a window, of one [`Crowd`] and of all.
const GROUPS_PER_CROWD_MAX: usize = 64;
const GROUPS_MAX: usize = 8192;
/// Organizations whose events are counted together beyond that. Those of further ones are dropped, and counted as such.
const FOLDED_MAX: usize = 8192;
/// Entries that wait while the database is away.
const PENDING_MAX: usize = 16 * 1024;

/// The action of an entry that stands for events which were not told apart.
const FOLDED: &str = "audit.folded";
/// The action of an entry that says how many events were not written.
const DROPPED: &str = "audit.dropped";

const DROPPED_TOTAL: &str = "landbridge_audit_dropped_total";
const RECORDED_TOTAL: &str = "landbridge_audit_recorded_total";

/// Who, with which token and from where, the type, how it ended, at which endpoint, and what was to be done.
type What = (PrincipalId, Option<TokenId>, Option<Client>, &'static str, Outcome, Arc<str>, String);

/// Whose events are told apart together: those of an organization's own people and programs, or of those who have no token. So nobody who
/// guesses passwords hides what others do.
type Crowd = (OrganizationId, bool);

/// What makes two events equal. Neither the path nor the ids of the requests are part of it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    crowd: Crowd,
    /// `None` for events that are not told apart.
    what: Option<What>,
}

/// Equal events of a window.
struct Group {
    /// The entry of the first one.
    entry: Entry,
    began: Instant,
    /// Those that are not written yet, and when the first and the last of them were.
    count: u32,
    first: Instant,
    last: Instant,
    /// Whether the first one is written.
    told: bool,
}

impl Group {
    /// One more.
    fn counts(&mut self, now: Instant) {
        if self.count == 0 {
            self.first = now;
        }
        self.count = self.count.saturating_add(1);
        self.last = now;
    }
}

/// Writes what is reported, until the queue ends.
pub struct Recorder {
    db: PgPool,
    reports: Reports,
    groups: HashMap<Key, Group>,
    per_crowd: HashMap<Crowd, usize>,
    pending: Vec<Entry>,
    dropped: BTreeMap<OrganizationId, u64>,
}

impl Recorder {
    /// Writes into the table `audit` of `db`.
    pub fn new(db: PgPool, reports: Reports) -> Self {
        Self {
            db,
            reports,
            groups: HashMap::new(),
            per_crowd: HashMap::new(),
            pending: Vec::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// Writes until the drain; what was reported by then is still written.
    pub async fn run(mut self, drain: CancellationToken) -> anyhow::Result<()> {
        describe_counter!(
            DROPPED_TOTAL,
            "Refusals and sign-ons that are not in the audit log because too many came."
        );
        describe_counter!(RECORDED_TOTAL, "Refusals and sign-ons that the audit log was told of.");
        let mut ticks = pace::ticks(FLUSH_INTERVAL);
        let mut events = Vec::with_capacity(BATCH_MAX);
        let mut failing = false;
        loop {
            tokio::select! {
                received = self.reports.receive(&mut events, BATCH_MAX) => {
                    let now = Instant::now();
                    events.drain(..).for_each(|event| self.take(event, now));
                    if received == 0 {
                        break;
                    }
                }
                _ = ticks.tick() => match self.flush(Instant::now()).await {
                    Ok(()) => failing = false,
                    Err(error) if !std::mem::replace(&mut failing, true) => {
                        tracing::warn!(%error, "refusals could not be written to the audit log; trying again");
                    }
                    Err(_) => {}
                },
                () = drain.cancelled() => {
                    self.reports.close();
                    while self.reports.receive(&mut events, BATCH_MAX).await > 0 {
                        let now = Instant::now();
                        events.drain(..).for_each(|event| self.take(event, now));
                    }
                    break;
                }
            }
        }
        // As if every window were over.
        if let Err(error) = self.flush(Instant::now() + WINDOW).await {
            tracing::warn!(%error, "the last refusals could not be written to the audit log");
        }
        drain.cancelled().await;
        Ok(())
    }

    /// Takes in one event.
    pub fn take(&mut self, event: Event, now: Instant) {
        counter!(RECORDED_TOTAL).increment(1);
        let organization = event.whose.organization;
        let entry = entry(event);
        let key = key(&entry);
        if let Some(group) = self.groups.get_mut(&key) {
            group.counts(now);
            return;
        }
        let told_apart = self.per_crowd.get(&key.crowd).copied().unwrap_or_default();
        let fits = told_apart < GROUPS_PER_CROWD_MAX && self.groups.len() < GROUPS_MAX;
        let (key, entry) = match fits {
            true => (key, entry),
            false => {
                let folded = Entry {
                    kind: EntryType::Notice,
                    outcome: Outcome::Denied,
                    ..Entry::change(organization, FOLDED, "requests of many kinds")
                };
                (Key { what: None, ..key }, folded)
            }
        };
        if let Some(group) = self.groups.get_mut(&key) {
            group.counts(now);
        } else if key.what.is_none() && self.groups.len() >= GROUPS_MAX + FOLDED_MAX {
            *self.dropped.entry(OrganizationId::from_uuid(uuid::Uuid::nil())).or_default() += 1;
        } else {
            if key.what.is_some() {
                *self.per_crowd.entry(key.crowd).or_default() += 1;
            }
            let group = Group { entry, began: now, count: 1, first: now, last: now, told: false };
            self.groups.insert(key, group);
        }
    }

    /// Writes what is to be written by `now`.
    pub async fn flush(&mut self, now: Instant) -> Result<(), Error> {
        for (organization, count) in self.reports.take_dropped() {
            *self.dropped.entry(organization).or_default() += count;
        }
        loop {
            if self.pending.is_empty() {
                self.collect(now);
            }
            if self.pending.is_empty() {
                return Ok(());
            }
            // One statement, which commits by itself.
            insert(&mut *self.db.acquire().await?, &self.pending).await?;
            self.pending.clear();
        }
    }

    /// Moves what is due to the entries that wait.
    fn collect(&mut self, now: Instant) {
        let mut over = HashSet::new();
        for (key, group) in &mut self.groups {
            if self.pending.len() >= PENDING_MAX {
                return;
            }
            let is_over = now.saturating_duration_since(group.began) >= WINDOW;
            if group.count > 0 && (is_over || !group.told) {
                let last = (group.count > 1).then_some(group.last);
                let first = Some(group.first);
                self.pending.push(Entry { count: group.count, first, last, ..group.entry.clone() });
                group.count = 0;
                group.told = true;
            }
            if is_over {
                over.insert(key.clone());
            }
        }
        for key in over {
            self.groups.remove(&key);
            if key.what.is_some()
                && let Some(count) = self.per_crowd.get_mut(&key.crowd)
            {
                *count = count.saturating_sub(1);
            }
        }
        self.per_crowd.retain(|_, count| *count > 0);
        for (organization, count) in std::mem::take(&mut self.dropped) {
            counter!(DROPPED_TOTAL).increment(count);
            self.pending.push(Entry {
                kind: EntryType::Notice,
                outcome: Outcome::Failed,
                count: u32::try_from(count).unwrap_or(u32::MAX),
                ..Entry::change(organization, DROPPED, "refusals and sign-ons that are not in the log")
            });
        }
    }
}

fn key(entry: &Entry) -> Key {
    let crowd = (entry.organization, entry.session.is_none());
    let (Some(actor), Some(requested)) = (entry.actor, &entry.requested) else {
        return Key { crowd, what: None };
    };
    let Requested { method, route, client, .. } = &**requested;
    let what = format!("{method} {}", entry.action);
    let (kind, outcome) = (entry.kind.as_str(), entry.outcome);
    let what = (actor, entry.session, client.clone(), kind, outcome, route.clone(), what);
    Key { crowd, what: Some(what) }
}

fn entry(event: Event) -> Entry {
    let Event { whose, happened, requested } = event;
    let (kind, outcome, action, problem): (_, _, String, Option<ProblemType>) = match happened {
        Happened::Denied(action, problem) => {
            let action = action.map_or_else(|| "request".to_owned(), |action| action.as_str().to_owned());
            (EntryType::Authorization, Outcome::Denied, action, Some(problem))
        }
        Happened::NotAuthenticated(problem) => {
            (EntryType::Authentication, Outcome::Failed, "authenticate".to_owned(), Some(problem))
        }
        Happened::SignedOn(action) => (EntryType::Authentication, Outcome::Allowed, action.to_owned(), None),
        Happened::NotSignedOn(action, problem) => {
            (EntryType::Authentication, Outcome::Failed, action.to_owned(), Some(problem))
        }
    };
    let target = match (happened, whose.session) {
        // What it is about is the session itself.
        (Happened::SignedOn(_), Some(session)) => session.to_string(),
        (Happened::NotSignedOn(..), _) => whose.principal.to_string(),
        _ => requested.path.to_string(),
    };
    let entry = Entry::change(whose.organization, action, target).by(whose, requested);
    Entry { kind, outcome, problem, ..entry }
}

#[cfg(test)]
mod tests {
    use access::{PrincipalKind, Reporter, Whose};
    use axum::http::Method;
    use policy::Action;

    use super::*;

    fn event(organization: OrganizationId, session: TokenId, route: &str, action: Action) -> Event {
        Event {
            whose: Whose {
                organization,
                principal: PrincipalId::from_uuid(uuid::Uuid::nil()),
                kind: PrincipalKind::User,
                session: Some(session),
            },
            happened: Happened::Denied(Some(action), ProblemType::Forbidden),
            requested: Arc::new(Requested {
                method: Method::GET,
                route: route.into(),
                path: route.into(),
                id: "".into(),
                trace: "".into(),
                client: None,
            }),
        }
    }

    fn recorder() -> Recorder {
        let (_reporter, reports) = Reporter::new();
        let db = sqlx::postgres::PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/none");
        Recorder::new(db.expect("a pool"), reports)
    }

    fn collected(recorder: &mut Recorder, now: Instant) -> Vec<(String, u32)> {
        recorder.collect(now);
        let mut all: Vec<_> =
            recorder.pending.drain(..).map(|entry| (entry.action.into_owned(), entry.count)).collect();
        all.sort();
        all
    }

    #[tokio::test]
    async fn equal_refusals_are_one_entry_at_once_and_one_at_the_end_of_the_window() {
        let (organization, session) = (OrganizationId::generate(), TokenId::generate());
        let (mut recorder, start) = (recorder(), Instant::now());
        let refuse = |recorder: &mut Recorder, times| {
            for _ in 0..times {
                recorder.take(event(organization, session, "/x", Action::RouteWrite), start);
            }
        };
        refuse(&mut recorder, 3);
        assert_eq!(collected(&mut recorder, start), [("route:Write".to_owned(), 3)]);
        refuse(&mut recorder, 1000);
        assert_eq!(collected(&mut recorder, start + WINDOW / 2), []);
        assert_eq!(collected(&mut recorder, start + WINDOW), [("route:Write".to_owned(), 1000)]);
        assert!(recorder.groups.is_empty() && recorder.per_crowd.is_empty());
    }

    #[tokio::test]
    async fn who_is_refused_in_very_many_ways_is_told_apart_in_some_only() {
        let (organization, other) = (OrganizationId::generate(), OrganizationId::generate());
        let (mut recorder, start) = (recorder(), Instant::now());
        for _ in 0..1000 {
            recorder.take(event(organization, TokenId::generate(), "/x", Action::RouteWrite), start);
        }
        recorder.take(event(other, TokenId::generate(), "/x", Action::RouteRead), start);
        let entries = collected(&mut recorder, start);
        assert_eq!(entries.len(), GROUPS_PER_CROWD_MAX + 2);
        let folded = 1000 - u32::try_from(GROUPS_PER_CROWD_MAX).expect("small");
        assert!(entries.contains(&("audit.folded".to_owned(), folded)), "{entries:?}");
        assert!(entries.contains(&("route:Read".to_owned(), 1)), "others are not disturbed");
    }

    #[tokio::test]
    async fn who_guesses_the_passwords_of_very_many_people_hides_nothing_else() {
        let organization = OrganizationId::generate();
        let (mut recorder, start) = (recorder(), Instant::now());
        for _ in 0..1000 {
            let mut guess = event(organization, TokenId::generate(), "/v3/authenticate", Action::RouteRead);
            guess.whose = Whose { principal: PrincipalId::generate(), session: None, ..guess.whose };
            guess.happened = Happened::NotSignedOn("sign-on.password", ProblemType::Unauthenticated);
            recorder.take(guess, start);
        }
        recorder.take(event(organization, TokenId::generate(), "/x", Action::RouteRead), start);
        let entries = collected(&mut recorder, start);
        assert_eq!(entries.len(), GROUPS_PER_CROWD_MAX + 2, "{entries:?}");
        assert!(entries.contains(&("route:Read".to_owned(), 1)), "{entries:?}");
    }
}

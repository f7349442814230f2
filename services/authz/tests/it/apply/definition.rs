//! What a set of entries means, by definition: `replication::merge` for edges, the last word of the home for records. Slow,
//! over everything at once; knows nothing of vectors, or of the order in which entries come.

use std::collections::{BTreeMap, BTreeSet};

use authz::operation::{HolderId, Operation, TeamPut, assignment_id, membership_id};
use clock::at_microseconds;
use replication::{Dot, merge::Standing};
use uuid::Uuid;

use super::history::History;

/// All rows that the entries lead to, each as a line of text under its table.
pub type Rows = BTreeMap<&'static str, BTreeSet<String>>;

/// The entries of `history` at `places`, which hold with each entry its whole past.
pub struct Definition<'h> {
    history: &'h History,
    places: BTreeSet<usize>,
}

impl<'h> Definition<'h> {
    pub fn of(history: &'h History, places: impl IntoIterator<Item = usize>) -> Self {
        Self { history, places: places.into_iter().collect() }
    }

    fn operation(&self, place: usize) -> &'h Operation {
        &self.history.made[place].operation
    }

    fn dot(&self, place: usize) -> Dot {
        self.history.made[place].entry.dot()
    }

    /// Whether the writer of the entry `later` had seen `earlier`, or it is the same.
    fn follows(&self, later: usize, earlier: usize) -> bool {
        later == earlier || self.history.made[later].past.contains(&earlier)
    }

    /// What the entry grants: an edge, or that a principal is active.
    fn granted(&self, place: usize) -> Option<Uuid> {
        let organization = self.history.organization;
        match self.operation(place) {
            Operation::MemberAdded { team_id, principal_id } => {
                Some(membership_id(organization, *team_id, *principal_id))
            }
            Operation::AssignmentPut { holder, role } => {
                Some(assignment_id(organization, (*holder).into(), role).uuid())
            }
            Operation::PrincipalPut { id, active: true, .. } => Some(id.uuid()),
            _ => None,
        }
    }

    /// What the entry revokes.
    fn revoked(&self, place: usize) -> Option<Uuid> {
        match self.operation(place) {
            Operation::MemberRemoved { team_id, principal_id } => {
                Some(membership_id(self.history.organization, *team_id, *principal_id))
            }
            Operation::AssignmentRemoved { id } => Some(id.uuid()),
            Operation::PrincipalPut { id, active: false, .. } | Operation::PrincipalRemoved { id } => {
                Some(id.uuid())
            }
            Operation::SessionRevoked { id, .. } => Some(id.uuid()),
            Operation::TeamRemoved { id } => Some(id.uuid()),
            _ => None,
        }
    }

    fn authority(&self, place: usize) -> &'h [Uuid] {
        match self.operation(place) {
            // That somebody is active rests on nothing that could be revoked.
            Operation::PrincipalPut { .. } => &[],
            _ => &self.history.made[place].entry.authority,
        }
    }

    fn revocations_of(&self, subject: Uuid) -> impl Iterator<Item = usize> {
        self.places.iter().copied().filter(move |place| self.revoked(*place) == Some(subject))
    }

    fn grants_of(&self, edge: Uuid) -> impl Iterator<Item = usize> {
        self.places.iter().copied().filter(move |place| self.granted(*place) == Some(edge))
    }

    /// Rule 1: some revocation of the edge is not in the grant's past.
    fn is_ended(&self, grant: usize, edge: Uuid) -> bool {
        self.revocations_of(edge).any(|revocation| !self.follows(grant, revocation))
    }

    /// Rules 2 and 3.
    fn is_void(&self, grant: usize, known: &mut BTreeMap<usize, bool>) -> bool {
        if let Some(void) = known.get(&grant) {
            return *void;
        }
        let void = self.authority(grant).iter().any(|id| !self.has_authority(grant, *id, known));
        known.insert(grant, void);
        void
    }

    /// Whether `id` allows the grant.
    fn has_authority(&self, grant: usize, id: Uuid, known: &mut BTreeMap<usize, bool>) -> bool {
        let is_concurrent = |place: usize| !self.follows(grant, place) && !self.follows(place, grant);
        if self.revocations_of(id).any(is_concurrent) {
            return false;
        }
        let is_before = |place: &usize| *place != grant && self.follows(grant, *place);
        let before: Vec<usize> = self.grants_of(id).filter(is_before).collect();
        let was_ended = |earlier: usize| {
            self.revocations_of(id).filter(is_before).any(|revocation| !self.follows(earlier, revocation))
        };
        before.is_empty()
            || before.into_iter().any(|earlier| !was_ended(earlier) && !self.is_void(earlier, known))
    }

    pub fn standings(&self) -> BTreeMap<(Uuid, Dot), Standing> {
        let mut known = BTreeMap::new();
        let grants = self.places.iter().filter_map(|place| Some((*place, self.granted(*place)?)));
        grants
            .map(|(place, edge)| {
                let standing =
                    Standing { ended: self.is_ended(place, edge), void: self.is_void(place, &mut known) };
                ((edge, self.dot(place)), standing)
            })
            .collect()
    }

    /// The entries in the order of each log, the home's first.
    fn in_order(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.places.iter().copied().collect();
        places.sort_by_key(|place| {
            let entry = &self.history.made[*place].entry;
            (entry.origin.to_string(), entry.position.seq)
        });
        places
    }

    fn removed(&self) -> BTreeSet<Uuid> {
        self.places
            .iter()
            .filter_map(|place| match self.operation(*place) {
                Operation::PrincipalRemoved { id } => Some(id.uuid()),
                Operation::TeamRemoved { id } => Some(id.uuid()),
                _ => None,
            })
            .collect()
    }

    pub fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        let is_end = |place: &&usize| matches!(self.operation(**place), Operation::OrganizationRemoved {});
        if let Some(end) = self.places.iter().find(is_end) {
            // Nothing else is left, whatever comes.
            let home = self.history.made[*end].entry.origin.region().to_string();
            return Rows::from([("organization", BTreeSet::from([format!("removed {home}")]))]);
        }
        let mut put = |table, row: String| {
            rows.entry(table).or_default().insert(row);
        };
        for ((edge, dot), standing) in self.standings() {
            let Standing { ended, void } = standing;
            let Dot { origin, position } = dot;
            put("edge_grant", format!("{edge} {origin} {} {} {ended} {void}", position.epoch, position.seq));
        }
        for place in &self.places {
            if let Some(subject) = self.revoked(*place) {
                let Dot { origin, position } = self.dot(*place);
                put("revocation", format!("{subject} {origin} {} {}", position.epoch, position.seq));
            }
        }
        let removed = self.removed();
        for id in &removed {
            put("removed", id.to_string());
        }
        for row in self.edges(&removed) {
            put(row.0, row.1);
        }
        for (table, records) in self.records(&removed) {
            for row in records.into_values() {
                put(table, row);
            }
        }
        rows
    }

    fn edges(&self, removed: &BTreeSet<Uuid>) -> BTreeSet<(&'static str, String)> {
        let standings = self.standings();
        let lives = |place: usize| {
            let edge = self.granted(place)?;
            standings.get(&(edge, self.dot(place)))?.lives().then_some(edge)
        };
        let edges = self.places.iter().filter_map(|place| match self.operation(*place) {
            Operation::MemberAdded { team_id, principal_id } => {
                let is_gone = removed.contains(&team_id.uuid()) || removed.contains(&principal_id.uuid());
                let edge = lives(*place).filter(|_| !is_gone)?;
                Some(("membership", format!("{edge} {} {}", team_id.uuid(), principal_id.uuid())))
            }
            Operation::AssignmentPut { holder, role } => {
                let (holder, of) = match holder {
                    HolderId::Team(id) => (id.uuid(), "team"),
                    HolderId::Principal(id) => (id.uuid(), "principal"),
                };
                let edge = lives(*place).filter(|_| !removed.contains(&holder))?;
                let role = [&role.role_name, &role.entity_type_name, &role.entity_id, &role.entity_region];
                Some(("assignment", format!("{edge} {of} {holder} {}", role.map(String::as_str).join(" "))))
            }
            _ => None,
        });
        edges.collect()
    }

    fn records(&self, removed: &BTreeSet<Uuid>) -> BTreeMap<&'static str, BTreeMap<Uuid, String>> {
        let mut records = BTreeMap::<&'static str, BTreeMap<Uuid, String>>::new();
        let mut not_before = BTreeMap::<Uuid, i64>::new();
        let mut created = BTreeMap::new();
        for place in self.in_order() {
            let entry = &self.history.made[place].entry;
            let mut put = |table, id, row| drop(records.entry(table).or_default().insert(id, row));
            match self.operation(place) {
                Operation::OrganizationPut { suspended, home_region } => {
                    let status = if *suspended { "suspended" } else { "active" };
                    put("organization", Uuid::nil(), format!("{status} {home_region}"));
                }
                Operation::PrincipalPut { id, kind, active, not_before: since }
                    if !removed.contains(&id.uuid()) =>
                {
                    if let Some(since) = since {
                        let latest = not_before.entry(id.uuid()).or_insert(*since);
                        *latest = (*latest).max(*since);
                    }
                    let since = not_before.get(&id.uuid()).map(ToString::to_string).unwrap_or_default();
                    put("principal", id.uuid(), format!("{} {} {active} {since}", id.uuid(), kind.as_str()));
                }
                Operation::TeamPut(TeamPut { id, name, description, predefined, labels })
                    if !removed.contains(&id.uuid()) =>
                {
                    let at = at_microseconds(entry.at).unix_timestamp();
                    let created = created.entry(id.uuid()).or_insert(at);
                    let said = description.as_deref().unwrap_or("(none)");
                    let labels: Vec<_> =
                        labels.iter().map(|(key, value)| format!("{key:?}: {value:?}")).collect();
                    let labels = labels.join(", ");
                    let row = format!("{} {name} {said} {predefined} {{{labels}}} {created} {at}", id.uuid());
                    put("team", id.uuid(), row);
                }
                Operation::SessionRevoked { id, expires_at } => {
                    let row = format!("{} {expires_at} {}", id.uuid(), entry.origin.region());
                    put("revoked_session", id.uuid(), row);
                }
                Operation::SessionForgotten { id } => {
                    records.entry("revoked_session").or_default().remove(&id.uuid());
                }
                _ => {}
            }
        }
        records
    }
}

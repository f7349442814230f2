//! Room for requests that wait: for another region's writes, or for its answer. It is bounded, and no organization can take
//! all of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ids::OrganizationId;

/// Room in which requests wait.
pub struct Parking {
    /// Requests at once.
    max: usize,
    /// Requests of one organization at once.
    organization_max: usize,
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    total: usize,
    by_organization: HashMap<OrganizationId, usize>,
}

/// Room for one waiting request, given back on drop.
pub struct Permit<'a> {
    parking: &'a Parking,
    organization: OrganizationId,
}

impl Parking {
    /// Room for `max` requests that wait at a time, and for `organization_max` of one organization.
    pub fn new(max: usize, organization_max: usize) -> Self {
        Self { max, organization_max, parked: Mutex::default() }
    }

    /// Room for a request of `organization`; `None` when there is none.
    pub fn enter(&self, organization: OrganizationId) -> Option<Permit<'_>> {
        let mut parked = self.lock();
        if parked.total >= self.max {
            return None;
        }
        let own = parked.by_organization.entry(organization).or_default();
        if *own >= self.organization_max {
            return None;
        }
        *own += 1;
        parked.total += 1;
        Some(Permit { parking: self, organization })
    }

    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut parked = self.parking.lock();
        parked.total -= 1;
        if let Some(own) = parked.by_organization.get_mut(&self.organization) {
            *own -= 1;
            if *own == 0 {
                parked.by_organization.remove(&self.organization);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OrganizationId, Parking};

    const PARKED_MAX: usize = 40;
    const PARKED_PER_ORGANIZATION_MAX: usize = 10;

    #[test]
    fn room_is_bounded_for_one_and_for_all_and_given_back() {
        let parking = Parking::new(PARKED_MAX, PARKED_PER_ORGANIZATION_MAX);
        let greedy = OrganizationId::generate();
        let mut permits: Vec<_> =
            (0..PARKED_PER_ORGANIZATION_MAX).map(|_| parking.enter(greedy).expect("room")).collect();
        assert!(parking.enter(greedy).is_none(), "an organization has its share");
        while permits.len() < PARKED_MAX {
            permits.push(parking.enter(OrganizationId::generate()).expect("room for others"));
        }
        assert!(parking.enter(OrganizationId::generate()).is_none(), "the process is full");
        drop(permits);
        assert_eq!(parking.lock().total, 0);
        assert!(parking.lock().by_organization.is_empty(), "nothing is kept about who waited");
        assert!(parking.enter(greedy).is_some());
    }
}

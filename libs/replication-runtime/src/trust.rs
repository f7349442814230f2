//! What is believed of what NATS and other regions say of a log. Nothing that has come in is an [`Entry`] before it passed here.
//!
//! An entry counts if its origin signed it, and a position of a log if its origin signed the entry there. Whoever gives them to
//! us, another region for example, may keep something back, and can make up nothing.
//!
//! Releases before generation [`SIGNING_GENERATION`] did not sign. What such a region says is believed without a signature until
//! it is first heard to sign; from then on never again, also after a restart. What a region says that was not heard yet is
//! believed only with a signature.

use std::collections::{BTreeMap, BTreeSet};

use ids::Region;
use proto::replication::v1 as wire;
use replication::{Entry, Keyring, Origin, Signature, Tip, Unproven, Unreadable};
use tokio::sync::watch;

/// From this generation on, regions sign what they write and send signatures with what they tell.
pub const SIGNING_GENERATION: u32 = 2;

/// Something that came in is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the message cannot be read: {0}")]
    Undecodable(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("{origin}, entry {seq}: {reason}")]
    Unproven { origin: Origin, seq: u64, reason: Unproven },
}

/// The keys of all logs, and which regions sign.
pub struct Trust {
    keys: Keyring,
    own: Region,
    /// Whether each region signs; nothing is known of those that are missing. `None` until the database was asked.
    signs: watch::Sender<Option<BTreeMap<Region, bool>>>,
}

impl Trust {
    /// Believes nothing without a signature until [`Trust::load`] was called. `own` is this region.
    pub fn new(keys: Keyring, own: Region) -> Self {
        Self { keys, own, signs: watch::Sender::default() }
    }

    /// The key that `origin` signs with now.
    pub fn current_key(&self, origin: &Origin) -> Option<replication::KeyId> {
        self.keys.current(origin).map(replication::PublicKey::id)
    }

    /// These regions are known to sign: they were heard to do so before.
    pub fn load(&self, signing: Vec<Region>) {
        self.signs.send_replace(Some(signing.into_iter().map(|region| (region, true)).collect()));
    }

    /// Whether `region`, of this generation, is heard to sign for the first time: the database has to remember that.
    pub fn is_new_signer(&self, region: &Region, generation: u32) -> bool {
        let signs = self.signs.borrow();
        let is_known = signs.as_ref().is_some_and(|signs| signs.get(region) == Some(&true));
        generation >= SIGNING_GENERATION && signs.is_some() && !is_known
    }

    /// `region` tells of what generation it is.
    pub fn heard(&self, region: &Region, generation: u32) {
        self.signs.send_if_modified(|signs| {
            let Some(signs) = signs else { return false };
            let signs = signs.entry(region.clone()).or_default();
            !std::mem::replace(signs, *signs || generation >= SIGNING_GENERATION)
        });
    }

    /// Whether `region` is known to be of a release that did not sign.
    pub fn is_unsigning(&self, region: &Region) -> bool {
        let signs = self.signs.borrow();
        *region != self.own && signs.as_ref().and_then(|signs| signs.get(region)) == Some(&false)
    }

    /// The entry in a message, if its origin wrote it.
    pub fn admit(&self, message: wire::Operation) -> Result<Entry, Refused> {
        let entry = Entry::from_wire(message)?;
        match self.keys.prove(&entry) {
            Err(Unproven::Unsigned) if self.is_unsigning(entry.origin.region()) => Ok(entry),
            Err(reason) => Err(refused(&entry, reason)),
            Ok(()) => Ok(entry),
        }
    }

    /// The entries of one log in the messages of a page, in order, as far as they are proven: the first of them is, or this is
    /// an error.
    pub fn admit_page(&self, messages: Vec<wire::Operation>) -> Result<Vec<Entry>, Refused> {
        let mut page = messages.into_iter().map(Entry::from_wire).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = page.first() else { return Ok(page) };
        if self.is_unsigning(first.origin.region()) && page.iter().all(|entry| entry.signature.is_none()) {
            return Ok(page);
        }
        // The origin may be signing what it wrote before it signed: then the end of a page has no signatures yet.
        let signed = page.iter().rposition(|entry| entry.signature.is_some());
        let first = first.clone();
        page.truncate(signed.map_or(0, |last| last + 1));
        match page.last() {
            None => Err(refused(&first, Unproven::Unsigned)),
            Some(last) => {
                self.keys.prove_page(&page).map_err(|reason| refused(last, reason))?;
                // Those before it are proven by it. Their own signatures are kept only if they prove them to others, too.
                for entry in &mut page {
                    entry.signature = entry.signature.filter(|_| self.keys.prove(entry).is_ok());
                }
                Ok(page)
            }
        }
    }

    /// Whether `region` may say that the log of `origin` has this entry.
    pub fn believes(
        &self,
        region: &Region,
        origin: &Origin,
        tip: &Tip,
        signature: Option<&Signature>,
    ) -> Result<(), Unproven> {
        if tip.position.seq == 0 {
            return Ok(());
        }
        match self.keys.prove_tip(origin, tip, signature) {
            Err(Unproven::Unsigned) if self.is_unsigning(region) => Ok(()),
            proven => proven,
        }
    }
}

/// The logs of which a region said something that it did not prove.
pub type NotBelieved = BTreeSet<Origin>;

fn refused(entry: &Entry, reason: Unproven) -> Refused {
    Refused::Unproven { origin: entry.origin.clone(), seq: entry.position.seq, reason }
}

#[cfg(test)]
mod tests;

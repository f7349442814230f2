//! Whether a chain is what its service made: every entry there, unchanged, in order, and the end signed. Pure.
//!
//! What it cannot tell: that the client of an entry was deleted, as it may be; that a whole chain was removed together with its row in `audit_chain`, and that both were put back to an earlier
//! state that was signed once, as a restored backup does. Whoever keeps what the webhook delivers, or an export, can tell that.

use std::fmt;

use replication::{Context, Hash, PublicKey};

use crate::{ChainState, Record};

/// What is wrong at the first place where something is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain {chain}, seq {seq}: {difference}")]
pub struct Broken {
    /// The chain, as in `config.us/0198f3…`.
    pub chain: String,
    /// Sequence number of the entry.
    pub seq: u64,
    /// What differs.
    pub difference: Difference,
}

/// How an entry, or the end or the beginning of a chain, differs from what the service made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The next entry that is there has another sequence number.
    #[error("the entry is missing; the next one that is there is seq {0}")]
    Missing(u64),
    /// There is an entry that the end of the chain says nothing of.
    #[error("the entry lies behind the end of the chain, which is signed for seq {0}")]
    BehindEnd(u64),
    /// Entries at the end are missing.
    #[error("the entry is missing; the chain is signed up to seq {0}")]
    TailMissing(u64),
    /// Its hash is not that of its content.
    #[error("the entry was altered: its hash is not that of its content")]
    Altered,
    /// Its address or its user agent is another one.
    #[error("the address or the user agent of the entry was altered: `client_hash` is not of them")]
    ClientAltered,
    /// It was not made after the entry before it.
    #[error("the entry is not linked to the one before it: `prev_hash` is another one's")]
    NotLinked,
    /// The last entry is another one than the end says.
    #[error("the end of the chain is signed for another entry")]
    OtherEnd,
    /// A signature is missing where there has to be one.
    #[error("the {0} is not signed")]
    Unsigned(Part),
    /// A signature is not by the service's key.
    #[error("the {0} is signed with a key that is not the service's")]
    UnknownKey(Part),
    /// A signature is of something else.
    #[error("the signature of the {0} is wrong")]
    WrongSignature(Part),
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An entry.
    Entry,
    /// The end of a chain.
    End,
    /// What was removed because it was old.
    Floor,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entry => "entry",
            Self::End => "end of the chain",
            Self::Floor => "beginning of the chain",
        })
    }
}

/// What was found whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Entries.
    pub entries: u64,
    /// Chains.
    pub chains: u64,
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whole: {} entries in {} chains", self.entries, self.chains)
    }
}

/// Reads one chain from its beginning to its end.
pub struct Verifier<'k> {
    keys: &'k [PublicKey],
    state: ChainState,
    seq: u64,
    hash: Hash,
}

impl<'k> Verifier<'k> {
    /// Checks what `state` says of the beginning of the chain. `keys` are those that the service signs and has signed with.
    pub fn begin(keys: &'k [PublicKey], state: ChainState) -> Result<Self, Broken> {
        let (seq, hash) = (state.floor_seq, state.floor_hash);
        let verifier = Self { keys, state, seq, hash };
        if seq > 0 {
            let signature = verifier.state.floor_signature;
            verifier.signed(Context::AuditFloor, Part::Floor, (seq, &hash), signature.as_ref())?;
        } else if hash != replication::NO_HASH {
            return Err(verifier.broken(0, Difference::WrongSignature(Part::Floor)));
        }
        Ok(verifier)
    }

    /// Takes the next entry.
    pub fn take(&mut self, record: &Record) -> Result<(), Broken> {
        let expected = self.seq.saturating_add(1);
        if record.seq != expected {
            return Err(self.broken(expected, Difference::Missing(record.seq)));
        }
        if expected > self.state.seq {
            return Err(self.broken(expected, Difference::BehindEnd(self.state.seq)));
        }
        if record.hash != record.computed_hash() || record.chain != self.state.chain {
            return Err(self.broken(expected, Difference::Altered));
        }
        if !record.has_its_client() {
            return Err(self.broken(expected, Difference::ClientAltered));
        }
        if record.prev_hash != self.hash {
            return Err(self.broken(expected, Difference::NotLinked));
        }
        if record.signature.is_some() {
            let at = (expected, &record.hash);
            self.signed(Context::AuditEntry, Part::Entry, at, record.signature.as_ref())?;
        }
        (self.seq, self.hash) = (expected, record.hash);
        Ok(())
    }

    /// Checks the end. Answers how many entries the chain has now.
    pub fn end(self) -> Result<u64, Broken> {
        let ChainState { seq, hash, .. } = self.state;
        if self.seq < seq {
            return Err(self.broken(self.seq.saturating_add(1), Difference::TailMissing(seq)));
        }
        self.signed(Context::AuditHead, Part::End, (seq, &hash), self.state.signature.as_ref())?;
        if (self.seq, self.hash) != (seq, hash) {
            return Err(self.broken(self.seq, Difference::OtherEnd));
        }
        Ok(seq.saturating_sub(self.state.floor_seq))
    }

    fn signed(
        &self,
        context: Context,
        part: Part,
        at: (u64, &Hash),
        signature: Option<&replication::Signature>,
    ) -> Result<(), Broken> {
        let signature = signature.ok_or_else(|| self.broken(at.0, Difference::Unsigned(part)))?;
        let proven = self.state.chain.proves(self.keys, context, at, signature);
        proven.map_err(|unproven| {
            self.broken(
                at.0,
                match unproven {
                    replication::Unproven::UnknownKey => Difference::UnknownKey(part),
                    _ => Difference::WrongSignature(part),
                },
            )
        })
    }

    fn broken(&self, seq: u64, difference: Difference) -> Broken {
        Broken { chain: self.state.chain.to_string(), seq, difference }
    }
}

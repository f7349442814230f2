//! The certificate that a client shows in TLS: what plugins want of the handshake, and what came of it.
//!
//! A handshake proves that the client has the certificate's key, and nothing else: any certificate is taken. What it is worth is decided for
//! each request, by the plugins of its route. So a change of what is trusted holds for the next request of a connection that is open.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use rustls_pki_types::CertificateDer;

use super::subject::Subject;

/// Verdicts that a connection keeps: one for each set of authorities that the routes of its requests ask for.
const VERDICTS_MAX: usize = 8;

/// That clients are asked for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// The subjects of the authorities that should have issued it, each the content of a name in DER; clients are told them. `None`: they are
    /// told nothing.
    pub issuers: Option<BTreeSet<Vec<u8>>>,
}

/// What the client of a connection has shown.
#[derive(Debug)]
pub enum ClientCertificate {
    /// The connection is not TLS.
    Plain,
    /// Nobody asked when the connection, or the session that it resumes, was opened.
    NotAsked,
    /// It was asked, and showed none.
    None,
    /// It has shown one, and has its key.
    Shown(Box<Shown>),
}

/// A certificate whose key the client has.
#[derive(Debug)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    subject: OnceCell<Option<Subject>>,
    verdicts: RefCell<Vec<([u8; 32], Verdict)>>,
}

/// What a chain is worth to those who trust certain authorities, and until when.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Unix seconds after which it has to be judged again.
    pub until: u64,
    /// What is known of it; `None`: it leads to none of them.
    pub verified: Option<Rc<Verified>>,
}

/// A chain that leads to an authority.
#[derive(Debug)]
pub struct Verified {
    /// The authorities of the configuration that it leads through, by place among those that are trusted, the nearest to the client first.
    pub through: Vec<usize>,
    /// Stands for the certificate and for who trusts it.
    pub key: [u8; 32],
}

impl ClientCertificate {
    /// The chain that a client has shown, its own certificate first.
    pub fn shown(chain: Vec<CertificateDer<'static>>) -> Self {
        Self::Shown(Box::new(Shown { chain, subject: OnceCell::new(), verdicts: RefCell::default() }))
    }
}

impl Shown {
    /// The chain, the client's own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whom the certificate is about; `None` if it cannot be read.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.get_or_init(|| Subject::read(self.chain.first()?)).as_ref()
    }

    /// What the chain is worth at `now`, in Unix seconds, to those who trust what `trust` stands for; they `judge` it where that is not known.
    pub fn verdict(&self, trust: &[u8; 32], now: u64, judge: impl FnOnce() -> Verdict) -> Verdict {
        let mut verdicts = self.verdicts.borrow_mut();
        if let Some((_, verdict)) = verdicts.iter().find(|(of, verdict)| of == trust && now <= verdict.until)
        {
            return verdict.clone();
        }
        let verdict = judge();
        verdicts.retain(|(of, _)| of != trust);
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.remove(0);
        }
        verdicts.push((*trust, verdict.clone()));
        verdict
    }
}

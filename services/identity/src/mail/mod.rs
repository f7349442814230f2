//! Mail to people. A handler puts a mail into the table `resident.mail` in the transaction of its write; [`sender`] sends it afterwards.
//!
//! So no request waits for a mail server, and a mail is lost neither by a crash nor by a server that is away for a while. What was being
//! sent while a process ended may be sent twice, under one `Message-ID`. An address is personal data: it is in no log line.

mod sender;
mod store;
mod texts;

use std::sync::Arc;

use ids::OrganizationId;
use random::Random;
use seal::SealKey;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::sync::Notify;

pub use self::{
    sender::{Sender, Server},
    store::count,
};

/// Most mails of one organization that wait at once. What is beyond is refused.
pub const WAITING_MAX: i64 = 1000;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody is invited.
    Invite,
    /// Somebody wants a new password.
    PasswordReset,
    /// Nobody gets it. It stands in the place of a mail to an address that nobody has, so that the answer takes as long as another.
    Decoy,
}

impl Kind {
    /// What the column `kind` says.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::PasswordReset => "password_reset",
            Self::Decoy => "decoy",
        }
    }

    fn from_column(text: &str) -> Result<Self, postgres::Error> {
        let known = [Self::Invite, Self::PasswordReset, Self::Decoy].into_iter();
        let found = known.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| postgres::Error::undecodable(format!("`{text}` is no kind of mail")))
    }
}

/// A mail to be sent.
pub struct Letter {
    /// Of the recipient.
    pub organization: OrganizationId,
    /// What it is about.
    pub kind: Kind,
    /// The address.
    pub to: String,
    /// What the text names.
    pub says: Says,
    /// After that it is of no use, and not sent.
    pub expires_at: OffsetDateTime,
}

/// What the text of a mail names. Sealed while it waits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Says {
    /// The organization's name.
    pub organization: String,
    /// The credential in the link.
    pub credential: String,
}

/// Where mail is put. Cheap to clone.
#[derive(Clone)]
pub struct MailQueue {
    seal: SealKey,
    random: Random,
    wake: Arc<Notify>,
    is_sent: bool,
}

impl MailQueue {
    /// `is_sent`: whether a mail server is named in the settings.
    pub fn new(seal: SealKey, random: Random, is_sent: bool) -> Self {
        Self { seal, random, wake: Arc::new(Notify::new()), is_sent }
    }

    /// Whether mail is sent at all.
    pub const fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Puts a mail into the queue, in the transaction of `connection`. To be followed by [`MailQueue::hurry`] after the commit.
    pub async fn put(
        &self,
        connection: &mut PgConnection,
        letter: &Letter,
        at: OffsetDateTime,
    ) -> Result<(), postgres::Error> {
        let id = self.random.uuid();
        let says = serde_json::to_vec(&letter.says).map_err(postgres::Error::unencodable)?;
        let sealed = self.seal.seal(id.as_bytes(), &says);
        store::insert(connection, id, letter, &sealed, at).await
    }

    /// Mail was put into the queue and committed.
    pub fn hurry(&self) {
        self.wake.notify_one();
    }
}

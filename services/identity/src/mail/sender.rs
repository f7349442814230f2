//! Sends mail that waits, by SMTP over TLS. Every replica does.

use std::{fs, time::Duration};

use anyhow::Context as _;
use clock::Clock;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use seal::SealKey;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{MailQueue, Says, store, texts};
use crate::settings::{Mail, MailTls};

/// Pause between two looks at what waits.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time of one mail with the mail server.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a replica has a mail for itself: longer than all that it claims at once can take.
const CLAIM: time::Duration = time::Duration::minutes(10);
/// Mails that are claimed at once.
const BATCH_MAX: i64 = 10;
/// Pause before the second attempt; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: time::Duration = time::Duration::seconds(5);
const PAUSE_MAX: time::Duration = time::Duration::hours(1);
/// A mail that failed so often is given up. With these pauses that is after eight hours or so.
const ATTEMPTS_MAX: i32 = 16;
/// The ports of SMTP (RFC 8314).
const IMPLICIT_PORT: u16 = 465;
const STARTTLS_PORT: u16 = 587;

/// The mail server, as the settings name it.
pub struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    link_base_url: String,
}

impl Server {
    /// Reads the files that `mail` names; connects with the first mail. An error names the setting that is wrong.
    pub fn new(mail: &Mail) -> anyhow::Result<Self> {
        let from =
            mail.from.parse().context("mail.from: must be as in `Landbridge <landbridge@example.com>`")?;
        let mut parameters = TlsParameters::builder(mail.server.clone());
        if let Some(path) = &mail.ca {
            let pem = fs::read(path).with_context(|| format!("mail.ca: cannot read {}", path.display()))?;
            let ca = Certificate::from_pem(&pem).context("mail.ca: holds no certificate in PEM")?;
            parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(ca);
        }
        let parameters = parameters.build_rustls().context("mail.server")?;
        let (tls, port) = match mail.tls {
            MailTls::Implicit => (Tls::Wrapper(parameters), IMPLICIT_PORT),
            MailTls::StartTls => (Tls::Required(parameters), STARTTLS_PORT),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mail.server.clone())
            .port(mail.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(SEND_TIMEOUT));
        match (&mail.user, &mail.password_file) {
            (Some(user), Some(path)) => {
                let password = fs::read_to_string(path)
                    .with_context(|| format!("mail.password_file: cannot read {}", path.display()))?;
                builder = builder.credentials(Credentials::new(user.clone(), password.trim_end().to_owned()));
            }
            (None, None) => {}
            _ => anyhow::bail!("mail.user and mail.password_file: give both or none"),
        }
        let base = mail.link_base_url.trim_end_matches('/');
        anyhow::ensure!(base.starts_with("https://"), "mail.link_base_url: must begin with https://");
        Ok(Self { transport: builder.build(), from, link_base_url: base.to_owned() })
    }
}

/// Sends until the drain.
pub struct Sender {
    db: PgPool,
    seal: SealKey,
    clock: Clock,
    queue: MailQueue,
    server: Server,
}

/// What became of an attempt.
enum Attempt {
    /// The server has taken it, or nobody is to get it.
    Done,
    /// The mail server refuses it, or it is of no use any more.
    GivenUp(String),
    /// To be tried again.
    Failed(String),
}

impl Sender {
    /// Sends what `queue` holds in `db` by way of `server`.
    pub fn new(db: PgPool, clock: Clock, queue: MailQueue, server: Server) -> Self {
        Self { db, seal: queue.seal.clone(), clock, queue, server }
    }

    /// Runs until `drain`.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        loop {
            let is_more = match self.round().await {
                Ok(sent) => sent == BATCH_MAX as usize,
                Err(error) => {
                    tracing::warn!(%error, "mail that waits could not be read; trying again");
                    false
                }
            };
            if is_more && !drain.is_cancelled() {
                continue;
            }
            tokio::select! {
                () = drain.cancelled() => return Ok(()),
                () = self.queue.wake.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Tries what can be sent now; answers how many mails that were.
    async fn round(&self) -> Result<usize, postgres::Error> {
        let now = self.clock.now();
        let claimed = store::claim(&self.db, now, now + CLAIM, BATCH_MAX).await?;
        for mail in &claimed {
            let (id, organization, attempts) = (mail.id, mail.organization, mail.attempts);
            match self.attempt(mail).await {
                Attempt::Done => store::delete(&self.db, id).await?,
                Attempt::Failed(reason) if attempts < ATTEMPTS_MAX => {
                    tracing::warn!(%id, %organization, attempts, reason, "a mail was not sent; trying again");
                    store::postpone(&self.db, id, self.clock.now() + pause_after(attempts)).await?;
                }
                Attempt::Failed(reason) | Attempt::GivenUp(reason) => {
                    tracing::error!(%id, %organization, attempts, reason, "a mail was given up");
                    store::delete(&self.db, id).await?;
                }
            }
        }
        Ok(claimed.len())
    }

    async fn attempt(&self, mail: &store::Claimed) -> Attempt {
        if mail.expires_at <= self.clock.now() {
            return Attempt::GivenUp("what it offers has expired".to_owned());
        }
        let message = match self.message(mail) {
            Ok(Some(message)) => message,
            Ok(None) => return Attempt::Done,
            Err(reason) => return Attempt::GivenUp(format!("{reason:#}")),
        };
        match self.server.transport.send(message).await {
            Ok(_) => Attempt::Done,
            // The server's words may name the address.
            Err(error) => match error.status() {
                Some(code) if error.is_permanent() => {
                    Attempt::GivenUp(format!("the mail server answers {code}"))
                }
                Some(code) => Attempt::Failed(format!("the mail server answers {code}")),
                None => Attempt::Failed(error.to_string()),
            },
        }
    }

    /// The mail as it is sent; `None` for one that nobody gets.
    fn message(&self, mail: &store::Claimed) -> anyhow::Result<Option<Message>> {
        let says = self.seal.open(mail.id.as_bytes(), &mail.sealed).context("sealed with another key")?;
        let says: Says = serde_json::from_slice(&says).context("not as this release writes it")?;
        let Some((subject, text)) =
            texts::write(mail.kind, &says, &self.server.link_base_url, mail.expires_at)
        else {
            return Ok(None);
        };
        // Without the reason, which may name the address.
        let to =
            mail.to.parse().map_err(|_| anyhow::anyhow!("the address is none that mail can be sent to"))?;
        let domain = self.server.from.email.domain();
        let message = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .from(self.server.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)?;
        Ok(Some(message))
    }
}

fn pause_after(attempts: i32) -> time::Duration {
    let doublings = attempts.saturating_sub(1).clamp(0, 20);
    (PAUSE_MIN * 2_i32.saturating_pow(doublings.cast_unsigned())).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS_MAX, PAUSE_MAX, PAUSE_MIN, pause_after};

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert_eq!(pause_after(1), PAUSE_MIN);
        assert_eq!(pause_after(3), PAUSE_MIN * 4);
        assert_eq!(pause_after(ATTEMPTS_MAX), PAUSE_MAX);
        assert_eq!(pause_after(i32::MAX), PAUSE_MAX);
    }
}

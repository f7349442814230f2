//! A mail server that keeps what it is sent as files, so that a test, or a person on this machine, can read it. It sends nothing on.
//!
//! It speaks as much of SMTP (RFC 5321) as a client needs to hand a mail over, with TLS from the first byte on (RFC 8314). A recipient
//! whose name begins with `refused` is refused for good, and one whose name begins with `later` for now.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs},
};

use crate::{
    binaries,
    ca::Pair,
    folder::Folder,
    process::{Process, Program},
    wait,
};

/// Longest line, and longest mail, bytes.
const LINE_BYTES_MAX: u64 = 8192;
const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// Longest time of one connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait until the server listens, or until a mail is there.
const DEADLINE: Duration = Duration::from_secs(20);

/// Serves until the process ends: `landbridge-testbed mail --listen ADDR --certificate FILE --key FILE --folder FOLDER`.
pub async fn serve(listen: SocketAddr, files: &Pair, folder: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    accept(listener, files, folder).await
}

/// Takes mail on `listener` and keeps it in `folder`, for ever.
pub async fn accept(listener: TcpListener, files: &Pair, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, folder) = (acceptor.clone(), folder.to_owned());
        tokio::spawn(async move {
            // A client that breaks off has handed over nothing.
            let _ = timeout(CONNECTION_TIMEOUT, connection(acceptor, stream, &folder)).await;
        });
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, folder: &Path) -> anyhow::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    say(&mut stream, "220 landbridge-testbed").await?;
    loop {
        let line = line(&mut stream).await?;
        let command = line.trim_end().to_ascii_uppercase();
        let answer = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-landbridge-testbed\r\n250 8BITMIME",
            "RCPT" if command.contains("<REFUSED") => "550 no such mailbox",
            "RCPT" if command.contains("<LATER") => "451 the mailbox is busy",
            "HELO" | "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 ok",
            "DATA" => {
                say(&mut stream, "354 end with a line that has a dot only").await?;
                keep(folder, &mail(&mut stream).await?)?;
                "250 kept"
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            "" => return Ok(()),
            _ => "502 not implemented",
        };
        say(&mut stream, answer).await?;
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> anyhow::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    Ok(stream.flush().await?)
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> anyhow::Result<String> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    anyhow::ensure!(line.is_empty() || line.ends_with(b"\n"), "a line is too long or broke off");
    Ok(String::from_utf8_lossy(&line).into_owned())
}

async fn mail<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> anyhow::Result<String> {
    let mut mail = String::new();
    loop {
        let line = line(stream).await?;
        match line.as_str() {
            "" => anyhow::bail!("the mail broke off"),
            ".\r\n" => return Ok(mail),
            // A dot at the beginning of a line is doubled on the way.
            line => mail.push_str(line.strip_prefix('.').unwrap_or(line)),
        }
        anyhow::ensure!(mail.len() <= MAIL_BYTES_MAX, "the mail is too long");
    }
}

/// Writes the mail to the next file, which is there whole or not at all.
fn keep(folder: &Path, mail: &str) -> anyhow::Result<()> {
    for number in 1.. {
        let path = folder.join(format!("{number:04}.eml"));
        if path.exists() {
            continue;
        }
        let part = path.with_extension("part");
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part) {
            Ok(mut file) => {
                file.write_all(mail.as_bytes())?;
                return fs::rename(part, path).context("keep a mail");
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context("keep a mail"),
        }
    }
    Ok(())
}

/// A mail that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The address that it went to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// All of it, with its headers.
    pub text: String,
}

impl Mail {
    /// The credential in its link: what follows the `#`.
    pub fn credential(&self) -> Option<&str> {
        self.text
            .lines()
            .find_map(|line| line.strip_prefix("https://")?.split_once('#'))
            .map(|(_, found)| found.trim())
    }
}

/// The mails in `folder`, in the order in which they came.
pub fn kept(folder: &Path) -> anyhow::Result<Vec<Mail>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    let read = |path: &PathBuf| {
        let text: String = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let header = |name: &str| {
            let found =
                text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().trim().to_owned()
        };
        let is_quoted = header("Content-Transfer-Encoding:") == "quoted-printable";
        let (to, subject) = (header("To:"), header("Subject:"));
        Ok(Mail { to, subject, text: if is_quoted { unquote(&text) } else { text } })
    };
    paths.iter().map(read).collect()
}

/// `text` without the soft line breaks and escapes of the encoding quoted-printable (RFC 2045), which long lines are sent in.
fn unquote(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped =
            (*first == b'=').then(|| after.get(..2).and_then(|digits| hex::decode(digits).ok())).flatten();
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `count` mails to `address` are in `folder`; answers the last of them.
pub async fn until_kept(folder: &Path, address: &str, count: usize) -> anyhow::Result<Mail> {
    wait::until(&format!("{count} mails to {address}"), DEADLINE, async || {
        let mails = kept(folder).map_err(|error| format!("{error:#}"))?;
        let mut found = mails.into_iter().filter(|mail| mail.to == address);
        let there = found.by_ref().take(count).collect::<Vec<_>>();
        match there.len() == count {
            true => there.into_iter().next_back().ok_or_else(|| "none are wanted".to_owned()),
            false => Err(format!("{} are there", there.len())),
        }
    })
    .await
}

/// A running mail server.
#[derive(Debug)]
pub struct MailServer {
    process: Process,
    folder: PathBuf,
}

impl MailServer {
    /// Starts it in its region, and waits until it listens.
    pub async fn start(folder: &Folder, address: SocketAddr, files: &Pair) -> anyhow::Result<Self> {
        let mails = folder.make("mail")?;
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let program = Program::new("mail", binaries::testbed()?)
            .arg("mail")
            .arg("--listen")
            .arg(address.to_string())
            .arg("--certificate")
            .arg(path(&files.certificate))
            .arg("--key")
            .arg(path(&files.key))
            .arg("--folder")
            .arg(path(&mails));
        let process = Process::start(program, folder).await?;
        let listens = async || match TcpStream::connect(address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        process.until_ready(DEADLINE, listens).await?;
        Ok(Self { process, folder: mails })
    }

    /// Where the mails are, a file each.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::{keep, kept, unquote};

    #[test]
    fn long_lines_come_back_whole() {
        assert_eq!(
            unquote("https://a.example/invite#lbi=\r\n_1 caf=C3=A9 1 =3D 1\r\n"),
            "https://a.example/invite#lbi_1 caf\u{e9} 1 = 1\r\n"
        );
    }

    #[test]
    fn mails_are_kept_in_the_order_in_which_they_came() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..3 {
            let text = format!(
                "To: ada@example.com\r\nSubject: {number}\r\n\r\nOpen this link:\r\n\r\nhttps://a.example/invite#lbi_{number}\r\n"
            );
            keep(folder.path(), &text).expect("kept");
        }
        let mails = kept(folder.path()).expect("read");
        assert_eq!(mails.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        assert_eq!((mails[1].to.as_str(), mails[1].credential()), ("ada@example.com", Some("lbi_1")));
    }
}

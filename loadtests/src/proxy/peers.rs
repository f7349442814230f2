//! Other proxies, where the machine has them, with the gateway's routes, keys and certificate. Their configurations are
//! the files of `peers/`, filled in here.
//!
//! All look requests up by the longest path prefix and by the key's header, and tell the upstream the consumer's name, as
//! the gateway does. None takes a change without a reload; that is not measured here.

mod envoy;
mod haproxy;
mod nginx;

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use testbed::binaries;

use crate::documents::Size;

/// Where Debian puts servers, which is not on everyone's path.
const SERVER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// Where `./dev` installs Envoy, from the root of the repository.
const VENV_PROGRAMS: &str = ".dev/venv/bin";

/// A proxy to compare the gateway with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Nginx,
    Haproxy,
    Envoy,
}

/// Where a proxy listens, and where it forwards to.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// HTTP/1.1.
    pub plain: SocketAddr,
    /// HTTPS, with HTTP/1.1 and HTTP/2.
    pub tls: SocketAddr,
    /// All requests go there.
    pub upstream: SocketAddr,
}

impl Peer {
    /// In the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Envoy];

    /// As in the keys of figures. The program is called the same.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// The program; `None` where it is not installed.
    pub fn find(self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let installed = binaries::repository().map(|root| root.join(VENV_PROGRAMS));
        let folders = env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from)).chain(installed);
        folders.map(|folder| folder.join(self.name())).find(|program| program.is_file())
    }
}

/// Writes a peer's configuration to `home`; returns the arguments to start it with.
pub fn configure(
    peer: Peer,
    home: &Path,
    on: &Addresses,
    certificate: &Path,
    size: Size,
) -> anyhow::Result<Vec<String>> {
    let common = [
        ("FOLDER", text(home)?),
        ("CERTIFICATE", text(certificate)?),
        ("LISTEN", on.plain.to_string()),
        ("LISTEN_ADDRESS", on.plain.ip().to_string()),
        ("LISTEN_PORT", on.plain.port().to_string()),
        ("TLS", on.tls.to_string()),
        ("TLS_ADDRESS", on.tls.ip().to_string()),
        ("TLS_PORT", on.tls.port().to_string()),
        ("UPSTREAM", on.upstream.to_string()),
        ("UPSTREAM_ADDRESS", on.upstream.ip().to_string()),
        ("UPSTREAM_PORT", on.upstream.port().to_string()),
    ];
    let files = match peer {
        Peer::Nginx => nginx::files(size),
        Peer::Haproxy => haproxy::files(size),
        Peer::Envoy => envoy::files(size),
    };
    for (name, content) in files {
        let (file, content) = (home.join(name), fill(content, &common)?);
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
    }
    let arguments: &[&str] = match peer {
        Peer::Nginx => &["-c", nginx::FILE],
        Peer::Haproxy => &["-db", "-f", haproxy::FILE],
        Peer::Envoy => {
            &["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", envoy::FILE]
        }
    };
    let (last, others) = arguments.split_last().context("no arguments")?;
    let file = text(&home.join(last))?;
    Ok(others.iter().map(|argument| (*argument).to_owned()).chain([file]).collect())
}

/// Files of a peer's configuration: name and content, with `@NAMES@` to fill in.
type Files = Vec<(&'static str, String)>;

/// Puts values into a configuration; an error when a name is left.
fn fill(content: String, values: &[(&str, String)]) -> anyhow::Result<String> {
    let filled =
        values.iter().fold(content, |content, (name, value)| content.replace(&format!("@{name}@"), value));
    let left = filled.lines().filter(|line| !line.starts_with('#')).find_map(name_in);
    ensure!(left.is_none(), "@{}@ is not filled in", left.unwrap_or_default());
    Ok(filled)
}

/// The first name that a line has, without its marks.
fn name_in(line: &str) -> Option<&str> {
    line.split('@')
        .skip(1)
        .find(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a folder's name is not UTF-8")?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SIZE: Size = Size { services: 1, routes: 3, consumers: 2 };

    #[test]
    fn every_peers_configuration_is_filled_in_and_has_all_routes_and_keys() {
        let folder = env::temp_dir().join(format!("loadtests-{}", uuid::Uuid::new_v4()));
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let on = Addresses { plain: at(1001), tls: at(1002), upstream: at(1003) };
        for peer in Peer::ALL {
            let home = folder.join(peer.name());
            fs::create_dir_all(&home).expect("made");
            let arguments = configure(peer, &home, &on, Path::new("/certificates"), SIZE).expect("written");
            let main = arguments.last().expect("a file");
            assert!(Path::new(main).is_file(), "{main}");
            let files = fs::read_dir(&home).expect("there");
            let all: String =
                files.map(|file| fs::read_to_string(file.expect("there").path()).expect("text")).collect();
            let wanted = [
                "/api/items-00002",
                "key-of-consumer-00001",
                "consumer-00001",
                "1001",
                "1002",
                "1003",
                "/certificates/",
            ];
            for text in wanted {
                assert!(all.contains(text), "{}: {text}", peer.name());
            }
        }
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert!(fill("listen @LISTEN@;".to_owned(), &[]).is_err());
        let filled = fill("# @NAMES@\n\"@type\": @A@".to_owned(), &[("A", "b".to_owned())]);
        assert_eq!(filled.expect("filled in"), "# @NAMES@\n\"@type\": b");
    }
}

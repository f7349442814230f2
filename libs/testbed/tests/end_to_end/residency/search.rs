//! Everything that a region keeps, searched for texts: the whole folder of the region (heap and WAL files of Postgres, JetStream's files,
//! the stores of gateways, logs), a dump of each database, and each message of each stream.
//!
//! A text is looked for as it is, in hexadecimal, in base64 at each of its three alignments, and as its SHA-256: whoever has a list of
//! addresses finds them by a plain hash.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::Context as _;
use async_nats::jetstream;
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use testbed::{Infrastructure, Region};

use crate::infrastructure::{connect, connection, psql};

/// What the home region keeps of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is in a row.
    Yes,
    /// It was in a row that has been changed since.
    Once,
    /// It is a secret of which something else is kept, such as a hash.
    Never,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Marker {
    /// What it is, for people who read a failure.
    pub what: &'static str,
    pub text: String,
    pub kept: Kept,
}

/// The forms in which `text` is looked for.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned(), hex::encode(text), hex::encode(Sha256::digest(text))];
    for (shift, dependent) in [(0, 0), (1, 2), (2, 3)] {
        let shifted = [vec![0; shift], text.as_bytes().to_vec()].concat();
        let mut encoded = BASE64_STANDARD_NO_PAD.encode(&shifted);
        if shifted.len() % 3 != 0 {
            // It depends on what follows.
            encoded.pop();
        }
        forms.push(encoded.split_off(dependent));
    }
    forms
}

/// Which markers were found, each with where.
pub type Found = BTreeSet<(&'static str, String)>;

/// Looks for markers below `path`, in files of any kind.
pub fn in_files(path: &Path, markers: &[Marker]) -> anyhow::Result<Found> {
    let patterns = tempfile::NamedTempFile::new()?;
    let all: Vec<(String, &Marker)> = markers
        .iter()
        .flat_map(|marker| forms(&marker.text).into_iter().map(move |form| (form, marker)))
        .collect();
    let lines: Vec<&str> = all.iter().map(|(form, _)| form.as_str()).collect();
    fs::write(patterns.path(), lines.join("\n"))?;
    let mut grep = Command::new("grep");
    grep.env("LC_ALL", "C").args(["-R", "-D", "skip", "-a", "-o", "-F", "-s", "--null", "-f"]);
    let Output { status, stdout, stderr } =
        grep.arg(patterns.path()).arg(path).output().context("run grep")?;
    // 2: a file has gone meanwhile.
    anyhow::ensure!(
        status.code().is_some_and(|code| code <= 2) && stderr.is_empty(),
        "grep {}: {status} {}",
        path.display(),
        String::from_utf8_lossy(&stderr)
    );
    let mut found = Found::new();
    for line in String::from_utf8_lossy(&stdout).lines() {
        let (file, text) = line.split_once('\0').with_context(|| format!("grep said {line}"))?;
        for (_, marker) in all.iter().filter(|(form, _)| form == text) {
            found.insert((marker.what, file.to_owned()));
        }
    }
    Ok(found)
}

fn said(output: Output) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Dumps every database of the region into files of `folder`.
pub fn dump(on: &Infrastructure, folder: &Path) -> anyhow::Result<()> {
    let operator = (Some(&on.operator), "operator");
    let names = "SELECT datname FROM pg_database WHERE datallowconn";
    let names = String::from_utf8(said(psql(on, operator.0, operator.1, "postgres", names)?)?)?;
    let names: Vec<&str> = names.lines().collect();
    for service in ["identity", "authz", "config"] {
        anyhow::ensure!(names.contains(&service), "no database {service} in {names:?}");
    }
    for name in names {
        let mut dump = Command::new(local_postgres::programs()?.join("pg_dump"));
        dump.arg("--dbname").arg(connection(on, operator.0, operator.1, name));
        let text = said(dump.output().context("run pg_dump")?)?;
        anyhow::ensure!(!text.is_empty(), "the dump of {name} is empty");
        fs::write(folder.join(format!("{name}.sql")), text)?;
    }
    Ok(())
}

/// Writes each message of each stream of the region into files of `folder`; how many there are.
pub async fn messages(on: &Infrastructure, folder: &Path) -> anyhow::Result<u64> {
    let context = jetstream::new(connect(on, Some(&on.operator)).await?);
    let names: Vec<String> = context.stream_names().try_collect().await?;
    anyhow::ensure!(names.len() >= 2, "a region has a stream for each log: {names:?}");
    let mut count = 0;
    for name in names {
        let stream = context.get_stream(&name).await?;
        let state = &stream.cached_info().state;
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            let text = format!("{} {:?}\n", message.subject, message.headers).into_bytes();
            let text = [text, message.payload.to_vec()].concat();
            fs::write(folder.join(format!("{name}-{sequence}.message")), text)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Which markers a region has, wherever it keeps something.
pub async fn in_region(region: &Region, markers: &[Marker]) -> anyhow::Result<Found> {
    let on = region.infrastructure();
    let folder = tempfile::tempdir()?;
    dump(on, folder.path())?;
    anyhow::ensure!(messages(on, folder.path()).await? > 0, "nothing was replicated");
    let mut found = in_files(folder.path(), markers)?;
    found.extend(in_files(region.folder().path(), markers)?);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_however_it_is_written_down() {
        let folder = tempfile::tempdir().expect("a folder");
        let marker = Marker { what: "it", text: "ada@example.com".to_owned(), kept: Kept::Yes };
        let found = |content: &[u8]| {
            fs::write(folder.path().join("file"), content).expect("written");
            !in_files(folder.path(), std::slice::from_ref(&marker)).expect("searched").is_empty()
        };
        assert!(found(b"\x00\xff\x01ada@example.com\x02\n\xfe"));
        for before in ["", "x", "xy", "xyz"] {
            let text = BASE64_STANDARD_NO_PAD.encode(format!("{before}ada@example.com, and more"));
            assert!(found(text.as_bytes()), "{text}");
        }
        assert!(found(hex::encode("to ada@example.com").as_bytes()));
        assert!(found(hex::encode(Sha256::digest("ada@example.com")).as_bytes()));
        assert!(!found(b"ada@example.org"));
    }
}

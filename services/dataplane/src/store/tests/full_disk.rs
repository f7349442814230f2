//! The disk is full: a change is refused and changes nothing, what is held is served, and the store goes on once there is room. A limit on the
//! size of files stands for the full disk: writing past it fails in the same way, and no privilege is needed.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::*;

/// Tells the test binary, started again, to play the part of the process whose disk is full.
const FOLDER: &str = "LANDBRIDGE_TEST_FULL_DISK_FOLDER";
const WRITER: &str = "store::tests::full_disk::writes_until_there_is_no_room";
/// How large a file may become, in blocks of 512 bytes, as `ulimit -f` counts them.
const BLOCKS: u64 = 3 * 1024 * 2;

/// Entities of a version, about a MiB of them.
fn large(version: u64) -> Vec<EntityState> {
    (0..32).map(|at| opaque(1000 * u128::from(version) + at, version, 32 * 1024)).collect()
}

fn says_no_room(error: &StoreError) -> bool {
    matches!(error, StoreError::Lmdb(heed::Error::Io(_)) | StoreError::Io(_))
}

#[test]
fn writes_until_there_is_no_room() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let store = Store::open(Path::new(&folder), StoreOptions { map_bytes: 1 << 26, map_bytes_max: 1 << 26 })
        .expect("opens");
    runtime
        .block_on(store.commit(commit(1, vec![consumer(1, 1), credential(2, 1, "k", 1)])))
        .expect("commits");
    let serves = || owner(&store, "k") == Some(1);

    let refused =
        (2..20).find_map(|version| runtime.block_on(store.commit(commit(version, large(version)))).err());
    assert!(refused.as_ref().is_some_and(says_no_room), "{refused:?}");
    let before = (position(&store), held(&store));
    // A snapshot finds no room either. What is staged of it is kept.
    let begun = runtime.block_on(store.begin_staging(incarnation(1), Some(30)));
    let page = |bucket: u8| {
        let of_bucket = (0..4_000).map(|id| opaque(id, 30, 2_048)).filter(|entity| entity.bucket() == bucket);
        (vec![bucket], of_bucket.collect::<Vec<_>>())
    };
    let refused = begun.err().or_else(|| {
        (0..=255).find_map(|bucket| {
            let (begins, entities) = page(bucket);
            runtime.block_on(store.stage_page(incarnation(1), begins, entities)).err()
        })
    });
    assert!(refused.as_ref().is_some_and(says_no_room), "{refused:?}");
    assert!(serves() && before == (position(&store), held(&store)) && is_consistent(&store));
    // A revocation is denied, whether or not it can be stored.
    store.deny(&Revocation {
        place: Place { incarnation: 1, seq: 1 },
        kind: "key_auth".into(),
        id: Uuid::from_u128(2),
    });
    assert!(!serves());

    println!("\nfull");
    std::io::stdout().flush().expect("the parent listens");
    std::io::stdin().read_line(&mut String::new()).expect("the parent has made room");
    let version = before.0.version + 1;
    runtime.block_on(store.commit(commit(version, large(version)))).expect("there is room");
    assert!(is_consistent(&store) && position(&store).version == version);
    println!("\nwritten {version}");
}

/// The next line of the child that begins with `word`.
fn line(lines: &mut Lines<BufReader<ChildStdout>>, word: &str) -> String {
    let line = lines.map(|line| line.expect("readable")).find(|line| line.starts_with(word));
    line.unwrap_or_else(|| panic!("the child ended without saying {word}"))
}

fn start(folder: &Path) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
    // A soft limit, which is lifted later. Without the trap the process would be killed.
    let script = format!("ulimit -S -f {BLOCKS}; trap '' XFSZ; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().expect("this binary"))
        .args([WRITER, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    (child, input, BufReader::new(output).lines())
}

#[test]
fn a_full_disk_stops_no_request_and_passes() {
    let folder = folder();
    let (mut child, mut input, mut lines) = start(folder.path());
    line(&mut lines, "full");
    let lifted =
        Command::new("prlimit").args(["--pid", &child.id().to_string(), "--fsize=unlimited:"]).status();
    assert!(lifted.expect("prlimit of util-linux").success());
    input.write_all(b"there is room\n").expect("the child listens");
    let written = line(&mut lines, "written");
    assert!(child.wait().expect("reaped").success());
    let store = open(folder.path());
    assert_eq!(written, format!("written {}", position(&store).version));
    assert!(is_consistent(&store));
}

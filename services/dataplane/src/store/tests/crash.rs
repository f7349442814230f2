//! A process that is killed in the middle of its commits leaves one of its committed states behind.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

/// Tells the test binary, started again, to play the part of the killed process.
const FOLDER: &str = "LANDBRIDGE_TEST_CRASH_FOLDER";
const WRITER: &str = "store::tests::crash::writes_until_it_is_killed";

/// The entities of version `version`: a few entities out of many, some deleted, so that pages are reused all the time.
fn entities_of(version: u64) -> Vec<EntityState> {
    (0..20)
        .map(|at| {
            let id = u128::from(version * 7 + at * 13) % 300 + 1;
            if (version + at).is_multiple_of(5) {
                EntityState { body: Bytes::new(), deleted: true, ..opaque(id, version, 0) }
            } else {
                opaque(id, version, 200 + usize::try_from(at).expect("small") * 50)
            }
        })
        .map(|entity| (entity.id, entity))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

/// The state after `version`, computed without a store.
fn state_after(version: u64) -> Model {
    let mut model = Model::new();
    for entity in (1..=version).flat_map(entities_of) {
        let name = (entity.kind.clone(), entity.id);
        if entity.deleted {
            model.remove(&name);
        } else {
            model.insert(name, entity);
        }
    }
    model
}

#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let mut output = std::io::stdout();
    for version in store.position().map_or(1, |position| position.version + 1).. {
        // Every tenth version comes as a snapshot, so that kills hit staging and flips too.
        if version.is_multiple_of(10) {
            runtime.block_on(snapshot(&store, version));
        } else {
            runtime.block_on(store.commit(commit(version, entities_of(version)))).expect("commits");
        }
        writeln!(output, "committed {version}").expect("the parent listens");
    }
}

async fn snapshot(store: &Store, version: u64) {
    store.begin_staging(incarnation(1), Some(version - 1)).await.expect("staged");
    let bucket = (version % 256) as u8;
    let entities = held(store).into_values().filter(|entity| entity.bucket() == bucket).collect();
    store.stage_page(incarnation(1), vec![bucket], entities).await.expect("staged");
    store.copy_unchanged(incarnation(1)).await.expect("staged");
    store.promote(commit(version, entities_of(version))).await.expect("flips");
}

#[test]
fn a_kill_leaves_a_committed_state() {
    let folder = folder();
    let mut acknowledged = 0;
    for round in 1..=6_u64 {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args([WRITER, "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the writer starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let until = acknowledged + 5 + round * 4;
        while acknowledged < until {
            let line = lines.next().expect("the writer goes on").expect("readable");
            if let Some((_, version)) = line.split_once("committed ") {
                acknowledged = version.trim().parse().expect("a version");
            }
        }
        // SIGKILL, at a moment that has nothing to do with the store's: the pipe is behind by some commits.
        child.kill().expect("killed");
        child.wait().expect("reaped");

        let store = open(folder.path());
        let version = position(&store).version;
        assert!(version >= acknowledged, "{version} is durable, {acknowledged} was acknowledged");
        assert!(held(&store) == state_after(version), "the content is not that of version {version}");
        assert!(is_consistent(&store));
        assert_eq!(position(&store).digest, digest(&state_after(version)));
        acknowledged = version;
    }
}

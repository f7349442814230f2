//! The committed code is what the `.proto` files say. `LANDBRIDGE_GEN=write` rewrites it (`./dev gen`).

use std::{collections::BTreeMap, fs, path::Path};

/// With nodes there are many streams, on which little is said.
const STREAMS: &str = "landbridge/sync/v1/sync.proto";
const OTHERS: [&str; 5] = [
    "landbridge/replication/v1/replication.proto",
    "landbridge/identity/v1/identity.proto",
    "landbridge/residence/v1/residence.proto",
    "landbridge/authz/v1/authz.proto",
    "landbridge/audit/v1/audit.proto",
];

fn rust_files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("read folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(&path).expect("read"));
    }
    files
}

#[test]
fn committed_code_matches_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/gen");
    let scratch = tempfile::tempdir().expect("scratch folder");
    let write = std::env::var_os("LANDBRIDGE_GEN").is_some_and(|mode| mode == "write");
    let out = if write { committed.as_path() } else { scratch.path() };

    for (files, codec) in
        [(&[STREAMS][..], "crate::codec::SmallBuffers"), (&OTHERS, "tonic_prost::ProstCodec")]
    {
        let descriptors = protox::compile(files, [root]).expect("the proto files compile");
        tonic_prost_build::configure()
            .bytes(".")
            .codec_path(codec)
            // They hold a key: `proto::sync` says what is shown of them.
            .skip_debug([".landbridge.sync.v1.Welcome"])
            .out_dir(out)
            .compile_fds(descriptors)
            .expect("code is generated");
    }

    if !write {
        assert_eq!(rust_files(&committed), rust_files(out), "run ./dev gen and commit the result");
    }
}

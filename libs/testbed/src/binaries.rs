//! Where the programs of a region are found.
//!
//! The workspace's own binaries lie beside the running one; tests run in `deps/` below them. `LANDBRIDGE_BIN_DIR` names
//! another folder, `LANDBRIDGE_NATS_SERVER` another nats-server. Environment is read here and nowhere else.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// The folder of the workspace's binaries.
pub fn folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = env::var_os("LANDBRIDGE_BIN_DIR") {
        return Ok(folder.into());
    }
    let own = env::current_exe().context("find the running program")?;
    let folder = own.parent().context("the running program lies in no folder")?;
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    Ok(folder.parent().filter(|_| is_test).unwrap_or(folder).to_owned())
}

/// A binary of the workspace, as in `dataplane`.
pub fn workspace(name: &str) -> anyhow::Result<PathBuf> {
    let path = folder()?.join(name);
    anyhow::ensure!(path.is_file(), "{} is missing: run `cargo build --workspace --bins`", path.display());
    Ok(path)
}

/// `landbridge`, which is every service of a region: the first argument says which.
pub fn services() -> anyhow::Result<PathBuf> {
    workspace("landbridge")
}

/// `landbridge-testbed`, which is every leash.
pub fn testbed() -> anyhow::Result<PathBuf> {
    workspace("landbridge-testbed")
}

/// `nats-server`: the one that `./dev` installed, else the path's.
pub fn nats_server() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("LANDBRIDGE_NATS_SERVER") {
        return Ok(path.into());
    }
    let installed =
        repository().map(|root| root.join(".dev/venv/bin/nats-server")).filter(|path| path.is_file());
    installed
        .or_else(|| local_postgres::on_path("nats-server"))
        .context("there is no nats-server: run any `./dev` command once")
}

/// The root of the repository, from the folder of the running program or the working folder upwards.
pub fn repository() -> Option<PathBuf> {
    let starts = [env::current_exe().ok(), env::current_dir().ok()];
    starts.into_iter().flatten().find_map(|start| {
        let root = start
            .ancestors()
            .find(|folder| folder.join("Cargo.toml").is_file() && folder.join("dev").is_file());
        root.map(Path::to_owned)
    })
}

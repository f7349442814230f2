//! The programs, which end with the process that has started them, however that ends.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// Where `./dev` puts them.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.dev/bin");
/// Runs a program until the other end of the standard input is gone.
const LEASH: &str = r#""$@" </dev/null & program=$!; read -r _; kill "$program"; wait"#;

/// A running program. Dropping it ends the program.
pub struct Running(Child);

impl Running {
    /// Starts the program called `name`; what it says goes to `log`.
    pub fn start<'a>(
        name: &str,
        arguments: impl IntoIterator<Item = &'a str>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let program = PathBuf::from(FOLDER).join(name);
        anyhow::ensure!(
            program.is_file(),
            "there is no {name} in .dev/bin: run `./dev test` once, which builds it"
        );
        let log = File::create(log)?;
        let child = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(program)
            .args(arguments)
            .env("PEBBLE_VA_NOSLEEP", "1")
            // By default it trusts what was proved before half of the times.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Self(child.with_context(|| format!("start {name}"))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended in any case.
        let _ = self.0.wait();
    }
}

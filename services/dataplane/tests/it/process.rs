//! The gateway's own binary as a process, with its log.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use crate::load::LOADED;

/// A running gateway. It is killed when it is dropped.
pub struct Process {
    pub id: u32,
    child: Child,
    log: watch::Receiver<Vec<Value>>,
}

/// Where a gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub http: SocketAddr,
    pub https: Option<SocketAddr>,
    pub admin: SocketAddr,
}

/// Settings of a gateway in `folder`, with any ports. `more` are further lines of TOML.
pub fn settings(folder: &Path, declarative: &str, more: &str) -> PathBuf {
    let file = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let declarative = file("kong.yaml", declarative);
    let token = file("token", "a-token-of-tests-only");
    let data = folder.join("data");
    let text = format!(
        "{more}
http = '127.0.0.1:0'
admin = '127.0.0.1:0'
declarative = {declarative:?}
config_token_file = {token:?}
data_dir = {data:?}
telemetry.format = 'json'
"
    );
    file("gateway.toml", &text)
}

impl Process {
    pub fn start(settings: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataplane"));
        command.arg("serve").arg("--config").arg(settings).args(arguments);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (told, log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // The last line of a process that fails is no JSON.
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                told.send_modify(|log| log.push(line));
            }
        });
        Self { id: child.id().unwrap(), child, log }
    }

    /// Waits for a line of the log with this message.
    pub async fn logged(&mut self, message: &str) -> Value {
        let is_it = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains(message));
        let found = timeout(LOADED, self.log.wait_for(|log| log.iter().any(|line| is_it(&line)))).await;
        if let Ok(Ok(log)) = found {
            return log.iter().find(is_it).cloned().unwrap();
        }
        drop(found);
        panic!("{message:?} is not in the log: {:#?}", *self.log.borrow())
    }

    /// Waits until it says that it is ready.
    pub async fn listening(&mut self) -> Addresses {
        let line = self.logged("the gateway is ready").await;
        let address = |name: &str| line[name].as_str().unwrap().parse().ok();
        Addresses {
            http: address("http").unwrap(),
            https: address("https"),
            admin: address("admin").unwrap(),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended. Returns how, and its last words.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(LOADED, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end: {:#?}", *self.log.borrow())).unwrap();
        // The log ends with the process.
        let _ = timeout(LOADED, self.log.wait_for(|_| false)).await;
        let last = self.log.borrow().last().map(ToString::to_string).unwrap_or_default();
        (status, last)
    }
}

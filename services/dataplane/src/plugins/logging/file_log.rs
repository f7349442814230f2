//! file-log: adds a line for each request to a file.

use std::sync::Arc;

use gateway_model::plugin::file_log::Config;

use super::{entry::entry, usual};
use crate::{
    deliveries::{File, Outlet},
    plugins::{Compiled, Make, NotExecutable, Phases, Plugin, Transaction},
};

/// Lines that are written at once at most.
const LINES_MAX: usize = 1_000;

/// The compiled plugin.
#[derive(Debug)]
pub struct FileLog(Outlet);

impl Compiled for FileLog {
    type Config = Config;
    const PRIORITY: u32 = 9;
    const PHASES: Phases = Phases::LOG;

    fn new(config: &Config, make: &Make<'_>) -> Result<Self, NotExecutable> {
        let file = File::new((&config.path).into(), config.reopen, make.tools.data_dir().cloned());
        Ok(Self(make.tools.deliveries().outlet(("file-log", make.id), usual(LINES_MAX), Arc::new(file))))
    }
}

impl Plugin for FileLog {
    fn log(&self, transaction: &Transaction<'_>) {
        self.0.send(entry(transaction));
    }
}

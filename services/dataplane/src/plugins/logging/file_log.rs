//! file-log: adds a line for each request to a file.

use std::{sync::Arc, time::Duration};

use gateway_model::plugin::file_log::Config;

use super::entry::entry;
use crate::{
    deliveries::{File, Options, Outlet},
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
        // What comes while a batch is written makes the next one.
        let options = Options { batch_max: LINES_MAX, coalescing: Duration::ZERO, ..Options::default() };
        Ok(Self(make.tools.deliveries().outlet(("file-log", make.id), options, Arc::new(file))))
    }
}

impl Plugin for FileLog {
    fn log(&self, transaction: &Transaction<'_>) {
        self.0.send(entry(transaction));
    }
}

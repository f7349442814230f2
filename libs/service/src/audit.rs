//! The audit log of a process's service: what keeps it, and its verification on the command line.

use access::Reporter;
use audit_log::{
    Linker, Linking, Recorder, Retention,
    verify::{Broken, Whole},
};
use settings::sections::Audit;

use crate::{Process, print};

/// Adds to `process` what links entries, removes old ones, and writes what requests report; answers what they report it by.
pub fn keep_audit_log(process: &mut Process, linking: Linking, settings: Audit) -> Reporter {
    let (reporter, reports) = Reporter::new();
    let recorder = Recorder::new(linking.db.clone(), reports);
    process.task("audit log: refusals", recorder.run(process.drain.clone()));
    let linker = Linker::new(linking);
    process.task("audit log: chains", linker.clone().run(process.drain.clone()));
    let retention = Retention { days: settings.retention_days.get() };
    process.task("audit log: old entries", linker.purge(retention, process.drain.clone()));
    reporter
}

/// Prints that an audit log is whole; an error that names the first entry which is not as it was made.
pub fn show_verified(verified: Result<Whole, Broken>) -> anyhow::Result<()> {
    match verified {
        Ok(whole) => print(&format!("{whole}\n")),
        Err(broken) => Err(anyhow::Error::new(broken).context("the audit log is not whole")),
    }
}

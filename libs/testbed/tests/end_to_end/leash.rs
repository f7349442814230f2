//! No process outlives its testbed, and a temporary folder goes with the last of them.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use testbed::{
    binaries,
    folder::{self, Folder},
    process::{Exit, Process, Program, Signal},
    status::Status,
    wait,
};

use crate::harness::{SOON, run, until_gone};

fn sleeper(name: &str) -> Program {
    Program::new(name, "sleep").arg("1000")
}

#[test]
fn a_program_is_stopped_killed_and_started_again() {
    run(async {
        let folder = Folder::temporary()?;
        let process = Process::start(sleeper("sleeper"), &folder).await?;
        let first = process.pid().expect("runs");
        assert_eq!(process.stop().await?, Exit::Signal(15));
        assert!(!process.is_running() && process.pid().is_none());
        until_gone(first).await?;

        process.start_again().await?;
        assert_ne!(process.pid(), Some(first));
        process.kill().await?;
        assert_eq!(process.wait(SOON).await?, Exit::Signal(9));
        assert!(process.signal(Signal::TERM).is_err(), "a signal to nobody is an error");
        drop(process);
        folder.close().await
    });
}

#[test]
fn a_suspended_program_is_stopped_too() {
    run(async {
        let folder = Folder::temporary()?;
        let process = Process::start(sleeper("suspended"), &folder).await?;
        process.signal(Signal::STOP)?;
        assert_eq!(process.stop().await?, Exit::Signal(15));
        drop(process);
        folder.close().await
    });
}

#[test]
fn a_shell_is_stopped_with_its_command() {
    run(async {
        let folder = Folder::temporary()?;
        let script = "sleep 1000 & echo $! > child; wait";
        let program = Program::new("shell", "/bin/sh").arg("-c").arg(script).in_folder(folder.path());
        let process = Process::start(program, &folder).await?;
        let child: u32 = wait::until("the child's id is written", SOON, async || {
            let text = fs::read_to_string(folder.path().join("child")).map_err(|error| error.to_string())?;
            text.trim().parse().map_err(|_| format!("{text:?}"))
        })
        .await?;
        process.stop().await?;
        until_gone(child).await?;
        drop(process);
        folder.close().await
    });
}

#[test]
fn a_program_that_cannot_run_or_ends_early_is_an_error_with_its_output() {
    run(async {
        let folder = Folder::temporary()?;
        let missing = Process::start(Program::new("missing", "/no/such/program"), &folder).await;
        let error = missing.expect_err("must fail").to_string();
        assert!(error.contains("/no/such/program"), "{error}");

        let script =
            Program::new("early", "/bin/sh").arg("-c").arg("echo out; echo err >&2; read never; exit 3");
        let early = Process::start(script, &folder).await?;
        let never = early.until_ready(SOON, async || Err("not ready".to_owned())).await;
        let error = never.expect_err("must fail").to_string();
        assert!(error.contains("ended before it was ready") && error.contains("out\nerr\n"), "{error}");
        assert_eq!(early.wait(SOON).await?, Exit::Code(3));
        drop(early);
        folder.close().await
    });
}

#[test]
fn settings_of_the_testbed_do_not_reach_its_programs() {
    run(async {
        let folder = Folder::temporary()?;
        let program = Program::new("environment", "/usr/bin/env").env("LANDBRIDGE_HTTP", "mine");
        let process = Process::start(program, &folder).await?;
        assert_eq!(process.wait(SOON).await?, Exit::Code(0));
        let seen = fs::read_to_string(process.log())?;
        let ours: Vec<&str> = seen.lines().filter(|line| line.starts_with("LANDBRIDGE_")).collect();
        assert_eq!(ours, ["LANDBRIDGE_HTTP=mine"]);
        drop(process);
        folder.close().await
    });
}

#[test]
fn a_temporary_folder_goes_with_its_last_process_unless_it_is_to_be_kept() {
    run(async {
        let folder = Folder::temporary()?;
        let path = folder.path().to_owned();
        let process = Process::start(sleeper("last"), &folder).await?;
        assert!(!folder::is_empty_of_processes(&path)?);
        drop(folder);
        assert!(!folder::is_empty_of_processes(&path)?, "the program still holds it");
        drop(process);
        until_removed(&path).await?;

        let kept = Folder::temporary()?;
        kept.keep()?;
        let path = kept.path().to_owned();
        kept.close().await?;
        assert!(path.is_dir());
        fs::remove_dir_all(&path)?;
        Ok(())
    });
}

#[test]
fn a_given_folder_is_used_by_one_region_at_a_time_and_emptied() {
    run(async {
        let outer = tempfile::tempdir()?;
        let path = outer.path().join("run");
        let folder = Folder::at(&path)?;
        fs::create_dir_all(folder.path().join("old/deep"))?;
        let refused = Folder::at(&path).expect_err("in use").to_string();
        assert!(refused.contains("a deployment runs"), "{refused}");
        folder.close().await?;
        assert!(path.join("old/deep").is_dir(), "a given folder stays");
        let again = Folder::at(&path)?;
        assert!(!path.join("old").exists());
        again.close().await
    });
}

/// As for a clone below `/root`, where Postgres' user cannot go.
#[test]
fn a_part_that_others_must_reach_lies_outside_a_private_folder() {
    run(async {
        let private = tempfile::tempdir()?;
        fs::set_permissions(private.path(), Permissions::from_mode(0o700))?;
        let folder = Folder::at(&private.path().join("run"))?;
        let part = folder.make_reachable("part")?;
        assert!(part.starts_with(std::env::temp_dir()) && !part.starts_with(private.path()));
        assert_eq!(fs::read_link(folder.path().join("part"))?, part);
        fs::write(part.join("data"), "x")?;
        folder.close().await?;

        let again = Folder::at(&private.path().join("run"))?;
        assert!(!part.exists() && !again.path().join("part").exists(), "emptied with what lies outside");
        again.close().await
    });
}

/// The promise of this crate: SIGKILL of the testbed stops every program of the region.
#[test]
fn nothing_outlives_a_testbed_that_is_killed() {
    run(async {
        let outer = tempfile::tempdir()?;
        let path = outer.path().join("run");
        let mut testbed = Command::new(binaries::testbed()?);
        testbed.args(["up", "--infrastructure", "--regions", "us", "--folder"]).arg(&path);
        testbed.stdin(Stdio::null()).process_group(0);
        let mut testbed = testbed.stdout(Stdio::null()).spawn()?;
        let status = wait::until("the testbed is up", SOON, async || {
            let status = Status::read(&path).map_err(|error| error.to_string())?;
            status.ok_or_else(|| "no status file".to_owned())
        })
        .await?;
        let processes = &status.home()?.processes;
        assert_eq!(processes.keys().collect::<Vec<_>>(), ["nats", "postgres"]);

        testbed.kill()?;
        testbed.wait()?;
        for pid in processes.values() {
            until_gone(*pid).await?;
        }
        folder::until_empty_of_processes(&path).await
    });
}

/// What `./dev up --detach`, `status`, `wan` and `down` do, on the part of two regions that needs no services.
#[test]
fn two_regions_run_in_the_background_until_they_are_told_to_stop() {
    run(async {
        let outer = tempfile::tempdir()?;
        let path = outer.path().join("run");
        let command = |arguments: &[&str]| -> anyhow::Result<Output> {
            let mut command = Command::new(binaries::testbed()?);
            Ok(command.args(arguments).arg("--folder").arg(&path).stdin(Stdio::null()).output()?)
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();

        let up = command(&["up", "--infrastructure", "--regions", "us,eu", "--detach"])?;
        assert!(up.status.success(), "{}", text(up.stderr));
        assert!(text(up.stdout).contains("Only Postgres and NATS run"));
        let status = command(&["status", "--json"])?;
        assert!(status.status.success(), "{}", text(status.stderr));
        let status: Status = serde_json::from_slice(&status.stdout)?;
        let names: Vec<&str> = status.regions.iter().map(|region| region.region.as_str()).collect();
        assert_eq!(names, ["us", "eu"]);
        for region in &status.regions {
            assert!(region.services["config"].settings.is_file() && region.postgres.data.is_dir());
            assert!(region.folder.starts_with(&status.folder) && region.folder != status.folder);
        }

        let cut = command(&["wan", "cut", "us", "eu", "--one-way"])?;
        let shown = text(cut.stdout);
        assert!(cut.status.success() && shown.contains("us -> eu"), "{shown} {}", text(cut.stderr));
        assert_eq!(shown.matches(" cut ").count(), 1, "{shown}");
        assert!(!command(&["wan", "cut", "us", "ap"])?.status.success(), "there is no such region");
        let healed = text(command(&["wan", "heal", "eu", "us"])?.stdout);
        assert_eq!(healed.matches(" open ").count(), 2, "{healed}");

        let again = command(&["up", "--infrastructure"])?;
        let refusal = text(again.stderr);
        assert!(
            !again.status.success() && refusal.contains("runs") && refusal.contains("./dev down"),
            "{refusal}"
        );

        let down = command(&["down"])?;
        assert!(down.status.success(), "{}", text(down.stderr));
        let processes = status.regions.iter().flat_map(|region| region.processes.values());
        for pid in processes.chain([&status.pid]) {
            until_gone(*pid).await?;
        }
        assert!(!command(&["status"])?.status.success(), "nothing runs any more");
        assert!(text(command(&["down"])?.stdout).contains("No deployment runs"));
        Ok(())
    });
}

async fn until_removed(path: &Path) -> anyhow::Result<()> {
    let what = format!("{} is removed", path.display());
    wait::until(&what, SOON, async || if path.exists() { Err("it is there".to_owned()) } else { Ok(()) })
        .await
}

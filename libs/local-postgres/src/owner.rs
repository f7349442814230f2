//! Who owns a cluster's files and runs its programs: Postgres refuses to run as root.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
};

use anyhow::Context;

/// Root runs Postgres as this user, which Debian's package makes.
const UNPRIVILEGED_USER: &str = "postgres";

/// Who owns a cluster's files and runs its programs.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    /// The user that runs this process.
    Ourselves,
    /// This process runs as root, so it is the user `postgres`.
    Unprivileged(User),
}

impl Owner {
    /// The owner of every cluster that this process makes. An error if this is root and there is no user `postgres`.
    pub fn of_cluster() -> anyhow::Result<Self> {
        if rustix::process::geteuid().is_root() {
            User::named(UNPRIVILEGED_USER).map(Self::Unprivileged)
        } else {
            Ok(Self::Ourselves)
        }
    }

    /// The user's name, where it is another one than this process runs as.
    pub fn name(self) -> Option<&'static str> {
        matches!(self, Self::Unprivileged(_)).then_some(UNPRIVILEGED_USER)
    }

    /// Makes this the owner of the file or folder.
    pub fn give(self, path: &Path) -> anyhow::Result<()> {
        if let Self::Unprivileged(user) = self {
            chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("give {}", path.display()))?;
        }
        Ok(())
    }

    /// A command that runs `program` as this user.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Unprivileged(user) = self {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's first group.
    pub gid: u32,
}

impl User {
    /// Reads `/etc/passwd`; users from elsewhere (LDAP) are not found.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        Self::find(name, &users).with_context(|| format!("there is no user {name} in /etc/passwd"))
    }

    fn find(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_wanted = fields.next()? == name;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_wanted.then_some(Self { uid, gid })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_user() {
        let users = "root:x:0:0:root:/root:/bin/bash\n\nbroken\npostgres:x:101:104::/var/lib:/bin/sh\n";
        assert_eq!(User::find("postgres", users), Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::find("post", users), None);
    }
}

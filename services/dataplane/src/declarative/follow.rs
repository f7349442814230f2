//! Following the file: what is written into it is put into service.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{Declarative, DeclarativeError};
use crate::{applier::ApplyError, status::Source};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What tells that a file is another one, or that something was written into it. Links are followed: Kubernetes replaces a mounted file by
/// pointing a link elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Look {
    /// The file at `path` as it is now.
    pub fn at(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self { device: file.dev(), inode: file.ino(), bytes: file.len(), modified: file.modified().ok() })
    }
}

/// A file whose content is in service.
pub struct Followed {
    path: PathBuf,
    /// As it was when its content was read.
    applied: Look,
    /// As it was at the last look.
    seen: Option<Look>,
}

impl Followed {
    /// Puts the content of the file at `path` into service.
    pub async fn start(declarative: &Declarative, path: &Path) -> Result<Self, DeclarativeError> {
        // Before it is read: what is written meanwhile is a change.
        let applied = Look::at(path)?;
        let changed = declarative.apply_file(path).await?;
        tracing::info!(file = %path.display(), ?changed, "the declarative file is in service");
        Ok(Self { path: path.to_owned(), seen: Some(applied.clone()), applied })
    }

    /// Applies what is written into the file, until `stop`, or until another process has taken over. A file that cannot be used changes
    /// nothing; the log and the status say why.
    pub async fn follow(mut self, declarative: Arc<Declarative>, stop: CancellationToken) {
        let mut ticks = pace::ticks(LOOK_INTERVAL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.look(&declarative).await {
                Ok(()) => {}
                Err(DeclarativeError::Apply(ApplyError::TakenOver)) => return,
                Err(error) => {
                    tracing::error!(file = %self.path.display(), %error, "the changed declarative file is not in service; what was, still is");
                    declarative.note_file(Some(error.to_string()));
                }
            }
        }
    }

    /// Applies the file if it has changed, and not since the last look: whoever writes it may not be done.
    async fn look(&mut self, declarative: &Declarative) -> Result<(), DeclarativeError> {
        let now = Look::at(&self.path).ok();
        let is_still = now == self.seen;
        self.seen.clone_from(&now);
        let Some(now) = now.filter(|now| is_still && *now != self.applied) else { return Ok(()) };
        // A file that is not valid is not read again before it is another one.
        self.applied = now;
        let changed = declarative.apply_file(&self.path).await?;
        tracing::info!(file = %self.path.display(), ?changed, "the changed declarative file is in service");
        declarative.note_file(None);
        Ok(())
    }
}

impl Declarative {
    /// Shows what is wrong with the file, or that nothing is.
    fn note_file(&self, error: Option<String>) {
        self.applier.status().send_modify(|status| {
            if let Source::Declarative(declarative) = &mut status.source {
                declarative.file_error = error;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declarative::tests::{SHOP, serves, start};

    #[tokio::test]
    async fn what_is_written_is_served_once_it_is_whole() {
        let (declarative, folder) = start().await;
        let path = folder.path().join("shop.yaml");
        let error = || match &declarative.applier.status().borrow().source {
            Source::Declarative(declarative) => declarative.file_error.clone(),
            Source::ControlPlane(_) => None,
        };
        fs::write(&path, SHOP).expect("written");
        let mut followed = Followed::start(&declarative, &path).await.expect("applies");
        let version = || declarative.applier.store().position().expect("a configuration").version;
        followed.look(&declarative).await.expect("nothing to do");
        assert_eq!(version(), 1);

        fs::write(&path, SHOP.replace("/orders]", "/carts]")).expect("written");
        followed.look(&declarative).await.expect("it may not be whole");
        assert!(serves(&declarative, "/orders") && version() == 1);
        followed.look(&declarative).await.expect("applies");
        assert!(serves(&declarative, "/carts") && !serves(&declarative, "/orders"));

        // In place of the old one, as long, and with a time of its own that is older.
        let other = folder.path().join("other.yaml");
        fs::write(&other, SHOP.replace("/orders]", "/lists]")).expect("written");
        fs::File::options()
            .write(true)
            .open(&other)
            .expect("opens")
            .set_modified(SystemTime::UNIX_EPOCH)
            .expect("set");
        fs::rename(&other, &path).expect("renamed");
        followed.look(&declarative).await.expect("seen");
        followed.look(&declarative).await.expect("applies");
        assert!(serves(&declarative, "/lists"));

        // Not valid: told once, and nothing changes. Nor when it is gone.
        fs::write(&path, SHOP.replace("paths: [/orders]", "paths: [orders]")).expect("written");
        let before = version();
        followed.look(&declarative).await.expect("seen");
        let refused = followed.look(&declarative).await.expect_err("refused").to_string();
        assert!(refused.contains("services[0].routes[0].paths[0]"), "{refused}");
        declarative.note_file(Some(refused));
        let condition = || declarative.applier.status().borrow().readiness().conditions["file"].clone();
        assert!(!condition().met && !condition().required && condition().reason == error());
        followed.look(&declarative).await.expect("not again");
        fs::remove_file(&path).expect("removed");
        followed.look(&declarative).await.expect("seen");
        followed.look(&declarative).await.expect("nothing to apply");
        assert!(serves(&declarative, "/lists") && version() == before);

        fs::write(&path, SHOP).expect("written");
        followed.look(&declarative).await.expect("seen");
        followed.look(&declarative).await.expect("applies");
        assert!(serves(&declarative, "/orders") && condition().met && error().is_none());
    }
}

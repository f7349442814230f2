//! The regular expressions that are compiled. A view shares them with the view before it, so that a change compiles only what
//! is new: also a change of everything, such as a snapshot.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use gateway_model::{
    PathRegex,
    path_regex::{CapturedGroup, InvalidPattern},
};

/// What views have in common. Clones share one table. Only deriving a view looks into it; requests never do.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    exact: Table<Box<str>, PathRegex>,
    wider: Table<Box<str>, PathRegex>,
    groups: Table<Group, Option<CapturedGroup>>,
}

/// A pattern, and the name of a group in it.
type Group = (Box<str>, Box<str>);

/// By text. A view keeps the expressions that it uses alive.
#[derive(Debug)]
struct Table<K, T> {
    compiled: HashMap<K, Weak<T>>,
    /// At this size those that no view uses any more are removed.
    sweep_at: usize,
}

impl Patterns {
    /// The compiled expression `pattern`.
    pub fn exact(&self, pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
        self.tables().exact.get(pattern, || PathRegex::compile(pattern))
    }

    /// A small expression that matches all that `pattern` matches ([`PathRegex::compile_wider`]).
    pub fn wider(&self, pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
        self.tables().wider.get(pattern, || PathRegex::compile_wider(pattern))
    }

    /// The group `name` of `pattern`; `None` if there is none.
    pub fn group(&self, pattern: &str, name: &str) -> Result<Arc<Option<CapturedGroup>>, InvalidPattern> {
        let key = (Box::from(pattern), Box::from(name));
        self.tables().groups.get(&key, || CapturedGroup::compile(pattern, name))
    }

    /// How many are compiled exactly, and how many wider.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        let tables = self.tables();
        (tables.exact.compiled.len(), tables.wider.compiled.len())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, T> Table<K, T> {
    fn get<Q: Eq + Hash + ToOwned<Owned: Into<K>> + ?Sized>(
        &mut self,
        key: &Q,
        compile: impl FnOnce() -> Result<T, InvalidPattern>,
    ) -> Result<Arc<T>, InvalidPattern>
    where
        K: Borrow<Q>,
    {
        if let Some(held) = self.compiled.get(key).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let made = Arc::new(compile()?);
        if self.compiled.len() >= self.sweep_at {
            self.compiled.retain(|_, held| held.strong_count() > 0);
            self.sweep_at = self.compiled.len() * 2 + 64;
        }
        self.compiled.insert(key.to_owned().into(), Arc::downgrade(&made));
        Ok(made)
    }
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { compiled: HashMap::new(), sweep_at: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_compiled_once_and_what_is_not_is_forgotten() {
        let patterns = Patterns::default();
        let first = patterns.exact("/a+").unwrap();
        assert!(Arc::ptr_eq(&first, &patterns.clone().exact("/a+").unwrap()));
        assert!(!Arc::ptr_eq(&first, &patterns.wider("/a+").unwrap()));
        for n in 0..1000 {
            patterns.exact(&format!("/{n}")).unwrap();
        }
        assert!(patterns.tables().exact.compiled.len() < 200);
        assert!(Arc::ptr_eq(&first, &patterns.exact("/a+").unwrap()));
    }
}

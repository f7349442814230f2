//! The regular expressions that are compiled. A view shares them with the view before it, so that a change compiles only what
//! is new: also a change of everything, such as a snapshot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use gateway_model::{PathRegex, path_regex::InvalidPattern};

/// What views have in common. Clones share one table. Only deriving a view looks into it; requests never do.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    exact: Table,
    wider: Table,
}

/// By text. A view keeps the expressions that it uses alive.
#[derive(Debug, Default)]
struct Table {
    compiled: HashMap<Box<str>, Weak<PathRegex>>,
    /// At this size those that no view uses any more are removed.
    sweep_at: usize,
}

impl Patterns {
    /// The compiled expression `pattern`.
    pub fn exact(&self, pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
        self.tables().exact.get(pattern, PathRegex::compile)
    }

    /// A small expression that matches all that `pattern` matches ([`PathRegex::compile_wider`]).
    pub fn wider(&self, pattern: &str) -> Result<Arc<PathRegex>, InvalidPattern> {
        self.tables().wider.get(pattern, PathRegex::compile_wider)
    }

    /// How many are compiled exactly, and how many wider.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        let tables = self.tables();
        (tables.exact.compiled.len(), tables.wider.compiled.len())
    }

    fn tables(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn get(
        &mut self,
        pattern: &str,
        compile: fn(&str) -> Result<PathRegex, InvalidPattern>,
    ) -> Result<Arc<PathRegex>, InvalidPattern> {
        if let Some(regex) = self.compiled.get(pattern).and_then(Weak::upgrade) {
            return Ok(regex);
        }
        let regex = Arc::new(compile(pattern)?);
        if self.compiled.len() >= self.sweep_at {
            self.compiled.retain(|_, regex| regex.strong_count() > 0);
            self.sweep_at = self.compiled.len() * 2 + 64;
        }
        self.compiled.insert(pattern.into(), Arc::downgrade(&regex));
        Ok(regex)
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

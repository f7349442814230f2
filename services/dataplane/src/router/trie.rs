//! A persistent radix trie over the bytes of paths. Changing one rule copies the nodes from the root to its place and shares
//! all others, so a reader that holds the old trie sees no change.
//!
//! It is a trie of bytes and not of segments, because a prefix may end inside a segment, as in Kong. Patterns are filed under
//! their literal prefix. A lookup walks along the request's path once and meets every pattern that can match.
//!
//! The shape depends on the patterns held, not on the order in which they came. Only the root may have an empty label. Every
//! other node has entries, or at least two children.

use std::sync::Arc;

use super::{
    host::HostPattern,
    rule::{PathPattern, Rank, Rule},
};

/// One way to match a rule: by one of its paths, or without a path.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands among several that match: the best rank wins.
    pub rank: Rank,
    /// The rule that is matched.
    pub rule: Arc<Rule>,
    /// Index into `rule.paths`; `None` if the rule has no paths.
    path: Option<usize>,
    /// The only port that matches; `None`: every port.
    pub port: Option<u16>,
    /// How many bytes of the path it matches where the trie leads to it; `None`: its regular expression says.
    fixed_len: Option<usize>,
    /// Whether the rule asks for something else than host, path and port.
    pub asks_more: bool,
}

impl Entry {
    /// The way to match `rule` by the path at index `path` (`None`: it has no paths) at hosts of `host` (`None`: it has no hosts).
    pub fn new(rule: &Arc<Rule>, host: Option<&HostPattern>, path: Option<usize>) -> Self {
        let fixed_len = match path.and_then(|index| rule.paths.get(index)) {
            None => Some(0),
            Some(PathPattern::Prefix(prefix)) => Some(prefix.len()),
            Some(PathPattern::Regex(_)) => None,
        };
        Self {
            rank: rule.rank(host, path),
            rule: rule.clone(),
            path,
            port: host.and_then(|host| host.port),
            fixed_len,
            asks_more: rule.asks_more(),
        }
    }

    /// How many bytes of `path`, along which the trie was walked to this entry, are matched; `None` if it does not match.
    pub fn matched_len(&self, path: &str) -> Option<usize> {
        self.fixed_len.or_else(|| self.rule.paths.get(self.path?)?.matched_len(path))
    }
}

/// A node of a radix tree over the literal beginnings of paths.
///
/// Large configurations are not in the processor's caches, so what a lookup costs is the memory that it touches: one line of a node, and
/// the one pointer to the child that it goes to.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub struct Node {
    label: Box<[u8]>,
    /// The best rank first.
    entries: Box<[Entry]>,
    /// The first byte of the label of each child, ascending.
    firsts: Firsts,
    children: Box<[Arc<Node>]>,
}

/// Different bytes: a few, or up to all that there are.
#[derive(Clone, Debug)]
enum Firsts {
    Few { count: u8, bytes: [u8; FEW] },
    Many(Box<Many>),
}

#[derive(Clone, Debug)]
struct Many {
    count: usize,
    bytes: [u8; ALL],
}

/// As many bytes as [`Firsts`] has room for without memory of its own.
const FEW: usize = 14;
/// How many different bytes there are.
const ALL: usize = 256;

impl Firsts {
    fn of(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(count) if bytes.len() <= FEW => Self::Few { count, bytes: filled(bytes) },
            _ => Self::Many(Box::new(Many { count: bytes.len(), bytes: filled(bytes) })),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Few { count, bytes } => bytes.get(..usize::from(*count)).unwrap_or_default(),
            Self::Many(many) => many.bytes.get(..many.count).unwrap_or_default(),
        }
    }
}

/// `bytes`, and zeros behind them.
fn filled<const ROOM: usize>(bytes: &[u8]) -> [u8; ROOM] {
    let mut room = [0; ROOM];
    room.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    room
}

impl Default for Firsts {
    fn default() -> Self {
        Self::Few { count: 0, bytes: [0; FEW] }
    }
}

/// `slice` with `one` put in at `at`.
fn with<T: Clone>(slice: &[T], at: usize, one: T) -> Vec<T> {
    let (before, behind) = slice.split_at(at);
    [before, &[one], behind].concat()
}

/// `slice` without what is at `at`.
fn without<T: Clone>(slice: &[T], at: usize) -> Vec<T> {
    let (before, behind) = slice.split_at(at);
    [before, behind.get(1..).unwrap_or_default()].concat()
}

impl Node {
    /// Whether neither this node nor one below it has an entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.children.is_empty()
    }

    /// Files `entry` under `key`, which is relative to this node.
    pub fn insert(&mut self, key: &[u8], entry: Entry) {
        let Some(first) = key.first() else {
            let at = self.entries.partition_point(|held| held.rank > entry.rank);
            self.entries = with(&self.entries, at, entry).into();
            return;
        };
        match self.child_index(*first) {
            Err(at) => {
                let leaf = Self { label: key.into(), entries: [entry].into(), ..Self::default() };
                self.firsts = Firsts::of(&with(self.firsts.bytes(), at, *first));
                self.children = with(&self.children, at, Arc::new(leaf)).into();
            }
            Ok(at) => {
                let child = Arc::make_mut(&mut self.children[at]);
                let common = common_prefix_len(&child.label, key);
                if common < child.label.len() {
                    child.split(common);
                }
                child.insert(&key[common..], entry);
            }
        }
    }

    /// Removes every entry of `rule` filed under `key`.
    pub fn remove(&mut self, key: &[u8], rule: &Rule) {
        let Some(first) = key.first() else {
            let kept = self.entries.iter().filter(|entry| entry.rule.id != rule.id);
            self.entries = kept.cloned().collect();
            return;
        };
        let Ok(at) = self.child_index(*first) else { return };
        let Some(rest) = key.strip_prefix(&*self.children[at].label) else { return };
        let child = Arc::make_mut(&mut self.children[at]);
        child.remove(rest, rule);
        if child.is_empty() {
            self.firsts = Firsts::of(&without(self.firsts.bytes(), at));
            self.children = without(&self.children, at).into();
        } else if child.entries.is_empty()
            && let [only] = &*child.children
        {
            let mut merged = Self::clone(only);
            merged.label = [&*child.label, &*only.label].concat().into();
            self.children[at] = Arc::new(merged);
        }
    }

    /// Calls `visit` with the entries of every node along `path`, from the root.
    pub fn walk<'a>(&'a self, path: &[u8], mut visit: impl FnMut(&'a [Entry])) {
        let (mut node, mut rest) = (self, path);
        loop {
            if !node.entries.is_empty() {
                visit(&node.entries);
            }
            let Some(first) = rest.first() else { return };
            let Ok(at) = node.child_index(*first) else { return };
            let Some(child) = node.children.get(at) else { return };
            node = child;
            // A label of one byte is the one that led here.
            let label_len = node.label.len();
            match rest.split_at_checked(label_len) {
                Some((start, shorter)) if label_len == 1 || *start == *node.label => rest = shorter,
                _ => return,
            }
        }
    }

    /// The index of the child whose label begins with `first`; as an error, the index where it would be.
    fn child_index(&self, first: u8) -> Result<usize, usize> {
        self.firsts.bytes().binary_search(&first)
    }

    /// Cuts this node's label after `at` bytes, and moves all that the node holds to a new child.
    fn split(&mut self, at: usize) {
        let (head, tail) = self.label.split_at(at);
        let (head, tail) = (head.into(), tail.into());
        let lower = Self {
            label: tail,
            entries: std::mem::take(&mut self.entries),
            firsts: std::mem::take(&mut self.firsts),
            children: std::mem::take(&mut self.children),
        };
        self.label = head;
        self.firsts = Firsts::of(lower.label.get(..1).unwrap_or_default());
        self.children = [Arc::new(lower)].into();
    }

    /// A text of the whole structure, to compare tries in tests.
    #[cfg(test)]
    pub fn shape(&self) -> String {
        let ids: Vec<_> = self.entries.iter().map(|entry| (entry.rule.id, entry.path)).collect();
        let children: Vec<_> = self.children.iter().map(|child| child.shape()).collect();
        format!("{:?}{ids:?}{children:?}", String::from_utf8_lossy(&self.label))
    }
}

fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_touches_one_line_of_a_node() {
        assert_eq!((size_of::<Node>(), align_of::<Node>()), (64, 64));
    }

    #[test]
    fn the_first_bytes_of_few_and_of_many_children_are_found() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for count in [0, 1, FEW, FEW + 1, ALL] {
            assert_eq!(Firsts::of(&all[..count]).bytes(), &all[..count]);
        }
    }
}

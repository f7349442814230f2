//! Regular expressions for the paths of requests, with a bounded cost.
//!
//! The expressions come from users, and a short one can be large: `\w{1,30}` in Unicode is 20,000 states. Two things bound the
//! work. The paths that are matched are ASCII (everything else is percent-encoded in them), so only the ASCII part of a class
//! is compiled: `\w` is 63 characters and not 140,000. And each expression has a [cost](mod@cost), which is known before anything is
//! compiled and does not depend on the machine. Whoever accepts or compiles expressions counts it against a limit.
//!
//! Whatever [`PathRegex::cost_of`] accepts, [`PathRegex::compile`] compiles: both read with the same function, and nothing can fail
//! after it. The config service only calls the first, the gateway the second.

mod ascii;
mod captured;
mod cost;
#[cfg(test)]
mod tests;
mod wider;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};
use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::{Translator, TranslatorBuilder};

pub use captured::CapturedGroup;

/// Most steps that one expression may take to compile. About a millisecond; an expression for a UUID takes 300 of them.
pub const PATTERN_COST_MAX: u64 = 10_000;

/// Most steps that all expressions of one route may take to compile.
pub const ROUTE_COST_MAX: u64 = 50_000;

/// Most steps that the expressions of a whole configuration may take to compile: those of a control plane, of a declarative
/// document, and of all that a gateway holds. About 0.2 seconds and 100 MiB; typical expressions take 50 of them.
pub const CONFIGURATION_COST_MAX: u64 = 2_000_000;

/// Bytes of the states that one expression keeps between requests, for each thread that matches at the same time. When they are
/// full, states are made anew.
const STATES_BYTES_MAX: usize = 64 * 1024;

/// Why a text is no expression. Continues the sentence "must …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("be a regular expression in RE2 syntax: {0}")]
pub struct InvalidPattern(String);

/// A compiled expression. It matches from the beginning of a path.
pub struct PathRegex {
    pattern: Box<str>,
    dfa: Arc<DFA>,
    /// States that were met before. They are made while matching, a few microseconds for each new one.
    caches: Pool<Cache, NewCache>,
    literal: Box<str>,
    cost: u64,
}

type NewCache = Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

impl PathRegex {
    /// How many steps `pattern` takes to compile, or why it is no expression. Does not compile it: its own work follows the
    /// length of the text.
    pub fn cost_of(pattern: &str) -> Result<u64, InvalidPattern> {
        Ok(parse(pattern)?.cost)
    }

    /// Compiles `pattern`, however much it costs. Call it only with what was counted.
    pub fn compile(pattern: &str) -> Result<PathRegex, InvalidPattern> {
        let Parsed { ast, is_unicode, cost } = parse(pattern)?;
        PathRegex::build(pattern, &translate(pattern, &ast, is_unicode)?, cost)
    }

    /// An expression that matches every path that `pattern` matches, and more. It costs no more than the text is long: how often
    /// something may be repeated is left out. For paths that must not be served as if `pattern` did not exist.
    pub fn compile_wider(pattern: &str) -> Result<PathRegex, InvalidPattern> {
        let Parsed { ast, is_unicode, cost } = parse(pattern)?;
        let hir = match is_unicode {
            // Reading it is what may cost most.
            true => Hir::literal(wider::literal_prefix(&ast).into_bytes()),
            false => wider::widen(&translate(pattern, &ast, is_unicode)?),
        };
        PathRegex::build(pattern, &hir, cost)
    }

    fn build(pattern: &str, hir: &Hir, cost: u64) -> Result<PathRegex, InvalidPattern> {
        // Neither of the two can fail: no limit on size is set, and word boundaries are those of ASCII.
        let unsupported = |error: &dyn fmt::Display| InvalidPattern(error.to_string());
        let nfa = thompson::Compiler::new()
            .configure(NFA::config().which_captures(WhichCaptures::None).utf8(false))
            .build_from_hir(hir)
            .map_err(|error| unsupported(&error))?;
        let config = DFA::config().cache_capacity(STATES_BYTES_MAX).skip_cache_capacity_check(true);
        let dfa =
            DFA::builder().configure(config).build_from_nfa(nfa).map_err(|error| unsupported(&error))?;
        let dfa = Arc::new(dfa);
        let new_cache: NewCache = {
            let dfa = Arc::clone(&dfa);
            Box::new(move || dfa.create_cache())
        };
        let literal = ascii::literal_prefix(hir).into();
        Ok(PathRegex { pattern: pattern.into(), dfa, caches: Pool::new(new_cache), literal, cost })
    }

    /// The text that it was made of.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// How many steps the text takes to compile.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What every path begins with that matches, as far as that is easily known.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    /// How many bytes of `path` match, from its beginning; `None` if it does not match. `path` is ASCII.
    pub fn matched_len(&self, path: &str) -> Option<usize> {
        let mut cache = self.caches.get();
        let input = Input::new(path).anchored(Anchored::Yes);
        // An error would mean that it gave up, which it is not configured to do.
        let found = self.dfa.try_search_fwd(&mut cache, &input).ok().flatten();
        found.map(|found| found.offset())
    }

    /// Whether `path` matches, from its beginning.
    pub fn is_match(&self, path: &str) -> bool {
        self.matched_len(path).is_some()
    }
}

impl fmt::Debug for PathRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathRegex").field(&self.pattern).finish()
    }
}

/// An expression that can be compiled.
struct Parsed {
    ast: Ast,
    /// Whether it names characters that are not in ASCII, and so has to be read in Unicode before it is reduced to ASCII.
    is_unicode: bool,
    cost: u64,
}

/// Reads an expression and proves that it can be compiled.
fn parse(pattern: &str) -> Result<Parsed, InvalidPattern> {
    let ast =
        ast::parse::Parser::new().parse(pattern).map_err(|error| InvalidPattern(error.kind().to_string()))?;
    let is_unicode = ascii::needs_unicode(&ast);
    let cost = cost::of(&ast, is_unicode).saturating_add(pattern.len() as u64);
    // What costs more than an expression may cost is not read further. Its cost is what it is refused for.
    if cost <= PATTERN_COST_MAX {
        translate(pattern, &ast, is_unicode)?;
    }
    Ok(Parsed { ast, is_unicode, cost })
}

fn translate(pattern: &str, ast: &Ast, is_unicode: bool) -> Result<Hir, InvalidPattern> {
    let translator = if is_unicode {
        Translator::new()
    } else {
        TranslatorBuilder::new().unicode(false).utf8(false).build()
    };
    let hir =
        { translator }.translate(pattern, ast).map_err(|error| InvalidPattern(error.kind().to_string()))?;
    Ok(if is_unicode { ascii::reduce(&hir) } else { hir })
}

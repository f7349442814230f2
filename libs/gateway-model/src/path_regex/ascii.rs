//! The part of an expression that can match ASCII.

use regex_syntax::ast::{self, Ast, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, Visitor};
use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

/// Whether the expression names characters outside of ASCII, or says itself in which of the two it is to be read.
pub fn needs_unicode(ast: &Ast) -> bool {
    found(ast, |fact| matches!(fact, Fact::Foreign | Fact::Flag(Flag::Unicode)))
}

/// Whether a part of the expression takes upper and lower case for the same.
pub fn folds_case(ast: &Ast) -> bool {
    found(ast, |fact| matches!(fact, Fact::Flag(Flag::CaseInsensitive)))
}

/// The expression with every set of characters cut down to its ASCII part. What cannot match ASCII stays and never matches.
pub fn reduce(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7F')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(class) => Hir::class(class.clone()),
        HirKind::Look(look) => Hir::look(ascii_look(*look)),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let sub = Box::new(reduce(sub));
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub })
        }
        HirKind::Capture(Capture { index, name, sub }) => {
            let sub = Box::new(reduce(sub));
            Hir::capture(Capture { index: *index, name: name.clone(), sub })
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(reduce).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(reduce).collect()),
    }
}

fn ascii_look(look: Look) -> Look {
    match look {
        Look::WordUnicode => Look::WordAscii,
        Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
        look => look,
    }
}

/// The characters that everything begins with that the expression matches. May be too short, never too long.
pub fn literal_prefix(hir: &Hir) -> String {
    let mut prefix = String::new();
    push_prefix(hir, &mut prefix);
    prefix
}

/// Whether what follows `hir` belongs to the prefix too.
fn push_prefix(hir: &Hir, prefix: &mut String) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            let ascii = literal.0.iter().take_while(|byte| byte.is_ascii()).count();
            prefix.extend(literal.0.iter().take(ascii).map(|byte| char::from(*byte)));
            ascii == literal.0.len()
        }
        HirKind::Capture(capture) => push_prefix(&capture.sub, prefix),
        HirKind::Concat(parts) => parts.iter().all(|part| push_prefix(part, prefix)),
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    }
}

/// What is of interest in an expression.
enum Fact<'a> {
    /// A character or a class that is not of ASCII.
    Foreign,
    Flag(&'a Flag),
}

fn found(ast: &Ast, wanted: impl Fn(Fact<'_>) -> bool) -> bool {
    match ast::visit(ast, Search { wanted, found: false }) {
        Ok(found) => found,
        Err(never) => match never {},
    }
}

struct Search<F> {
    wanted: F,
    found: bool,
}

impl<F: Fn(Fact<'_>) -> bool> Search<F> {
    fn note(&mut self, fact: Fact<'_>) {
        self.found = self.found || (self.wanted)(fact);
    }

    fn flags(&mut self, flags: &Flags) {
        for item in &flags.items {
            if let FlagsItemKind::Flag(flag) = &item.kind {
                self.note(Fact::Flag(flag));
            }
        }
    }

    fn character(&mut self, character: char) {
        if !character.is_ascii() {
            self.note(Fact::Foreign);
        }
    }
}

impl<F: Fn(Fact<'_>) -> bool> Visitor for Search<F> {
    type Output = bool;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<bool, Self::Err> {
        Ok(self.found)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Literal(literal) => self.character(literal.c),
            Ast::ClassUnicode(_) => self.note(Fact::Foreign),
            Ast::Group(group) => {
                if let GroupKind::NonCapturing(flags) = &group.kind {
                    self.flags(flags);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Literal(literal) => self.character(literal.c),
            ClassSetItem::Range(range) => {
                self.character(range.start.c);
                self.character(range.end.c);
            }
            ClassSetItem::Unicode(_) => self.note(Fact::Foreign),
            _ => {}
        }
        Ok(())
    }
}

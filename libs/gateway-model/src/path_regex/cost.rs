//! What an expression costs, from its syntax tree: an upper bound of the states that it compiles to.
//!
//! A state takes about 0.1 microseconds and 50 bytes. The tree is not expanded: `(a{100}){100}` costs 10,000 and is read in
//! the time that its 13 characters take.

use regex_syntax::ast::{Ast, ClassSet, ClassSetItem, Repetition, RepetitionKind, RepetitionRange};

use super::ascii;

/// What every expression costs besides its parts.
const BASE_COST: u64 = 30;

/// A set of characters that is read in Unicode, before it is reduced to ASCII: about 50 microseconds.
const UNICODE_SET_COST: u64 = 500;

/// The same, where upper and lower case are the same: up to seven milliseconds.
const FOLDED_UNICODE_SET_COST: u64 = 70_000;

/// The states of a whole expression, and what its sets of characters take to read.
pub fn of(ast: &Ast, is_unicode: bool) -> u64 {
    let per_set = match is_unicode {
        false => 0,
        true if ascii::folds_case(ast) => FOLDED_UNICODE_SET_COST,
        true => UNICODE_SET_COST,
    };
    states(ast).saturating_add(sets(ast).saturating_mul(per_set)).saturating_add(BASE_COST)
}

/// The parser bounds the depth (250 levels), so recursion is safe here and in every other walk.
fn states(ast: &Ast) -> u64 {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 1,
        // A character has up to four bytes.
        Ast::Literal(literal) => literal.c.len_utf8() as u64,
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) => 4,
        Ast::ClassBracketed(class) => class_items(&class.kind).saturating_add(2),
        Ast::Repetition(repetition) => repeated(repetition),
        Ast::Group(group) => states(&group.ast).saturating_add(1),
        Ast::Alternation(alternation) => sum(&alternation.asts).saturating_add(2),
        Ast::Concat(concat) => sum(&concat.asts),
    }
}

fn sum(asts: &[Ast]) -> u64 {
    asts.iter().map(|ast| states(ast).saturating_add(1)).fold(0, u64::saturating_add)
}

/// What is repeated up to `n` times is compiled `n` times.
fn repeated(repetition: &Repetition) -> u64 {
    let copies = match repetition.op.kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(
            RepetitionRange::Exactly(most)
            | RepetitionRange::AtLeast(most)
            | RepetitionRange::Bounded(_, most),
        ) => u64::from(most).max(1),
    };
    states(&repetition.ast).saturating_add(1).saturating_mul(copies).saturating_add(3)
}

/// How many sets of characters have to be read.
fn sets(ast: &Ast) -> u64 {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => 0,
        Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) => 1,
        Ast::ClassBracketed(class) => class_items(&class.kind),
        Ast::Repetition(repetition) => sets(&repetition.ast),
        Ast::Group(group) => sets(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().map(sets).sum(),
        Ast::Concat(concat) => concat.asts.iter().map(sets).sum(),
    }
}

fn class_items(set: &ClassSet) -> u64 {
    match set {
        ClassSet::Item(item) => items(item),
        ClassSet::BinaryOp(operation) => 1 + class_items(&operation.lhs) + class_items(&operation.rhs),
    }
}

fn items(item: &ClassSetItem) -> u64 {
    match item {
        ClassSetItem::Bracketed(class) => 1 + class_items(&class.kind),
        ClassSetItem::Union(union) => 1 + union.items.iter().map(items).sum::<u64>(),
        _ => 1,
    }
}

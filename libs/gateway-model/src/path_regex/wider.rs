//! Small expressions that match no less than large ones.

use regex_syntax::ast::Ast;
use regex_syntax::hir::{Hir, HirKind, Repetition};

/// The expression in which what may be repeated at all may be repeated without end.
pub fn widen(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let max = max.filter(|max| *max <= 1);
            let sub = Box::new(widen(sub));
            Hir::repetition(Repetition { min: (*min).min(1), max, greedy: *greedy, sub })
        }
        HirKind::Capture(capture) => widen(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(widen).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(widen).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

/// The ASCII characters that the expression begins with, by its syntax alone.
pub fn literal_prefix(ast: &Ast) -> String {
    let parts = match ast {
        Ast::Concat(concat) => concat.asts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let literals = parts.iter().map_while(|part| match part {
        Ast::Literal(literal) => Some(literal.c).filter(char::is_ascii),
        _ => None,
    });
    literals.collect()
}

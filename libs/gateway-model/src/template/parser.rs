//! Reads templates.

use super::{Expression, Part, Table, Unreadable};

/// How deeply expressions may be nested.
const DEPTH_MAX: usize = 32;

/// The parts of a template.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, Unreadable> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find("$(") {
        let (before, after) = rest.split_at(start);
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let mut parser = Parser { text, rest: &after[2..], depth: 0 };
        let expression = parser.expression(0)?;
        parser.expect(")")?;
        parts.push(Part::Computed(expression));
        rest = parser.rest;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    depth: usize,
}

/// How two operands become one.
type Binary = fn(Box<[Expression; 2]>) -> Expression;

/// Operators by how strongly they bind, the weakest first.
const LEVELS: [&[(&str, Binary)]; 4] = [
    &[("or", Expression::Or)],
    &[("and", Expression::And)],
    &[("==", Expression::Equal), ("~=", |both| Expression::Not(Box::new(Expression::Equal(both))))],
    &[("..", Expression::Join)],
];

impl<'t> Parser<'t> {
    /// An expression of operators that bind at least as strongly as those of `level`.
    fn expression(&mut self, level: usize) -> Result<Expression, Unreadable> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut first = self.expression(level + 1)?;
        while let Some((_, combine)) = operators.iter().find(|(operator, _)| self.takes(operator)) {
            let second = self.expression(level + 1)?;
            first = combine(Box::new([first, second]));
        }
        Ok(first)
    }

    fn unary(&mut self) -> Result<Expression, Unreadable> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault(format!("is nested more than {DEPTH_MAX} times")));
        }
        let expression = if self.takes("not") {
            Expression::Not(Box::new(self.unary()?))
        } else {
            let operand = self.operand()?;
            self.methods(operand)?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn operand(&mut self) -> Result<Expression, Unreadable> {
        self.skip_space();
        match self.rest.chars().next() {
            Some('(') => {
                self.expect("(")?;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('"' | '\'') => self.quoted().map(Expression::Text),
            Some('0'..='9' | '-') => self.number().map(Expression::Number),
            _ => self.named(),
        }
    }

    fn named(&mut self) -> Result<Expression, Unreadable> {
        let before = self.rest;
        let table = match self.word() {
            "nil" => return Ok(Expression::Nil),
            "true" => return Ok(Expression::Boolean(true)),
            "false" => return Ok(Expression::Boolean(false)),
            "headers" => Table::Headers,
            "query_params" => Table::QueryParams,
            "uri_captures" => Table::UriCaptures,
            "shared" => Table::Shared,
            _ => {
                self.rest = before;
                let what = "is none of headers, query_params, uri_captures and shared, and no constant: no other Lua runs here";
                return Err(self.fault(what));
            }
        };
        let name = self.key()?;
        if table == Table::Shared {
            while self.goes_deeper() {
                self.key()?;
            }
        } else if self.goes_deeper() {
            return Err(self.fault("looks for something within a text"));
        }
        Ok(Expression::Found(table, name))
    }

    /// Whether something is looked for within what was found.
    fn goes_deeper(&self) -> bool {
        self.rest.starts_with('[') || self.rest.starts_with('.') && !self.rest.starts_with("..")
    }

    /// `.name`, `["name"]` or `[1]`.
    fn key(&mut self) -> Result<String, Unreadable> {
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            return match self.word() {
                "" => Err(self.fault("is no name")),
                name => Ok(name.to_owned()),
            };
        }
        self.expect("[")?;
        self.skip_space();
        let key = match self.rest.chars().next() {
            Some('"' | '\'') => self.quoted()?,
            _ => self.number()?.to_string(),
        };
        self.expect("]")?;
        Ok(key)
    }

    fn methods(&mut self, mut of: Expression) -> Result<Expression, Unreadable> {
        while let Some(rest) = self.rest.strip_prefix(':') {
            let before = self.rest;
            self.rest = rest;
            let method = self.word();
            self.expect("(")?;
            let of_this = Box::new(of);
            of = match method {
                "sub" => {
                    let from = self.number()?;
                    let to = if self.takes(",") { self.number()? } else { -1 };
                    Expression::Sub(of_this, from, to)
                }
                "lower" => Expression::Lower(of_this),
                "upper" => Expression::Upper(of_this),
                _ => {
                    self.rest = before;
                    return Err(self.fault("is none of the methods :sub, :lower and :upper"));
                }
            };
            self.expect(")")?;
        }
        Ok(of)
    }

    /// A text in quotes. Backslashes stand for the character that follows.
    fn quoted(&mut self) -> Result<String, Unreadable> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        let (mut text, mut escapes) = (String::new(), false);
        for (index, char) in chars {
            match char {
                _ if escapes => {
                    if char.is_alphanumeric() {
                        self.rest = &self.rest[index..];
                        return Err(self.fault("is an escape that is not known here"));
                    }
                    text.push(char);
                    escapes = false;
                }
                '\\' => escapes = true,
                _ if Some(char) == quote => {
                    self.rest = &self.rest[index + char.len_utf8()..];
                    return Ok(text);
                }
                _ => text.push(char),
            }
        }
        Err(self.fault("begins a text that does not end"))
    }

    fn number(&mut self) -> Result<i64, Unreadable> {
        self.skip_space();
        let end = self
            .rest
            .char_indices()
            .find(|(index, char)| !(char.is_ascii_digit() || *index == 0 && *char == '-'));
        let (digits, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(index, _)| index));
        match digits.parse() {
            // A fraction, or a name.
            Ok(number) if !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_') => {
                self.rest = rest;
                Ok(number)
            }
            _ => Err(self.fault("is no whole number")),
        }
    }

    fn word(&mut self) -> &'t str {
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let end = self.rest.find(|char| !is_part(char)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Takes `token` if it comes next. A word is taken whole only.
    fn takes(&mut self, token: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        let is_word = token.starts_with(char::is_alphabetic);
        if is_word && rest.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), Unreadable> {
        if self.takes(token) {
            Ok(())
        } else {
            Err(self.fault(format!("stands where `{token}` is expected")))
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// What is wrong with that which comes next.
    fn fault(&self, what: impl Into<String>) -> Unreadable {
        let before = &self.text[..self.text.len() - self.rest.len()];
        let what = what.into();
        let what = match self.rest.chars().next() {
            Some(next) => format!("`{next}` {what}"),
            None => format!("the end {what}"),
        };
        Unreadable { position: before.chars().count() + 1, what }
    }
}

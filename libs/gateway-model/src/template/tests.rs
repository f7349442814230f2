use proptest::prelude::*;

use super::*;

fn render(text: &str) -> String {
    let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let find = |table: Table, name: &str| -> Option<Cow<'_, str>> {
        match (table, name) {
            (Table::Headers, "authorization") => Some("Bearer sb_x".into()),
            (Table::Headers, "x-a" | "x_a") => Some("h".into()),
            (Table::QueryParams, "q") => Some("b c".into()),
            (Table::UriCaptures, "id" | "1") => Some("42".into()),
            _ => None,
        }
    };
    template.render(&find).into_owned()
}

#[test]
fn expressions_are_computed_as_lua_does() {
    for (text, expected) in [
        ("", ""),
        ("plain $ (text)", "plain $ (text)"),
        ("$(headers.x_a)", "h"),
        ("<$( headers['x-a'] )>$(query_params.q)|", "<h>b c|"),
        ("$(uri_captures.id)/$(uri_captures[1])/$(uri_captures['id'])", "42/42/42"),
        ("$(headers.gone)", ""),
        ("$(shared.a.b['c'] or 'none')", "none"),
        ("$(headers.gone or query_params.gone or \"it's\")", "it's"),
        ("$('a' or 'b')$(nil or 'c')$(false or 5)$(true)$(false)", "ac5true"),
        ("$(headers.x_a and 'yes' or 'no')$(headers.gone and 'yes' or 'no')", "yesno"),
        ("$(headers.x_a == 'h' and 1)$(headers.x_a ~= 'h' and 2 or 3)", "13"),
        ("$(not headers.gone and 'empty')", "empty"),
        ("$('a' .. headers.x_a .. '-' .. 7)", "ah-7"),
        ("$((headers.gone or 'x') .. 'y')", "xy"),
        ("$(headers.authorization:sub(1, 10))|$(headers.authorization:sub(-4))|", "Bearer sb_|sb_x|"),
        ("$(('AbC'):lower())$('AbC':upper())$(headers.gone:sub(1, 2))", "abcABC"),
        ("$('é':sub(1,1) == nil)", ""),
        ("$(1 == '1')$(nil == false)", ""),
        ("$('a\\'b')", "a'b"),
        ("$(headers.order)$(headers.notes)", ""),
        (
            "$((headers.authorization ~= nil and headers.authorization:sub(1, 10) ~= 'Bearer sb_' and headers.authorization) \
             or (headers.x_a == 'h' and 'Bearer jwt') or headers.apikey)",
            "Bearer jwt",
        ),
    ] {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn other_lua_is_refused_with_its_position() {
    for (text, position) in [
        ("$(os.exit())", 3),
        ("ü$(headers.a + 1)", 14),
        ("$(headers)", 10),
        ("$(headers.)", 11),
        ("$(headers.a.b)", 12),
        ("$(headers.a:rep(3))", 12),
        ("$(headers.a", 12),
        ("$()", 3),
        ("$('a)", 3),
        ("$(headers[x])", 11),
        ("$(headers.a:sub('1'))", 17),
        ("$(function() end)", 3),
        ("$(1.5)", 4),
        ("$('\\n')", 5),
    ] {
        let refused = Template::parse(text).unwrap_err();
        assert_eq!(refused.position, position, "{text}: {refused}");
    }
    let deep = format!("$({}1{})", "(".repeat(1_000), ")".repeat(1_000));
    assert!(Template::parse(&deep).unwrap_err().what.contains("nested"));
    assert!(Template::parse(&format!("$({}1)", "not ".repeat(1_000))).is_err());
}

#[test]
fn captures_are_named() {
    let template = Template::parse("$(uri_captures.a or (uri_captures[2] .. headers.b))").unwrap();
    assert_eq!(template.captures(), ["a", "2"]);
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(text in "(\\$\\(|\\)|headers|\\.|\\.\\.|\\[|\\]|'|\"|\\\\|:sub\\(| or | and |not |==|~=|-?[0-9]{1,20}|,|é|a|nil|uri_captures){0,24}") {
        if let Ok(template) = Template::parse(&text) {
            template.render(&|_, name| Some(name.to_owned().into()));
        }
    }
}

//! The templates of `infra/`: text with names in double braces.

use anyhow::Context;

/// Replaces every `{{name}}` by its value. An error when the template names something that is not given, other than in a
/// comment line (`#`), or does not use what is given.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut used = vec![false; values.len()];
    for line in template.lines() {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").with_context(|| format!("{line:?}: no end of {{{{"))?;
            let found = values.iter().zip(&mut used).find(|((given, _), _)| *given == name);
            filled.push_str(before);
            match found {
                Some(((_, value), used)) => {
                    filled.push_str(value);
                    *used = true;
                }
                None if is_comment(line) => filled.extend(["{{", name, "}}"]),
                None => anyhow::bail!("{line:?}: nothing is known for {name}"),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled.push('\n');
    }
    let unused = values.iter().zip(used).find(|(_, used)| !used);
    anyhow::ensure!(unused.is_none(), "the template does not name {:?}", unused.map(|((name, _), _)| name));
    Ok(filled)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn names_are_replaced_but_not_in_values() {
        let text = fill("# {{a}} {{other}}\nx = {{a}}, {{b}}{{a}}\n", &[("a", "1"), ("b", "{{a}}")]);
        assert_eq!(text.expect("filled"), "# 1 {{other}}\nx = 1, {{a}}1\n");
    }

    #[test]
    fn a_template_and_its_values_fit_each_other() {
        assert!(fill("{{a}} {{b}}", &[("a", "1")]).is_err());
        assert!(fill("{{a}}", &[("a", "1"), ("b", "2")]).is_err());
        assert!(fill("{{a", &[("a", "1")]).is_err());
    }
}

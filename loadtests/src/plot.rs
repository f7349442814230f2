//! Charts as SVG, for figures of the load tests in documents: bars here, lines in [`lines`].
//!
//! Panels of bars lie below each other. A panel has a scale of its own, from 0, so that bars compare within a panel only.

mod lines;

pub use lines::{Chart, chart};

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const MARGIN: f64 = 16.0;
const LABEL_WIDTH: f64 = 90.0;
/// Room for the value behind the longest bar.
const VALUE_WIDTH: f64 = 80.0;
const TITLE_HEIGHT: f64 = 26.0;
const BAR_HEIGHT: f64 = 18.0;
const BAR_STEP: f64 = 22.0;
const PANEL_GAP: f64 = 12.0;
/// The first bar of a panel, and all others.
const COLOURS: [&str; 2] = ["#2f6fde", "#9aa4b2"];

/// Values to compare, the first one above all.
#[derive(Debug)]
pub struct Panel {
    /// What is shown, with its unit.
    pub title: String,
    /// Names and values.
    pub bars: Vec<(String, f64)>,
}

/// A picture of all panels that have bars.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let mut body = text(MARGIN, MARGIN + 14.0, "bold 15px", title);
    let mut top = MARGIN + TITLE_HEIGHT + 4.0;
    for panel in panels.iter().filter(|panel| !panel.bars.is_empty()) {
        body += &text(MARGIN, top + 14.0, "bold 12px", &panel.title);
        top += TITLE_HEIGHT;
        let longest = panel.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (at, (name, value)) in panel.bars.iter().enumerate() {
            body += &bar(top, name, *value, *value / longest, COLOURS[at.min(1)]);
            top += BAR_STEP;
        }
        top += PANEL_GAP;
    }
    picture(top, &body)
}

/// All of a picture that is so high.
fn picture(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn bar(top: f64, name: &str, value: f64, share: f64, colour: &str) -> String {
    let (left, line) = (MARGIN + LABEL_WIDTH, top + 13.0);
    let width = (WIDTH - left - VALUE_WIDTH - MARGIN) * share;
    let mut drawn = text(MARGIN, line, "12px", name);
    // Writing to a string cannot fail.
    let _ = writeln!(
        drawn,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
    );
    drawn + &text(left + width + 6.0, line, "12px", &shown(value))
}

/// A value with as many decimals as tell something.
fn shown(value: f64) -> String {
    if value < 1.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}

fn text(x: f64, y: f64, font: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y}\" style=\"font:{font} sans-serif\" fill=\"#1f2933\">{text}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widths(svg: &str) -> Vec<f64> {
        let bars = svg.split("<rect x=").skip(1);
        let widths = bars.filter_map(|bar| bar.split("width=\"").nth(1)?.split('"').next()?.parse().ok());
        widths.collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values_within_their_panel() {
        let panel = |title: &str, values: &[f64]| Panel {
            title: title.to_owned(),
            bars: values.iter().map(|value| (format!("<{value}>"), *value)).collect(),
        };
        let svg = svg("A & B", &[panel("one", &[20.0, 40.0]), panel("none", &[]), panel("two", &[7.0])]);
        let widths = widths(&svg);
        assert_eq!(widths.len(), 3);
        assert!((widths[0] * 2.0 - widths[1]).abs() < 0.2, "{widths:?}");
        assert!((widths[2] - widths[1]).abs() < 0.2, "each panel has its own scale: {widths:?}");
        assert!(svg.contains("A &amp; B") && svg.contains("&lt;20>") && !svg.contains("none"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}

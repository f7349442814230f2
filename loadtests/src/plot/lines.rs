//! A chart of lines over places that are as far from each other as their neighbours are, such as sizes of which each is ten times the one
//! before it.

use std::fmt::Write as _;

use super::{MARGIN, TITLE_HEIGHT, WIDTH, picture, shown, text};

const PLOT_HEIGHT: f64 = 220.0;
/// Room for the numbers at the left.
const AXIS_WIDTH: f64 = 60.0;
const LEGEND_STEP: f64 = 18.0;
/// Horizontal lines above that at 0.
const STEPS: usize = 4;
const COLOURS: [&str; 4] = ["#2f6fde", "#d9822b", "#3a9a5b", "#9aa4b2"];

/// Lines to compare.
#[derive(Debug)]
pub struct Chart {
    /// What is shown, with its unit.
    pub title: String,
    /// What stands below the chart, from left to right.
    pub places: Vec<String>,
    /// The name of each line, and its values: the place of each, and how high it is.
    pub lines: Vec<(String, Vec<(String, f64)>)>,
}

/// A picture of the lines, on one scale that begins at 0.
pub fn chart(chart: &Chart) -> String {
    let values = chart.lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let step = round_up(values.fold(0.0, f64::max) / STEPS as f64);
    let (left, top) = (MARGIN + AXIS_WIDTH, MARGIN + TITLE_HEIGHT + 8.0);
    let scale = Scale { top, highest: step * STEPS as f64, left, places: &chart.places };
    let mut body = text(MARGIN, MARGIN + 14.0, "bold 15px", &chart.title);
    for number in 0..=STEPS {
        let value = step * number as f64;
        let y = scale.y(value);
        line(&mut body, "#e4e7eb", &[(left, y), (WIDTH - MARGIN, y)]);
        body += &text(MARGIN, y + 4.0, "12px", &shown(value));
    }
    for place in &chart.places {
        let x = scale.x(place).unwrap_or(left);
        body += &text(x - 12.0, top + PLOT_HEIGHT + 18.0, "12px", place);
    }
    let mut below = top + PLOT_HEIGHT + 2.0 * LEGEND_STEP + 4.0;
    for ((name, points), colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let drawn: Vec<(f64, f64)> =
            points.iter().filter_map(|(place, value)| Some((scale.x(place)?, scale.y(*value)))).collect();
        line(&mut body, colour, &drawn);
        line(&mut body, colour, &[(left, below - 4.0), (left + 24.0, below - 4.0)]);
        let values: Vec<String> = points.iter().map(|(_, value)| shown(*value)).collect();
        body += &text(left + 32.0, below, "12px", &format!("{name}: {}", values.join(", ")));
        below += LEGEND_STEP;
    }
    picture(below + MARGIN / 2.0, &body)
}

/// Where things lie.
struct Scale<'a> {
    left: f64,
    top: f64,
    highest: f64,
    places: &'a [String],
}

impl Scale<'_> {
    fn x(&self, place: &str) -> Option<f64> {
        let at = self.places.iter().position(|there| there == place)?;
        let step = (WIDTH - MARGIN - self.left) / self.places.len() as f64;
        Some(self.left + step * (at as f64 + 0.5))
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PLOT_HEIGHT * (1.0 - value / self.highest)
    }
}

/// The next number that is 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|round| *round >= value).unwrap_or(1.0)
}

fn line(body: &mut String, colour: &str, points: &[(f64, f64)]) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        points.join(" ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_values_are() {
        let points = |values: [f64; 2]| vec![("1k".to_owned(), values[0]), ("10k".to_owned(), values[1])];
        let svg = chart(&Chart {
            title: "a".to_owned(),
            places: vec!["1k".to_owned(), "10k".to_owned(), "100k".to_owned()],
            lines: vec![("flat".to_owned(), points([1.0, 1.0])), ("<steep>".to_owned(), points([1.0, 2.0]))],
        });
        let drawn: Vec<Vec<f64>> = svg
            .lines()
            .filter_map(|line| line.strip_prefix("<polyline points=\"")?.split_once('"'))
            .map(|(points, _)| {
                points.split([' ', ',']).map(|number| number.parse().expect("a number")).collect()
            })
            .collect();
        // Five lines of the scale, then each line and its mark.
        let (flat, steep, zero) = (&drawn[5], &drawn[7], drawn[0][1]);
        assert_eq!((flat[1], flat[3]), (steep[1], steep[1]));
        assert!((zero - steep[3] - 2.0 * (zero - steep[1])).abs() < 0.3, "twice as high: {steep:?}");
        assert!(svg.contains("&lt;steep>: 1.0, 2.0") && svg.contains(">100k<"), "{svg}");
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([0.3, 1.0, 4.0, 7.0].map(round_up), [0.5, 1.0, 5.0, 10.0]);
    }
}

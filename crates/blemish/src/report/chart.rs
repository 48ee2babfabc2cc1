//! A chart as one inline SVG element. Colours and fonts come from the page's style sheet, so that one drawing serves
//! light and dark.

use std::fmt::Write as _;

use minijinja::HtmlEscape;

/// Size of every chart, and the frame around its plotting area, in SVG units.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;

/// Points on a line closer than this to the last one drawn are left out, in SVG units.
const RESOLUTION: f64 = 0.4;

/// How an axis maps values to places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// Linear, with ticks at whole numbers only.
    Whole,
    Log,
}

/// One axis: what it shows, from where to where.
pub(super) struct Axis {
    label: &'static str,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) scale: Scale,
}

impl Axis {
    /// An axis from `min` to `max`; 0 to 1 where these make no range.
    pub(super) fn new(label: &'static str, min: f64, max: f64, scale: Scale) -> Self {
        let usable = (max - min).is_finite() && max > min && (scale != Scale::Log || min > 0.0);
        let (min, max, scale) = if usable { (min, max, scale) } else { (0.0, 1.0, Scale::Linear) };
        Self { label, min, max, scale }
    }

    pub(super) fn transform(&self, value: f64) -> f64 {
        if self.scale == Scale::Log { value.log10() } else { value }
    }

    /// Place on the axis, 0 at its start and 1 at its end.
    fn place(&self, value: f64) -> f64 {
        let (start, end) = (self.transform(self.min), self.transform(self.max));
        (self.transform(value) - start) / (end - start)
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// Four to ten round values on the axis.
    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Log {
            let (first, last) = (self.min.log10().floor() as i32, self.max.log10().ceil() as i32);
            let decades = (first..=last).step_by(((last - first) / 6).max(1) as usize);
            let mantissas: &[f64] = if self.max / self.min < 1e3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let all = decades.flat_map(|d| mantissas.iter().map(move |m| m * 10f64.powi(d)));
            return all.filter(|&t| self.holds(t)).collect();
        }
        let rough = (self.max - self.min) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough * 0.999);
        let step = step.unwrap_or(rough).max(if self.scale == Scale::Whole { 1.0 } else { 0.0 });
        let first = (self.min / step).ceil();
        (0..=10).map(|k| (first + f64::from(k)) * step).take_while(|t| *t <= self.max + step * 1e-6).collect()
    }
}

/// A tick's number without superfluous digits.
fn tick_label(value: f64) -> String {
    let size = value.abs();
    // Six and three decimals hide the rounding of 3 * 0.1.
    let (digits, exponent) = if size == 0.0 || (1e-3..1e6).contains(&size) {
        (format!("{value:.6}"), String::new())
    } else {
        let text = format!("{value:.3e}");
        text.split_once('e').map_or((text.clone(), String::new()), |(m, e)| (m.to_owned(), format!("e{e}")))
    };
    digits.trim_end_matches('0').trim_end_matches('.').to_owned() + &exponent
}

/// A chart that is drawn as marks are added. Marks that are not finite or off the axes are left out.
pub(super) struct Chart {
    pub(super) title: String,
    description: String,
    x: Axis,
    y: Axis,
    marks: String,
    legend: Vec<(&'static str, String)>,
}

impl Chart {
    pub(super) fn new(title: impl Into<String>, description: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            x,
            y,
            marks: String::new(),
            legend: Vec::new(),
        }
    }

    fn px(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// A line through the points, with dots while they are few. `class` names its colour in the style sheet.
    pub(super) fn line(
        mut self,
        class: &'static str,
        label: &str,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let mut kept: Vec<(f64, f64)> = Vec::new();
        let mut last = None;
        for point in points.into_iter().filter(|(x, y)| self.x.holds(*x) && self.y.holds(*y)) {
            let (x, y) = (self.px(point.0), self.py(point.1));
            let near =
                kept.last().is_some_and(|k| (k.0 - x).abs() < RESOLUTION && (k.1 - y).abs() < RESOLUTION);
            last = near.then_some((x, y));
            if !near {
                kept.push((x, y));
            }
        }
        kept.extend(last);
        let path: Vec<String> = kept.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.marks, r#"<polyline class="line {class}" points="{}"/>"#, path.join(" "));
        for (x, y) in kept.iter().filter(|_| kept.len() <= 24) {
            let _ = write!(self.marks, r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="2.5"/>"#);
        }
        self.with_legend(class, label, !kept.is_empty())
    }

    /// One bar from 0 up for every `(from, to, height)`.
    pub(super) fn bars(mut self, class: &'static str, label: &str, bars: &[(f64, f64, f64)]) -> Self {
        let floor = self.py(self.y.min);
        for &(from, to, height) in bars.iter().filter(|b| b.2 > 0.0 && self.x.holds(b.0) && self.x.holds(b.1))
        {
            let (left, right, top) = (self.px(from), self.px(to), self.py(height));
            let (wide, high) = (right - left - 1.0, floor - top);
            let _ = write!(
                self.marks,
                r#"<rect class="bar {class}" x="{left:.1}" y="{top:.1}" width="{wide:.1}" height="{high:.1}"/>"#
            );
        }
        self.with_legend(class, label, !bars.is_empty())
    }

    /// A vertical rule at `x`, with its name.
    pub(super) fn rule(mut self, x: f64, label: &str) -> Self {
        if self.x.holds(x) {
            let (at, bottom) = (self.px(x), HEIGHT - BOTTOM);
            let (anchor, shift) = if at < WIDTH / 2.0 { ("start", 6.0) } else { ("end", -6.0) };
            let _ = write!(
                self.marks,
                r#"<line class="rule" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom}"/><text class="mark" x="{:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
                at + shift,
                TOP + 14.0,
                HtmlEscape(label)
            );
        }
        self
    }

    /// One ringed point with its name beside it and below, or above where the axis is near.
    pub(super) fn point(mut self, (x, y): (f64, f64), label: &str) -> Self {
        if self.x.holds(x) && self.y.holds(y) {
            let (at, up) = (self.px(x), self.py(y));
            let (anchor, shift) = if at < WIDTH * 0.65 { ("start", 10.0) } else { ("end", -10.0) };
            let below = if up + 24.0 < HEIGHT - BOTTOM { 18.0 } else { -8.0 };
            let _ = write!(
                self.marks,
                r#"<circle class="ring" cx="{at:.1}" cy="{up:.1}" r="5"/><text class="mark" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                at + shift,
                up + below,
                HtmlEscape(label)
            );
        }
        self
    }

    fn with_legend(mut self, class: &'static str, label: &str, drawn: bool) -> Self {
        if drawn && !label.is_empty() {
            self.legend.push((class, label.to_owned()));
        }
        self
    }

    /// The chart as one `<svg>` element.
    pub(super) fn svg(&self) -> String {
        let (right, bottom, centre) = (WIDTH - RIGHT, HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2.0);
        let title = HtmlEscape(&self.title);
        let mut svg = format!(
            r#"<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{title}</title><desc>{}</desc>"#,
            HtmlEscape(&self.description)
        );
        for tick in self.x.ticks() {
            let (x, label) = (self.px(tick), tick_label(tick));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}"/><text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#,
                bottom + 18.0
            );
        }
        for tick in self.y.ticks() {
            let (y, label) = (self.py(tick), tick_label(tick));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#,
                LEFT - 8.0,
                y + 4.0
            );
        }
        let _ = write!(
            svg,
            r#"<polyline class="axis" points="{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}"/><text class="label" x="{}" y="{}" text-anchor="middle">{}</text><text class="label" transform="translate(13 {centre}) rotate(-90)" text-anchor="middle">{}</text>"#,
            (LEFT + right) / 2.0,
            HEIGHT - 10.0,
            HtmlEscape(self.x.label),
            HtmlEscape(self.y.label)
        );
        svg += &self.marks;
        let mut x = LEFT;
        for (class, label) in &self.legend {
            let _ = write!(
                svg,
                r#"<rect class="key {class}" x="{x:.0}" y="9" width="14" height="10" rx="2"/><text x="{:.0}" y="18">{}</text>"#,
                x + 20.0,
                HtmlEscape(label)
            );
            // Measured: "image AUROC" takes 8.2 units a character in DejaVu Sans, the widest of the page's fonts.
            x += 36.0 + 8.2 * label.chars().count() as f64;
        }
        if self.legend.is_empty() {
            let x = (LEFT + right) / 2.0;
            let _ = write!(
                svg,
                r#"<text class="label" x="{x}" y="{centre}" text-anchor="middle">no data</text>"#
            );
        }
        svg + "</svg>"
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn unit(label: &'static str) -> Axis {
        Axis::new(label, 0.0, 1.0, Scale::Linear)
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            unit("").ticks().iter().map(|t| tick_label(*t)).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(Axis::new("", 0.0, 3.0, Scale::Whole).ticks(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(Axis::new("", 0.015, 0.9, Scale::Log).ticks(), [0.02, 0.05, 0.1, 0.2, 0.5]);
        assert_eq!([2e-5, 0.3, 1500.0, -0.25, 5e7].map(tick_label), ["2e-5", "0.3", "1500", "-0.25", "5e7"]);
    }

    #[test]
    fn axes_without_a_range_fall_back() {
        for (min, max) in
            [(f64::NAN, 1.0), (2.0, 2.0), (f64::INFINITY, f64::NEG_INFINITY), (f64::MIN, f64::MAX)]
        {
            assert_eq!(Axis::new("", min, max, Scale::Linear).ticks().len(), 6);
        }
        assert_eq!(Axis::new("", 0.0, 5.0, Scale::Log).max, 1.0);
    }

    #[test]
    fn lines_of_none_one_and_many_points() {
        let draw = |points: Vec<(f64, f64)>| {
            Chart::new("t", "d", unit("x"), unit("y")).line("first", "l", points).svg()
        };
        assert!(draw(vec![]).contains("no data"));
        let one = draw(vec![(0.5, 0.5), (f64::NAN, 0.5), (0.5, 7.0)]);
        // Half way along both axes: 66 + 438 / 2, 282 - 248 / 2.
        assert!(one.contains(r#"cx="285.0" cy="158.0""#) && one.matches("<circle").count() == 1, "{one}");
        let many = draw((0..=100_000).map(|i| (f64::from(i) / 1e5, 0.5)).collect());
        assert!(many.len() < 20_000 && many.contains(r#"504.0,158.0""#), "{} bytes", many.len());
    }

    #[test]
    fn a_points_name_stays_off_the_axis() {
        let name_at = |y| {
            let svg = Chart::new("t", "d", unit("x"), unit("y")).point((0.5, y), "here").svg();
            let (_, mark) = svg.split_once(r#"class="mark""#).unwrap();
            mark.split('"').nth(3).unwrap().parse::<f64>().unwrap()
        };
        // The plot reaches from 34 down to 282.
        assert_eq!(name_at(0.5), 158.0 + 18.0);
        assert_eq!(name_at(0.0), 282.0 - 8.0);
    }

    #[test]
    fn text_is_escaped() {
        let svg = Chart::new("a<b", "c&d", unit("x"), unit("y")).rule(0.5, "\"<i>").svg();
        assert!(svg.contains("a&lt;b") && svg.contains("c&amp;d") && !svg.contains("<i>"), "{svg}");
    }
}

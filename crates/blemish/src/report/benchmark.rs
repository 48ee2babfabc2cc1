//! The results of a benchmark as one HTML file that needs nothing else.

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::tables::{ABLATION, BenchmarkRow, COLUMNS, Column, ablation, failure};
use crate::error::{Error, Result};
use crate::number;

#[derive(Serialize)]
struct Row<'a> {
    category: &'a str,
    parts: &'a str,
    /// Heading and value.
    cells: Vec<(&'static str, String)>,
}

impl<'a> Row<'a> {
    fn new(row: &'a BenchmarkRow, parts: &'a str, columns: &[Column]) -> Self {
        let cell = |(heading, digits, value): &Column| (*heading, number::fixed(value(row), *digits));
        Self { category: &row.category, parts, cells: columns.iter().map(cell).collect() }
    }
}

/// The page: a table of the categories, one of the ablation where there is one, and what failed.
///
/// # Errors
/// None in practice: the template must be sound.
pub fn benchmark_page(rows: &[BenchmarkRow]) -> Result<String> {
    let own = rows.iter().filter(|row| row.alone.is_none());
    let page = context! {
        css => include_str!("report.css"),
        headings => COLUMNS.map(|(heading, ..)| heading),
        rows => own.map(|row| Row::new(row, "", &COLUMNS)).collect::<Vec<_>>(),
        ablation_headings => ABLATION.map(|(heading, ..)| heading),
        ablation => ablation(rows).map(|(parts, row)| Row::new(row, parts, &ABLATION)).collect::<Vec<_>>(),
        failures => rows.iter().filter_map(failure).collect::<Vec<_>>(),
    };
    let fault = |error: minijinja::Error| Error::data("results.html", format!("{error:#}"));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template("results.html", include_str!("benchmark.html.jinja")).map_err(fault)?;
    environment.get_template("results.html").and_then(|template| template.render(page)).map_err(fault)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_shown_escaped_and_without_nan() {
        let row = |alone: Option<&str>, aupro| BenchmarkRow {
            category: "<script>".into(),
            alone: alone.map(str::to_owned),
            aupro: Some(aupro),
            ..Default::default()
        };
        let plain = benchmark_page(&[row(None, 0.5)]).unwrap();
        assert!(plain.contains("0.500") && !plain.contains("alone"), "{plain}");
        let failed = BenchmarkRow { error: Some("<no> weights".into()), ..row(Some("defect"), f64::NAN) };
        let page = benchmark_page(&[row(None, 0.5), row(Some("features"), 0.25), failed]).unwrap();
        assert!(
            page.contains("0.250") && page.contains("as configured") && page.contains("&lt;no&gt; weights")
        );
        assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("http"));
    }
}

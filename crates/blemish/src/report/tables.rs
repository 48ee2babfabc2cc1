//! Results as text: aligned columns for the terminal, Markdown for a README.

use serde::{Deserialize, Serialize};

use crate::evaluation::{Evaluation, Metrics};
use crate::number::{fixed, percent, significant};

/// One category of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkRow {
    /// Name of the category.
    pub category: String,
    /// In an ablation, the parts that were used, in words; absent: the detector as it was configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alone: Option<String>,
    /// Image AUROC.
    pub image_auroc: Option<f64>,
    /// F1 at the model's own threshold.
    pub f1: Option<f64>,
    /// The largest F1 over all thresholds.
    pub f1_max: Option<f64>,
    /// AUPRO up to the false-positive rate 0.3.
    pub aupro: Option<f64>,
    /// Image AUROC with brightness and contrast equalised.
    pub equalised_auroc: Option<f64>,
    /// Time to train, in minutes.
    pub minutes: Option<f64>,
    /// Images scored per second.
    pub images_per_second: Option<f64>,
    /// Why there is nothing else, where it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// A column of a benchmark's table: its heading, digits, value.
pub(super) type Column = (&'static str, usize, fn(&BenchmarkRow) -> Option<f64>);

/// Those of a detector as it was configured.
pub(super) const COLUMNS: [Column; 7] = [
    ("image AUROC", 3, |r| r.image_auroc),
    ("F1", 3, |r| r.f1),
    ("F1-max", 3, |r| r.f1_max),
    ("AUPRO", 3, |r| r.aupro),
    ("equalised AUROC", 3, |r| r.equalised_auroc),
    ("minutes", 1, |r| r.minutes),
    ("images/s", 1, |r| r.images_per_second),
];

/// Those of an ablation.
pub(super) const ABLATION: [Column; 3] =
    [("image AUROC", 3, |r| r.image_auroc), ("F1-max", 3, |r| r.f1_max), ("AUPRO", 3, |r| r.aupro)];

/// The rows of an ablation: of every category that has some, each with the parts that were used.
pub(super) fn ablation(rows: &[BenchmarkRow]) -> impl Iterator<Item = (&str, &BenchmarkRow)> {
    let has_some = |row: &&BenchmarkRow| rows.iter().any(|r| r.alone.is_some() && r.category == row.category);
    rows.iter().filter(has_some).map(|row| (row.alone.as_deref().unwrap_or("as configured"), row))
}

/// A Markdown table with one line per category and one for the means, a second one of an ablation where there is one; below
/// them what failed, and why.
///
/// A mean is taken over the categories that have the value, and says how many they are when some lack it.
pub fn markdown_table(all: &[BenchmarkRow]) -> String {
    let rows: Vec<&BenchmarkRow> = all.iter().filter(|row| row.alone.is_none()).collect();
    let line = |name: &str, cell: &dyn Fn(&Column) -> String| {
        std::iter::once(name.replace('|', "\\|")).chain(COLUMNS.iter().map(cell)).collect::<Vec<_>>()
    };
    let mut cells = vec![line("category", &|(heading, ..)| (*heading).into())];
    cells
        .extend(rows.iter().map(|row| line(&row.category, &|(_, digits, value)| fixed(value(row), *digits))));
    cells.push(line("mean", &|(_, digits, value)| {
        let known: Vec<f64> = rows.iter().filter_map(|row| value(row)).filter(|v| v.is_finite()).collect();
        let mean = fixed(Some(known.iter().sum::<f64>() / known.len() as f64), *digits);
        if known.is_empty() || known.len() == rows.len() {
            mean
        } else {
            format!("{mean} ({}/{})", known.len(), rows.len())
        }
    }));
    let mut lines = table(&cells);
    let mut cells = vec![vec!["category, parts".to_owned()]];
    cells[0].extend(ABLATION.iter().map(|(heading, ..)| (*heading).to_owned()));
    for (parts, row) in ablation(all) {
        let values = ABLATION.iter().map(|(_, digits, value)| fixed(value(row), *digits));
        cells.push(
            std::iter::once(format!("{}: {parts}", row.category).replace('|', "\\|")).chain(values).collect(),
        );
    }
    if cells.len() > 1 {
        lines.push(String::new());
        lines.extend(table(&cells));
    }
    let failed: Vec<String> = all.iter().filter_map(failure).map(|text| format!("- {text}")).collect();
    if !failed.is_empty() {
        lines.push(String::new());
        lines.extend(failed);
    }
    lines.join("\n") + "\n"
}

/// What failed, and why.
pub(super) fn failure(row: &BenchmarkRow) -> Option<String> {
    let alone = row.alone.as_ref().map(|parts| format!(" ({parts})")).unwrap_or_default();
    Some(format!("{}{alone} failed: {}", row.category, row.error.as_ref()?))
}

/// The lines of a Markdown table, its heading first.
fn table(cells: &[Vec<String>]) -> Vec<String> {
    let widths = widths(cells);
    let rule: String = widths
        .iter()
        .enumerate()
        .map(|(i, w)| format!("|{}{}", "-".repeat(w + 1), if i == 0 { "-" } else { ":" }))
        .collect();
    let mut lines: Vec<String> =
        cells.iter().map(|row| format!("| {} |", aligned(row, &widths, " | "))).collect();
    lines.insert(1, format!("{rule}|"));
    lines
}

/// An evaluation for the terminal: verdict, warning, metrics, thresholds, kinds of defect, problems.
pub fn text_table(evaluation: &Evaluation) -> String {
    let e = evaluation;
    let mut text = format!("{}\n", verdict(&e.metrics, e.threshold));
    if let Some(warning) = &e.shortcut_audit.warning {
        text += &format!("Warning: {warning}; the equalised result is the one that counts.\n");
    }
    for warning in &e.warnings {
        text += &format!("Warning: {warning}\n");
    }
    let heading = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();

    let mut metrics = vec![heading(&["", "as they are", "equalised"])];
    metrics.extend(metric_rows(e).into_iter().map(|row| {
        let equalised = e.equalised.as_ref().and_then(row.value);
        vec![row.name, fixed((row.value)(&e.metrics), 3), fixed(equalised, 3)]
    }));
    metrics.push(vec!["images per second".into(), fixed(e.images_per_second, 1), String::new()]);
    text += &block(&metrics);

    let mut thresholds =
        vec![heading(&["threshold", "value", "stated %", "false alarms", "%", "found", "%"])];
    thresholds.extend(e.thresholds.iter().map(|t| {
        let (alarms, found) = (t.false_alarms, t.detections);
        vec![
            format!("{}{}", t.name, if t.used { " (used)" } else { "" }),
            significant(Some(t.value)),
            percent(t.target_fpr),
            format!("{} of {}", alarms.count, alarms.total),
            format!("{} ({} to {})", percent(alarms.share), percent(alarms.low), percent(alarms.high)),
            format!("{} of {}", found.count, found.total),
            percent(found.share),
        ]
    }));
    text += &block(&thresholds);

    let mut kinds = vec![heading(&["kind of defect", "images", "found", "image AUROC", "AUPRO"])];
    kinds.extend(e.per_kind.iter().map(|k| {
        let [total, found] = [k.detections.total, k.detections.count].map(|n| n.to_string());
        vec![k.kind.clone(), total, found, fixed(k.image_auroc, 3), fixed(k.aupro, 3)]
    }));
    text += &block(&kinds);

    for note in &e.notes {
        text += &format!("\nNote: {note}");
    }
    for problem in &e.problems {
        text += &format!("\nProblem: {}: {}", problem.path.display(), problem.reason);
    }
    text.trim_end().to_owned() + "\n"
}

/// What the result means to the person at the line, in one sentence.
pub fn verdict(metrics: &Metrics, threshold: f64) -> String {
    format!(
        "At the threshold {} the model rejects {} and finds {}.",
        significant(Some(threshold)),
        metrics.false_alarms.in_words("good image"),
        metrics.detections.in_words("defective image"),
    )
}

/// A metric's name, its meaning in words, and where it stands.
pub(super) struct MetricRow {
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) value: fn(&Metrics) -> Option<f64>,
}

/// The metrics in the order in which every table shows them.
pub(super) fn metric_rows(evaluation: &Evaluation) -> [MetricRow; 6] {
    let limit = evaluation.fpr_limit;
    let row =
        |name: &str, meaning: &str, value| MetricRow { name: name.into(), meaning: meaning.into(), value };
    [
        row("Image AUROC", "Chance that a defective image scores above a good one; 0.5 is guessing.", |m| {
            m.image_auroc
        }),
        row("F1 at the model's threshold", "Balance of precision and recall, as the model decides.", |m| {
            m.f1
        }),
        row("F1-max", "The same at the best threshold, chosen in hindsight.", |m| m.f1_max),
        row(
            "F1 of calling everything defective",
            "What looking at nothing reaches; the two above must beat it.",
            |m| m.f1_all_positive,
        ),
        row("Pixel AUROC", "Chance that a defective pixel scores above a good one.", |m| m.pixel_auroc),
        row(
            &format!("AUPRO ({limit})"),
            &format!(
                "Share of each defect region that is covered, averaged over pixel false-alarm rates up to {limit}."
            ),
            |m| m.aupro,
        ),
    ]
}

/// The widest cell of every column, in characters.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    (0..columns).map(width).collect()
}

/// The first cell set left, the others right.
fn aligned(row: &[String], widths: &[usize], separator: &str) -> String {
    let cells = row.iter().zip(widths).enumerate();
    let padded =
        cells.map(|(i, (cell, &w))| if i == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") });
    padded.collect::<Vec<_>>().join(separator)
}

/// Aligned lines after an empty one; nothing when there is no row below the heading.
fn block(rows: &[Vec<String>]) -> String {
    if rows.len() < 2 {
        return String::new();
    }
    let widths = widths(rows);
    rows.iter().fold("\n".to_owned(), |text, row| text + aligned(row, &widths, "  ").trim_end() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Problem;
    use crate::evaluation::{KindRow, Rate, ShortcutAudit, ThresholdRow};

    #[test]
    fn markdown_is_aligned_and_has_means() {
        let full = BenchmarkRow {
            category: "a|b".into(),
            image_auroc: Some(0.9),
            aupro: Some(0.5),
            ..Default::default()
        };
        let part = BenchmarkRow {
            category: "screw".into(),
            image_auroc: Some(0.8),
            aupro: Some(f64::NAN),
            ..Default::default()
        };
        let text = markdown_table(&[full, part]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|l| l.chars().count() == lines[0].chars().count()), "{text}");
        assert!(lines[2].starts_with("| a\\|b     |       0.900 |"), "{text}");
        assert!(
            lines[4].contains("0.850") && lines[4].contains("0.500 (1/2)") && lines[4].contains('–'),
            "{text}"
        );
        assert_eq!(markdown_table(&[]).lines().count(), 3);
        let failed =
            BenchmarkRow { category: "c".into(), error: Some("no image".into()), ..Default::default() };
        let text = markdown_table(&[failed]);
        assert!(text.contains("| c ") && text.ends_with("\n\n- c failed: no image\n"), "{text}");
    }

    #[test]
    fn an_ablation_is_a_table_of_its_own_and_changes_no_mean() {
        let row = |category: &str, alone: Option<&str>, image_auroc| BenchmarkRow {
            category: category.into(),
            alone: alone.map(str::to_owned),
            image_auroc: Some(image_auroc),
            ..Default::default()
        };
        let without = [row("a", None, 0.75), row("b", None, 0.25)];
        let mut with = without.to_vec();
        with.insert(1, row("a", Some("memory of features"), 0.5));
        with.insert(
            2,
            BenchmarkRow { error: Some("no weights".into()), ..row("a", Some("defect"), f64::NAN) },
        );
        let (plain, text) = (markdown_table(&without), markdown_table(&with));
        assert!(text.starts_with(&plain), "{text}");
        let own: Vec<&str> = text[plain.len()..].trim().lines().collect();
        assert_eq!(own.len(), 7, "{text}");
        assert!(
            own[0].starts_with("| category, parts") && own[2].starts_with("| a: as configured"),
            "{text}"
        );
        assert!(own[3].starts_with("| a: memory of features |       0.500 |"), "{text}");
        assert_eq!(own[6], "- a (defect) failed: no weights");
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn terminal_text_says_what_matters_and_never_nan() {
        let metrics = Metrics {
            image_auroc: Some(0.9876),
            aupro: Some(f64::NAN),
            false_alarms: Rate::new(2, 41),
            detections: Rate::new(110, 119),
            ..Default::default()
        };
        let evaluation = Evaluation {
            metrics,
            fpr_limit: 0.3,
            threshold: 0.0123,
            threshold_rule: "fpr".into(),
            shortcut_audit: ShortcutAudit::new(Some(1.0), None, None),
            thresholds: [true, false]
                .map(|used| ThresholdRow { name: "fpr".into(), value: f64::NAN, used, ..Default::default() })
                .to_vec(),
            per_kind: vec![KindRow { kind: "scratch".into(), ..Default::default() }],
            problems: vec![Problem::new("a.png", "empty file")],
            ..Default::default()
        };
        let text = text_table(&evaluation);
        for part in [
            "threshold 0.01230 the model rejects 2 of 41 good images (4.9 %, 95 % interval 1.3 to 16.1 %)",
            "Warning: good and defective",
            "0.988",
            "fpr (used)",
            "scratch",
            "Problem: a.png: empty file",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("NaN"), "{text}");
        assert_eq!(text.matches("(used)").count(), 1, "{text}");
        assert!(!text_table(&Evaluation::default()).contains("NaN"));
    }
}

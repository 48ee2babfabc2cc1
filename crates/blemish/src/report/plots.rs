//! The charts of the report: which data, on which axes.

use super::Curves;
use super::chart::{Axis, Chart, Scale};
use crate::evaluation::Evaluation;
use crate::history::{EpochRecord, Stage};
use crate::number::fixed;

/// Bins of the histogram over the whole range of scores.
const BINS: f64 = 30.0;

/// Scores that span more than this factor are shown on a logarithmic axis.
const LOG_SPAN: f64 = 30.0;

/// One chart of the report: a heading and an `<svg>` element, safe to set into HTML.
#[derive(serde::Serialize)]
pub(super) struct Figure {
    pub(super) heading: String,
    pub(super) svg: String,
}

fn figure(chart: &Chart) -> Figure {
    Figure { heading: chart.title.clone(), svg: chart.svg() }
}

/// All charts of a report, in reading order; those of the training only where there is a history.
pub(super) fn figures(evaluation: &Evaluation, curves: &Curves, history: &[EpochRecord]) -> Vec<Figure> {
    let mut charts = vec![
        histogram(&curves.good_scores, &curves.defective_scores, evaluation.threshold),
        roc(evaluation, curves),
        pro(evaluation, curves),
    ];
    charts.extend([Stage::Pretrain, Stage::Finetune].into_iter().filter_map(|stage| loss(history, stage)));
    charts.extend(validation(history));
    charts.iter().map(figure).collect()
}

fn roc(evaluation: &Evaluation, curves: &Curves) -> Chart {
    let metrics = &evaluation.metrics;
    let area = fixed(metrics.image_auroc, 3);
    let axis = |label| Axis::new(label, 0.0, 1.0, Scale::Linear);
    let chart = Chart::new(
        "ROC: images found against false alarms",
        format!("Share of defective images found over share of good images rejected. Area {area}."),
        axis("good images rejected (share)"),
        axis("defective images found (share)"),
    )
    .line("first", &format!("area {area}"), curves.roc.iter().copied())
    .line(
        "chance",
        "guessing",
        if curves.roc.is_empty() { vec![] } else { vec![(0.0, 0.0), (1.0, 1.0)] },
    );
    match (metrics.false_alarms.share, metrics.detections.share) {
        (Some(alarms), Some(found)) => chart.point((alarms, found), "the model's threshold"),
        _ => chart,
    }
}

fn pro(evaluation: &Evaluation, curves: &Curves) -> Chart {
    let area = fixed(evaluation.metrics.aupro, 3);
    let limit = evaluation.fpr_limit;
    Chart::new(
        format!("PRO: defect regions covered, up to {limit}"),
        format!("Mean share of each defect region covered over share of good pixels marked. Area {area}."),
        Axis::new("good pixels marked (share)", 0.0, limit, Scale::Linear),
        Axis::new("mean share of a region covered", 0.0, 1.0, Scale::Linear),
    )
    .line("first", &format!("AUPRO {area}"), curves.pro.iter().copied())
}

/// Bins are counted from the threshold, so that no bar stands on both sides of it.
fn histogram(good: &[f64], defective: &[f64], threshold: f64) -> Chart {
    let finite = |v: &&f64| v.is_finite();
    let all = || good.iter().chain(defective).chain([&threshold]).filter(finite).copied();
    let (min, max) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let scale = if min > 0.0 && max / min > LOG_SPAN { Scale::Log } else { Scale::Linear };
    let (min, max) = if min == max { (min - 0.5, max + 0.5) } else { (min, max) };
    let probe = Axis::new("", min, max, scale);
    let width = (probe.transform(probe.max) - probe.transform(probe.min)) / BINS;
    let origin =
        probe.transform(if threshold.is_finite() && probe.holds(threshold) { threshold } else { probe.min });
    let bin = |v: f64| ((probe.transform(v) - origin) / width).floor();
    let edge = |k: f64| {
        let place = origin + k * width;
        if probe.scale == Scale::Log { 10f64.powf(place) } else { place }
    };
    let (first, last) = (bin(probe.min), bin(probe.max));
    let bars = |scores: &[f64]| -> Vec<(f64, f64, f64)> {
        let mut counts = vec![0.0; (last - first) as usize + 1];
        for &score in scores.iter().filter(finite) {
            if let Some(count) = counts.get_mut((bin(score) - first) as usize) {
                *count += 1.0;
            }
        }
        let bars = counts.iter().zip(0..).map(|(&n, i)| (first + f64::from(i), n));
        if scores.is_empty() { Vec::new() } else { bars.map(|(k, n)| (edge(k), edge(k + 1.0), n)).collect() }
    };
    let (good_bars, defective_bars) = (bars(good), bars(defective));
    let highest = good_bars.iter().chain(&defective_bars).map(|b| b.2).fold(0.0, f64::max);
    Chart::new(
        "Scores of good and defective images",
        format!("Histogram of {} good and {} defective image scores.", good.len(), defective.len()),
        Axis::new("image score", edge(first), edge(last + 1.0), probe.scale),
        Axis::new("images", 0.0, highest * 1.15, Scale::Whole),
    )
    .bars("first", &format!("good ({})", good.len()), &good_bars)
    .bars("second", &format!("defective ({})", defective.len()), &defective_bars)
    .rule(threshold, "threshold")
}

/// The training loss of one stage, if it has any epoch.
fn loss(history: &[EpochRecord], stage: Stage) -> Option<Chart> {
    let points: Vec<(f64, f64)> =
        history.iter().filter(|r| r.stage == stage).map(|r| (r.epoch as f64, r.loss)).collect();
    let epochs = points.iter().map(|p| p.0).reduce(f64::max)?;
    let highest = points.iter().map(|p| p.1).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let name = match stage {
        Stage::Pretrain => "pre-training",
        Stage::Finetune => "fine-tuning",
    };
    let chart = Chart::new(
        format!("Training loss, {name}"),
        format!("Mean training loss of {} epochs of {name}.", points.len()),
        Axis::new("epoch", 0.0, epochs, Scale::Whole),
        Axis::new("loss", 0.0, highest * 1.05, Scale::Linear),
    );
    Some(chart.line("first", "training loss", points))
}

/// The validation metrics over the epochs of fine-tuning, if any epoch has one.
fn validation(history: &[EpochRecord]) -> Option<Chart> {
    type Value = fn(&EpochRecord) -> Option<f64>;
    let series: [(&'static str, &str, Value); 3] = [
        ("first", "image AUROC", |r| r.val_auroc),
        ("second", "F1-max", |r| r.val_f1),
        ("third", "AUPRO", |r| r.val_aupro),
    ];
    let records = || history.iter().filter(|r| r.stage == Stage::Finetune);
    let validated = records().filter(|r| series.iter().any(|(.., value)| value(r).is_some()));
    let epochs = validated.map(|r| r.epoch).max()?;
    let chart = Chart::new(
        "Validation during fine-tuning",
        "Image AUROC, F1-max and AUPRO on the validation images, per epoch.",
        Axis::new("epoch", 0.0, epochs as f64, Scale::Whole),
        Axis::new("value", 0.0, 1.0, Scale::Linear),
    );
    Some(series.into_iter().fold(chart, |chart, (class, label, value)| {
        chart.line(class, label, records().filter_map(|r| value(r).map(|v| (r.epoch as f64, v))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bar_straddles_the_threshold() {
        let svg = histogram(&[0.0, 0.1, 0.2], &[0.2, 0.3], 0.2).svg();
        let at = |class: &str, key: &str| -> Vec<f64> {
            let tags = svg.split('<').filter(|t| t.contains(class));
            tags.filter_map(|t| t.split_once(&format!(" {key}=\"")))
                .filter_map(|(_, rest)| rest.split('"').next().and_then(|v| v.parse().ok()))
                .collect()
        };
        let (rule, left, width) = (at("\"rule\"", "x1")[0], at("\"bar ", "x"), at("\"bar ", "width"));
        assert_eq!(left.len(), 5);
        assert!(left.iter().zip(&width).all(|(l, w)| l + w <= rule || *l >= rule), "{svg}");
    }

    #[test]
    fn degenerate_scores_do_not_panic() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for scores in
            [vec![], vec![1.0], vec![0.0, 0.0], odd.to_vec(), vec![1e-300, 1e300], vec![f64::MIN, f64::MAX]]
        {
            for threshold in [0.5, 0.0, f64::NAN] {
                let svg = histogram(&scores, &[], threshold).svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{scores:?} {threshold}: {svg}");
            }
        }
    }
}

//! What an evaluation found, as plain data: what `--json` prints and what the report shows.
//!
//! A metric that is not defined on the data (no masks, no good image) is `None`, and a note says why.

use serde::{Deserialize, Serialize};

use crate::dataset::Problem;
use crate::metrics::{Z95, wilson};
use crate::number::{counted, percent};
use crate::prediction::{Reason, Verdict};

/// AUROC above which (and, mirrored, 1 minus it, below which) a shortcut is warned of.
const SHORTCUT_AUROC: f64 = 0.8;
/// First line of the table of all images.
pub const IMAGES_CSV_HEADER: &str = "path,kind,defective,score,predicted,reason,inspected\n";

/// Everything measured in one evaluation of one model on one data set.
///
/// In JSON the fields of [`Metrics`] stand at the top level, and once more under `equalised`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The model that was evaluated.
    pub model: ModelSummary,
    /// The data that it was evaluated on.
    pub data: DataSummary,
    /// Which images were scored and which ones chose checkpoint and threshold, in words.
    pub split: String,
    /// Height and width in pixels at which maps are compared with masks.
    pub resolution: [usize; 2],
    /// False-positive rate up to which AUPRO is integrated, usually 0.3.
    pub fpr_limit: f64,
    /// Seed of the training run.
    pub seed: u64,
    /// The metrics on the images as they are.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// The model's own threshold: an image is called defective when its score is at least this.
    pub threshold: f64,
    /// Name of the rule that made [`Self::threshold`]; one of [`Self::thresholds`].
    pub threshold_rule: String,
    /// Images scored per second, decoding included.
    pub images_per_second: Option<f64>,
    /// How many images there were.
    pub counts: Counts,
    /// What brightness and contrast alone would reach.
    pub shortcut_audit: ShortcutAudit,
    /// The metrics once more, every image's median and standard deviation set to those of the good images that were fitted on
    /// ([`Provenance::median`](crate::Provenance::median)).
    pub equalised: Option<Metrics>,
    /// All thresholds of the model file, with what each of them does on these images.
    pub thresholds: Vec<ThresholdRow>,
    /// One row per kind of defect.
    pub per_kind: Vec<KindRow>,
    /// One row per image, in the data set's order.
    #[serde(default)]
    pub images: Vec<ImageRow>,
    /// What makes the figures doubtful: images that the model was fitted on, or that are unlike those.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Remarks a reader needs, such as why a metric is missing.
    pub notes: Vec<String>,
    /// Files that were left out, and why.
    pub problems: Vec<Problem>,
}

/// The figures of merit, each defined where `metrics` computes it; all in \[0, 1\].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Area under the ROC curve of the image scores.
    pub image_auroc: Option<f64>,
    /// Area under the ROC curve over all pixels of all images.
    pub pixel_auroc: Option<f64>,
    /// Area under the per-region overlap curve up to [`Evaluation::fpr_limit`], divided by that limit.
    pub aupro: Option<f64>,
    /// F1 at the model's own threshold.
    pub f1: Option<f64>,
    /// The largest F1 over all thresholds, chosen in hindsight.
    pub f1_max: Option<f64>,
    /// F1 of calling every image defective.
    pub f1_all_positive: Option<f64>,
    /// Good images called defective at the model's own threshold.
    pub false_alarms: Rate,
    /// Defective images called defective at the model's own threshold.
    pub detections: Rate,
}

/// How many images were scored, and how many could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Good images scored.
    pub good: usize,
    /// Defective images scored.
    pub defective: usize,
    /// Files left out; [`Evaluation::problems`] names them.
    pub skipped: usize,
    /// Good and defective images scored that the model was fitted on.
    #[serde(default)]
    pub fitted_on: usize,
    /// Images scored that are unlike those that the model was fitted on.
    #[serde(default)]
    pub unlike: usize,
}

/// A share of images with its 95 % Wilson score interval (Wilson, 1927); `None` where there is no image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Images that count.
    pub count: usize,
    /// Images in all.
    pub total: usize,
    /// `count / total`.
    pub share: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Rate {
    /// `count` out of `total`.
    pub fn new(count: usize, total: usize) -> Self {
        let (low, high) = wilson(count, total, Z95).ok().unzip();
        Self { count, total, share: low.map(|_| count as f64 / total as f64), low, high }
    }

    /// The rate in words, of what is called `one`: `2 of 41 good images (4.9 %, 95 % interval 1.3 to 16.1 %)`.
    pub fn in_words(&self, one: &str) -> String {
        let text = format!("{} of {}", self.count, counted(self.total, one));
        if self.share.is_none() {
            return text;
        }
        let [share, low, high] = [self.share, self.low, self.high].map(percent);
        format!("{text} ({share} %, 95 % interval {low} to {high} %)")
    }
}

/// Image AUROC of three properties of brightness and contrast: how far these alone separate good from defective images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShortcutAudit {
    /// AUROC of the mean grey level.
    pub mean: Option<f64>,
    /// AUROC of the standard deviation of the grey levels.
    pub spread: Option<f64>,
    /// AUROC of the high-frequency energy.
    pub high_frequency: Option<f64>,
    /// Which of them separate good from defective, when one does.
    pub warning: Option<String>,
}

impl ShortcutAudit {
    /// The audit of three AUROCs, with a warning when one is above 0.8 or as far below 0.5.
    pub fn new(mean: Option<f64>, spread: Option<f64>, high_frequency: Option<f64>) -> Self {
        let suspects: Vec<String> =
            [("mean", mean), ("standard deviation", spread), ("high-frequency energy", high_frequency)]
                .into_iter()
                .filter_map(|(name, auroc)| auroc.map(|a| (name, a)))
                .filter(|&(_, auroc)| is_shortcut(auroc))
                .map(|(name, auroc)| format!("{name} {auroc:.3}"))
                .collect();
        let warning = (!suspects.is_empty()).then(|| {
            format!(
                "good and defective images differ in brightness or contrast alone (AUROC: {})",
                suspects.join(", ")
            )
        });
        Self { mean, spread, high_frequency, warning }
    }
}

/// Whether an AUROC of brightness or contrast is so far from 0.5 that image-level results mean little.
pub(crate) fn is_shortcut(auroc: f64) -> bool {
    (auroc - 0.5).abs() > SHORTCUT_AUROC - 0.5
}

/// One of the model's thresholds, and what it does on the evaluated images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThresholdRow {
    /// Name by which it is chosen, such as `fpr`.
    pub name: String,
    /// Score from which an image is called defective.
    pub value: f64,
    /// How it was made, in words.
    pub rule: String,
    /// Whether it is the one that decides.
    pub used: bool,
    /// The false-alarm rate that it promises, if it promises one.
    pub target_fpr: Option<f64>,
    /// 95 % interval of the rate that new good images are expected to have.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
    /// Good images that it rejects.
    pub false_alarms: Rate,
    /// Defective images that it finds.
    pub detections: Rate,
}

/// One image that was scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRow {
    /// The file.
    pub path: String,
    /// Kind of the defect, as the data set calls it.
    pub kind: String,
    /// Whether it is defective.
    pub defective: bool,
    /// Its score.
    pub score: f32,
    /// What the model's own threshold makes of it.
    pub predicted: Verdict,
    /// Why.
    pub reason: Reason,
    /// Share of the image that was inspected, 0 to 1.
    pub inspected: f32,
}

impl ImageRow {
    /// What a reader should know beside the score: why the verdict is what it is where that is not the score, and what share of
    /// the image was inspected where it is not all of it.
    pub fn remark(&self) -> String {
        let why = match self.reason {
            Reason::Blank => Some("blank: the frame shows nothing".to_owned()),
            Reason::NoProduct => Some("no product was found".to_owned()),
            Reason::Normal | Reason::Anomaly => None,
        };
        let percent = 100.0 * self.inspected;
        let part = (self.inspected < 0.995).then(|| format!("{percent:.0} % of the image inspected"));
        why.into_iter().chain(part).collect::<Vec<_>>().join("; ")
    }
}

impl Evaluation {
    /// [`images`](Self::images) as a table: comma-separated, one line each after a heading, text in quotes (RFC 4180).
    pub fn images_csv(&self) -> String {
        let mut csv = IMAGES_CSV_HEADER.to_owned();
        for row in &self.images {
            let [path, kind] =
                [&row.path, &row.kind].map(|text| format!("\"{}\"", text.replace('"', "\"\"")));
            let (predicted, reason) = (row.predicted.name(), row.reason.name());
            let ImageRow { defective, score, inspected, .. } = row;
            csv += &format!("{path},{kind},{defective},{score},{predicted},{reason},{inspected}\n");
        }
        csv
    }
}

/// One kind of defect against all good images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindRow {
    /// Name of the kind, as the data set calls it.
    pub kind: String,
    /// Image AUROC of this kind against all good images.
    pub image_auroc: Option<f64>,
    /// How many of them are found at the model's own threshold.
    pub detections: Rate,
    /// AUPRO over the regions of this kind.
    pub aupro: Option<f64>,
}

/// The evaluated model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// The model file.
    pub path: String,
    /// The preset that it was fitted with.
    pub preset: String,
    /// The parts that contribute to the score, in words.
    pub parts: String,
    /// Date of the training, `YYYY-MM-DD`.
    pub fitted: String,
    /// Version of blemish that fitted it.
    pub version: String,
}

/// The evaluated data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The data set's folder.
    pub path: String,
    /// The product, such as `screw`.
    pub category: String,
    /// The layout it was read as, such as `mvtec`.
    pub layout: String,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn wilson_interval_agrees_with_hand_computed_values() {
        // n = 10, k = 0: the upper bound is z^2 / (n + z^2) = 3.8415 / 13.8415.
        let none = Rate::new(0, 10);
        assert!((none.high.unwrap() - 0.277_533).abs() < 1e-5);
        assert_eq!(none.low, Some(0.0));
        // n = 10, k = 5 is symmetric: 0.5 -+ 0.263407.
        let half = Rate::new(5, 10);
        assert!(
            (half.low.unwrap() - 0.236_593).abs() < 1e-5 && (half.high.unwrap() - 0.763_407).abs() < 1e-5
        );
        assert_eq!(Rate::new(0, 0).share, None);
        assert_eq!(Rate::new(0, 0).in_words("image"), "0 of 0 images");
        assert_eq!(none.in_words("good image"), "0 of 10 good images (0.0 %, 95 % interval 0.0 to 27.8 %)");
    }

    #[test]
    fn json_has_the_metrics_at_the_top_and_reads_back() {
        let metrics = Metrics { image_auroc: Some(0.9), ..Metrics::default() };
        let evaluation = Evaluation { equalised: Some(metrics.clone()), metrics, ..Evaluation::default() };
        let json = serde_json::to_value(&evaluation).unwrap();
        for key in "image_auroc pixel_auroc aupro f1 f1_max f1_all_positive threshold threshold_rule \
                    images_per_second counts shortcut_audit"
            .split_whitespace()
        {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["equalised"]["image_auroc"], 0.9);
        assert_eq!(serde_json::from_value::<Evaluation>(json).unwrap(), evaluation);
    }

    #[test]
    fn images_are_a_table() {
        let row = ImageRow {
            path: "a \"b\", c.png".into(),
            kind: "cut".into(),
            defective: true,
            score: 1.5,
            predicted: Verdict::Review,
            reason: Reason::NoProduct,
            inspected: 0.25,
        };
        assert_eq!(row.remark(), "no product was found; 25 % of the image inspected");
        let csv = Evaluation { images: vec![row], ..Evaluation::default() }.images_csv();
        let (head, line) = csv.split_once('\n').unwrap();
        assert_eq!(head, "path,kind,defective,score,predicted,reason,inspected");
        assert_eq!(line, "\"a \"\"b\"\", c.png\",\"cut\",true,1.5,review,no_product,0.25\n");
    }

    #[test]
    fn audit_warns_on_both_sides() {
        let audit = ShortcutAudit::new(Some(1.0), Some(0.5), Some(0.1));
        assert!(audit.warning.unwrap().contains("mean 1.000, high-frequency energy 0.100"));
        assert_eq!(ShortcutAudit::new(Some(0.8), None, Some(f64::NAN)).warning, None);
    }
}

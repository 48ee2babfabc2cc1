//! The report as one HTML file that needs nothing else: style, charts and images are inside it.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::heatmap::{FOUND_COLOUR, TRUTH_COLOUR, colour_map, encode_png, heat, overlay};
use super::tables::{metric_rows, verdict};
use super::{GalleryGroup, GalleryItem, Listed, Report, plots};
use crate::error::{Error, Result};
use crate::evaluation::is_shortcut;
use crate::image::ByteImage;
use crate::number;
use crate::write::write_whole;

impl Report<'_> {
    /// The whole page.
    ///
    /// # Errors
    /// An image of the gallery whose sizes contradict each other.
    pub fn to_html(&self) -> Result<String> {
        let e = self.evaluation;
        let metrics: Vec<Metric> = metric_rows(e)
            .into_iter()
            .map(|row| Metric {
                value: (row.value)(&e.metrics),
                equalised: e.equalised.as_ref().and_then(row.value),
                name: row.name,
                meaning: row.meaning,
            })
            .collect();
        let audit = [
            ("Mean grey level", e.shortcut_audit.mean),
            ("Standard deviation of the grey levels", e.shortcut_audit.spread),
            ("High-frequency energy", e.shortcut_audit.high_frequency),
        ];
        let audit =
            audit.map(|(name, auroc)| Property { name, auroc, shortcut: auroc.is_some_and(is_shortcut) });
        let gallery =
            GROUPS.iter().map(|(group, heading)| self.group(*group, heading)).collect::<Result<Vec<_>>>()?;
        let page = context! {
            css => include_str!("report.css"),
            evaluation => e,
            verdict => verdict(&e.metrics, e.threshold),
            equalised_verdict => e.equalised.as_ref().map(|m| verdict(m, e.threshold)),
            metrics => metrics,
            audit => audit,
            figures => plots::figures(e, &self.curves, self.history),
            gallery => gallery.into_iter().filter(|g| !g.items.is_empty() || !g.listed.is_empty()).collect::<Vec<_>>(),
            scale => Scale {
                gradient: (0..=16).map(|i| rgb(colour_map(i as f32 / 16.0))).collect::<Vec<_>>().join(","),
                threshold: f64::from(self.map_threshold),
                max: f64::from(self.map_scale_max),
                position: f64::from(self.map_threshold / self.map_scale_max).clamp(0.0, 1.0),
                found: rgb(FOUND_COLOUR),
                truth: rgb(TRUTH_COLOUR),
            },
            provenance => self.provenance,
            config => self.config,
        };
        let fault = |error: minijinja::Error| Error::data("report.html", format!("{error:#}"));
        // The template's name ends in .html: what is set into it is escaped unless marked safe.
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("fixed", number::fixed);
        environment.add_filter("percent", number::percent);
        environment.add_filter("significant", number::significant);
        environment.add_template("report.html", include_str!("report.html.jinja")).map_err(fault)?;
        environment.get_template("report.html").and_then(|template| template.render(page)).map_err(fault)
    }

    /// Writes the page to a file, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::to_html`]; a path that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, self.to_html()?.as_bytes())
    }

    fn group(&self, group: GalleryGroup, heading: &'static str) -> Result<Group<'_>> {
        let metrics = &self.evaluation.metrics;
        let total = match group {
            GalleryGroup::Missed => metrics.detections.total.saturating_sub(metrics.detections.count),
            GalleryGroup::FalseAlarm => metrics.false_alarms.count,
            GalleryGroup::LeastSuspicious | GalleryGroup::MostSuspicious => metrics.detections.count,
        };
        let items = self.gallery.iter().filter(|item| item.group == group);
        let items = items.map(|item| self.item(item)).collect::<Result<_>>()?;
        let listed = self.listed.iter().filter(|item| item.group == group);
        let listed = listed
            .map(|Listed { file, kind, score, remark, .. }| Named { file, kind, score: *score, remark })
            .collect();
        Ok(Group { heading, total, items, listed })
    }

    fn item(&self, item: &GalleryItem) -> Result<Item> {
        let GalleryItem { image, map, outlined_from, mask, .. } = item;
        let expected =
            item.expected.as_ref().map(|(title, image)| Ok::<_, Error>((*title, data_uri(image)?)));
        let scale_max = self.map_scale_max;
        Ok(Item {
            file: item.file.clone(),
            kind: item.kind.clone(),
            score: item.score,
            remark: item.remark.clone(),
            image: data_uri(image)?,
            expected: expected.transpose()?,
            heat: data_uri(&heat(map, image.height, image.width, scale_max))?,
            regions: data_uri(&overlay(image, map, *outlined_from, scale_max, mask.as_ref()))?,
        })
    }
}

/// The groups of the gallery in their order, with what heads them.
const GROUPS: [(GalleryGroup, &str); 4] = [
    (GalleryGroup::Missed, "Missed: defective, but below the threshold"),
    (GalleryGroup::FalseAlarm, "False alarms: good, but at or above the threshold"),
    (GalleryGroup::LeastSuspicious, "Found, the least suspicious first"),
    (GalleryGroup::MostSuspicious, "Found, the most suspicious first"),
];

#[derive(Serialize)]
struct Metric {
    name: String,
    meaning: String,
    value: Option<f64>,
    equalised: Option<f64>,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    auroc: Option<f64>,
    shortcut: bool,
}

#[derive(Serialize)]
struct Group<'a> {
    heading: &'static str,
    /// How many images belong to the group, shown or not.
    total: usize,
    items: Vec<Item>,
    listed: Vec<Named<'a>>,
}

/// An image that is named only.
#[derive(Serialize)]
struct Named<'a> {
    file: &'a str,
    kind: &'a str,
    score: f64,
    remark: &'a str,
}

/// One image of the gallery; the images as `data:` addresses.
#[derive(Serialize)]
struct Item {
    file: String,
    kind: String,
    score: f64,
    remark: String,
    image: String,
    /// How it was found, and the image.
    expected: Option<(&'static str, String)>,
    heat: String,
    regions: String,
}

/// The key to the images' colours.
#[derive(Serialize)]
struct Scale {
    gradient: String,
    threshold: f64,
    max: f64,
    /// Where the threshold lies on the bar, 0 to 1.
    position: f64,
    found: String,
    truth: String,
}

fn rgb([red, green, blue]: [u8; 3]) -> String {
    format!("rgb({red},{green},{blue})")
}

/// The image as a `data:` address, to be set into a page.
///
/// # Errors
/// As [`encode_png`].
pub fn data_uri(image: &ByteImage) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(encode_png(image)?)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::dataset::Problem;
    use crate::evaluation::{Evaluation, KindRow, Metrics, Rate, ShortcutAudit, ThresholdRow};
    use crate::history::EpochRecord;
    use crate::image::PixelMask;
    use crate::report::Curves;

    fn report<'a>(evaluation: &'a Evaluation, history: &'a [EpochRecord]) -> Report<'a> {
        Report {
            evaluation,
            history,
            curves: Curves::default(),
            gallery: Vec::new(),
            listed: Vec::new(),
            map_threshold: 0.5,
            map_scale_max: 1.0,
            provenance: Vec::new(),
            config: String::new(),
        }
    }

    #[test]
    fn an_empty_report_is_a_page_without_nan() {
        let html = report(&Evaluation::default(), &[]).to_html().unwrap();
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
        assert!(html.contains("no data") && html.contains('–'));
        assert!(!html.contains("NaN"));
    }

    #[test]
    fn nothing_is_fetched_and_everything_is_escaped() {
        let hostile = "<script>alert('x')</script>\"&.png".to_owned();
        let evaluation = Evaluation {
            metrics: Metrics {
                image_auroc: Some(f64::NAN),
                detections: Rate::new(1, 3),
                ..Default::default()
            },
            threshold: f64::NAN,
            shortcut_audit: ShortcutAudit::new(Some(0.95), None, Some(f64::NAN)),
            equalised: Some(Metrics::default()),
            thresholds: vec![ThresholdRow {
                name: hostile.clone(),
                rule: hostile.clone(),
                ..Default::default()
            }],
            per_kind: vec![KindRow { kind: hostile.clone(), ..Default::default() }],
            warnings: vec![hostile.clone()],
            notes: vec![hostile.clone()],
            problems: vec![Problem::new(hostile.clone(), hostile.clone())],
            split: hostile.clone(),
            ..Default::default()
        };
        let history = [EpochRecord { epoch: 1, loss: f64::NAN, ..Default::default() }];
        let mut report = report(&evaluation, &history);
        report.gallery = vec![GalleryItem {
            group: GalleryGroup::Missed,
            file: hostile.clone(),
            kind: hostile.clone(),
            score: f64::NAN,
            remark: hostile.clone(),
            image: ByteImage { height: 2, width: 2, channels: 1, pixels: vec![0; 4] },
            expected: None,
            map: vec![f32::NAN; 4],
            outlined_from: 1.0,
            mask: Some(PixelMask::empty(2, 2)),
        }];
        let (file, kind) = (hostile.clone(), hostile.clone());
        report.listed = vec![Listed {
            group: GalleryGroup::Missed,
            file,
            kind,
            score: 0.25,
            remark: "12 % of the image inspected".into(),
        }];
        report.provenance = vec![(hostile.clone(), hostile.clone())];
        report.config = hostile;
        let html = report.to_html().unwrap();
        assert!(!html.contains("<script") && !html.contains("NaN"));
        assert!(!html.contains("http") && !html.contains("<link"));
        assert_eq!(html.matches("data:image/png;base64,").count(), 3);
        // What is not known has no column.
        assert!(!html.contains("class=\"images four\"") && !html.contains("nearest good"));
        let grey = ByteImage { height: 2, width: 2, channels: 1, pixels: vec![9; 4] };
        report.gallery[0].expected = Some(("nearest good", grey));
        let four = report.to_html().unwrap();
        assert_eq!(four.matches("data:image/png;base64,").count(), 4);
        assert!(four.contains("class=\"images four\"") && four.contains(">nearest good</span>"));
        assert!(
            html.contains("1 of 2 images shown")
                && html.contains("1 more of 2, by name")
                && html.contains("0.2500")
                && html.contains("12 % of the image inspected")
        );
    }

    #[test]
    fn a_malformed_image_is_an_error() {
        let evaluation = Evaluation::default();
        let mut report = report(&evaluation, &[]);
        report.gallery = vec![GalleryItem {
            group: GalleryGroup::FalseAlarm,
            file: "a.png".into(),
            kind: "good".into(),
            score: 1.0,
            remark: String::new(),
            image: ByteImage { height: 9, width: 9, channels: 3, pixels: vec![0; 4] },
            expected: None,
            map: vec![1.0; 81],
            outlined_from: 1.0,
            mask: None,
        }];
        assert!(report.to_html().is_err());
    }
}

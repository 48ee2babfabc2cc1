//! What a person reads: heat maps, charts, one HTML file, tables: pure functions of plain data.

mod benchmark;
mod chart;
mod font;
mod heatmap;
mod html;
mod overlay;
mod plots;
mod raw;
mod tables;

#[doc(hidden)]
pub use crate::number::{percent, significant, significant_to};
#[doc(hidden)]
pub use benchmark::benchmark_page;
pub use heatmap::{encode_png, heat, overlay, save_png};
#[doc(hidden)]
pub use html::data_uri;
#[doc(hidden)]
pub use overlay::{Beside, Caption, annotated, beside_size};
#[doc(hidden)]
pub use raw::THRESHOLD_LEVEL;
pub use raw::{encode_map_npy, encode_map_tiff, encode_mask};
#[doc(hidden)]
pub use tables::{BenchmarkRow, markdown_table, text_table, verdict};

use crate::evaluation::Evaluation;
use crate::history::EpochRecord;
use crate::image::{ByteImage, PixelMask};

/// All that the HTML report shows.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What was measured.
    pub evaluation: &'a Evaluation,
    /// The training, epoch by epoch; empty when it is not known.
    pub history: &'a [EpochRecord],
    /// Curves and scores for the charts.
    pub curves: Curves,
    /// Images to look at.
    pub gallery: Vec<GalleryItem>,
    /// Missed defects and false alarms that the gallery does not show, in its order.
    pub listed: Vec<Listed>,
    /// Map value from which a pixel counts as part of a found region, on defective images.
    pub map_threshold: f32,
    /// Map value shown in the hottest colour, the same for all images; twice the threshold shows both sides.
    pub map_scale_max: f32,
    /// Further facts for the last section (data, time): name and value.
    pub provenance: Vec<(String, String)>,
    /// The effective configuration, as TOML.
    pub config: String,
}

/// Points and scores for the charts. Long curves are thinned when drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// False-positive rate and true-positive rate of the image scores.
    pub roc: Vec<(f64, f64)>,
    /// False-positive rate of the pixels and mean per-region overlap, up to the limit.
    pub pro: Vec<(f64, f64)>,
    /// Scores of the good images.
    pub good_scores: Vec<f64>,
    /// Scores of the defective images.
    pub defective_scores: Vec<f64>,
}

/// Why an image is shown; the groups appear in this order.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GalleryGroup {
    /// Defective, below the threshold: the lowest scores first.
    Missed,
    /// Good, at or above the threshold: the highest scores first.
    FalseAlarm,
    /// Defective and found, the lowest scores first.
    LeastSuspicious,
    /// Defective and found, the highest scores first.
    MostSuspicious,
}

/// One image of the gallery, at the resolution of its map.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct GalleryItem {
    /// Why it is shown.
    pub group: GalleryGroup,
    /// The file, as the reader knows it.
    pub file: String,
    /// Kind of defect, or `good`.
    pub kind: String,
    /// Image score.
    pub score: f64,
    /// What there is to say beside the score (reason, inspected share); may be empty.
    pub remark: String,
    /// The image.
    pub image: ByteImage,
    /// What a good product looks like in its place, of the image's size, where the detector knows it, and how that was found.
    pub expected: Option<(&'static str, ByteImage)>,
    /// Anomaly map `[H, W]` of the image's size.
    pub map: Vec<f32>,
    /// Map value from which a pixel is outlined as found.
    pub outlined_from: f32,
    /// Ground truth of the image's size, where there is one.
    pub mask: Option<PixelMask>,
}

/// An image that is named and not shown.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Why it is named.
    pub group: GalleryGroup,
    /// The file, as the reader knows it.
    pub file: String,
    /// Kind of defect, or `good`.
    pub kind: String,
    /// Image score.
    pub score: f64,
    /// What there is to say beside the score (reason, inspected share); may be empty.
    pub remark: String,
}

/// Images of missed defects, and of false alarms, that are shown; more are named only, so that the page can be opened.
const SHOWN_ERRORS: usize = 20;

/// Of what [`select_gallery`] chose: what is shown, and what is named only.
pub(crate) fn shown_and_listed(chosen: Vec<(GalleryGroup, usize)>) -> [Vec<(GalleryGroup, usize)>; 2] {
    let (mut shown, mut listed): (Vec<_>, Vec<_>) = Default::default();
    for (group, i) in chosen {
        let before = shown.iter().filter(|(other, _)| *other == group).count();
        let is_error = matches!(group, GalleryGroup::Missed | GalleryGroup::FalseAlarm);
        if is_error && before == SHOWN_ERRORS { &mut listed } else { &mut shown }.push((group, i));
    }
    [shown, listed]
}

/// Chooses images worth a look, none twice, as groups with indices into `scores`: all missed defects and all false alarms, and
/// at most `limit` of each other group. Of the first two, no more than 20 each are meant to be shown.
///
/// `defective` says for each score whether its image is defective. Scores that are not finite are not shown.
pub(crate) fn select_gallery(
    scores: &[f64],
    defective: &[bool],
    threshold: f64,
    limit: usize,
) -> Vec<(GalleryGroup, usize)> {
    let mut ascending: Vec<usize> =
        (0..scores.len().min(defective.len())).filter(|&i| scores[i].is_finite()).collect();
    ascending.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let pick = |wanted: fn(bool, bool) -> bool| {
        ascending.iter().copied().filter(move |&i| wanted(defective[i], scores[i] >= threshold))
    };
    let found = pick(|defective, flagged| defective && flagged).count();
    let mut chosen = Vec::new();
    let mut add = |group, indices: &mut dyn Iterator<Item = usize>, limit| {
        chosen.extend(indices.take(limit).map(|i| (group, i)));
    };
    add(GalleryGroup::Missed, &mut pick(|defective, flagged| defective && !flagged), usize::MAX);
    add(GalleryGroup::FalseAlarm, &mut pick(|defective, flagged| !defective && flagged).rev(), usize::MAX);
    add(GalleryGroup::LeastSuspicious, &mut pick(|defective, flagged| defective && flagged), limit);
    let rest = found.saturating_sub(limit).min(limit);
    add(GalleryGroup::MostSuspicious, &mut pick(|defective, flagged| defective && flagged).rev(), rest);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gallery_shows_each_image_once() {
        let scores = [0.1, 0.9, 0.3, 0.6, 0.7, 0.8, f64::NAN, 0.2];
        let defective = [false, false, true, true, true, true, true, true];
        let chosen = select_gallery(&scores, &defective, 0.5, 2);
        use GalleryGroup::{FalseAlarm, LeastSuspicious, Missed, MostSuspicious};
        assert_eq!(
            chosen,
            [
                (Missed, 7),
                (Missed, 2),
                (FalseAlarm, 1),
                (LeastSuspicious, 3),
                (LeastSuspicious, 4),
                (MostSuspicious, 5)
            ]
        );
        assert_eq!(select_gallery(&[], &[true], f64::NAN, 3), []);
    }

    #[test]
    fn every_missed_defect_and_every_false_alarm_is_shown_or_named() {
        let scores: Vec<f64> = (0..100u8).map(f64::from).collect();
        let defective: Vec<bool> = (0..100).map(|i| i % 2 == 0).collect();
        let [shown, listed] = shown_and_listed(select_gallery(&scores, &defective, 50.0, 4));
        let count = |of: &[(GalleryGroup, usize)], group| of.iter().filter(|(g, _)| *g == group).count();
        for group in [GalleryGroup::Missed, GalleryGroup::FalseAlarm] {
            assert_eq!([count(&shown, group), count(&listed, group)], [SHOWN_ERRORS, 25 - SHOWN_ERRORS]);
        }
        // The clearest misses are shown.
        assert_eq!((shown[0], listed[0].1), ((GalleryGroup::Missed, 0), 2 * SHOWN_ERRORS));
        assert_eq!(count(&shown, GalleryGroup::LeastSuspicious), 4);
    }
}

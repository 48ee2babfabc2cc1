//! What a data set holds, and what is wrong with it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use blemish::Images;
use blemish::config::Config;
use blemish::dataset::{INVERTED, Label, OnError, Problem, Sample, are_inverted, decode_masks};
use blemish::evaluation::ShortcutAudit;
use blemish::fit::survey;
use blemish::image::{DecodeOptions, Statistics, decode, image_statistics, resize};
use blemish::metrics::auroc;
use blemish::parallel::in_order;
use serde::Serialize;

use crate::failure::Result;
use crate::inputs::open_data;
use crate::output::{Output, colours};
use crate::progress;

/// Sizes that are listed one by one.
const LISTED: usize = 5;

#[derive(Serialize)]
struct Summary {
    data: String,
    category: String,
    layout: &'static str,
    channels: usize,
    groups: Vec<Group>,
    sizes: Vec<Size>,
    profile: Vec<String>,
    shortcut_audit: ShortcutAudit,
    problems: Vec<Problem>,
}

/// The images of one folder.
#[derive(Serialize)]
struct Group {
    name: String,
    images: usize,
    masks: usize,
    /// Mean grey level, 0 to 1, averaged over the images.
    brightness: f64,
    /// Standard deviation of the grey levels, averaged over the images.
    contrast: f64,
}

#[derive(Serialize)]
struct Size {
    height: usize,
    width: usize,
    images: usize,
}

/// What is kept of an image that was read.
struct Seen {
    sample: Sample,
    is_test: bool,
    size: [usize; 2],
    statistics: Statistics,
    bad_mask: Option<Problem>,
    /// Share of the image that its masks mark, where it has some.
    marked: Option<f64>,
}

/// Shows a data set: every image and every mask is read once.
///
/// # Errors
/// No images to be found; none that can be used.
pub fn run(path: &Path, category: Option<&str>, output: &Output) -> Result<()> {
    let set = open_data(&[path.to_path_buf()], category, OnError::Skip)?;
    let config = Config::default().data;
    let images = Images::from(&set);
    let channels = images.detect_channels(config.max_pixels)?;
    let decoding = DecodeOptions { channels: Some(channels), ..config.decoding() };
    let mut problems = set.problems.clone();
    let mut seen = Vec::new();
    let samples = set.train.iter().map(|s| (s, false)).chain(set.test.iter().map(|s| (s, true)));
    let bar = progress::bar(output, Some(set.train.len() + set.test.len()), "reading");
    let look = |(sample, is_test): (&Sample, bool)| look(sample, is_test, &decoding, config.image_size);
    in_order(samples.collect::<Vec<_>>(), look, |result: Result<Seen, Problem>| {
        bar.inc(1);
        match result {
            Ok(one) => {
                problems.extend(one.bad_mask.clone());
                seen.push(one);
            }
            Err(problem) => problems.push(problem),
        }
        Ok::<(), crate::failure::Failure>(())
    })?;
    bar.finish_and_clear();
    if are_inverted(seen.iter().filter_map(|one| one.marked)) {
        problems.push(Problem::new(&set.root, INVERTED));
    }
    let summary = Summary {
        data: set.root.display().to_string(),
        category: set.category.clone(),
        layout: set.layout.name(),
        channels,
        groups: groups(&seen),
        sizes: sizes(&seen),
        profile: survey(&images, &decoding)?.describe(),
        shortcut_audit: audit(&seen),
        problems,
    };
    output.result(&summary, || text(&summary))
}

fn look(
    sample: &Sample,
    is_test: bool,
    decoding: &DecodeOptions,
    frame: [usize; 2],
) -> Result<Seen, Problem> {
    let broken = |error: blemish::Error| Problem::new(&sample.path, error.reason());
    let image = decode(&sample.path, decoding).map_err(broken)?;
    let size = [image.height, image.width];
    let statistics = image_statistics(&resize(&image, frame).map_err(broken)?);
    let mut marked = None;
    let bad_mask = sample.masks.first().and_then(|path| {
        let mask = decode_masks(&sample.masks, frame, size, decoding.max_pixels);
        marked = mask.as_ref().ok().map(|mask| mask.count() as f64 / mask.pixels.len() as f64);
        let reason = match mask {
            Err(error) => error.reason(),
            Ok(mask) if sample.label == Label::Defective && mask.count() == 0 => {
                "empty, though the image is called defective".to_owned()
            }
            Ok(_) => return None,
        };
        Some(Problem::new(path, format!("mask: {reason}")))
    });
    Ok(Seen { sample: sample.clone(), is_test, size, statistics, bad_mask, marked })
}

fn groups(seen: &[Seen]) -> Vec<Group> {
    let mut kinds: BTreeMap<(bool, &str), Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        kinds.entry((one.is_test, &one.sample.kind)).or_default().push(one);
    }
    let group = |((is_test, kind), images): ((bool, &str), Vec<&Seen>)| {
        let mean = |of: fn(&Statistics) -> f32| {
            images.iter().map(|one| f64::from(of(&one.statistics))).sum::<f64>() / images.len() as f64
        };
        Group {
            name: format!("{}/{kind}", if is_test { "test" } else { "train" }),
            images: images.len(),
            masks: images.iter().filter(|one| !one.sample.masks.is_empty()).count(),
            brightness: mean(|s| s.mean),
            contrast: mean(|s| s.spread),
        }
    };
    kinds.into_iter().map(group).collect()
}

/// The sizes that occur, the most frequent first.
fn sizes(seen: &[Seen]) -> Vec<Size> {
    let mut counts: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    seen.iter().for_each(|one| *counts.entry(one.size).or_default() += 1);
    let mut sizes: Vec<Size> =
        counts.into_iter().map(|([height, width], images)| Size { height, width, images }).collect();
    sizes.sort_by_key(|size| Reverse(size.images));
    sizes
}

/// How far brightness or contrast alone tells good test images from defective ones.
fn audit(seen: &[Seen]) -> ShortcutAudit {
    let test: Vec<&Seen> = seen.iter().filter(|one| one.is_test).collect();
    let defective: Vec<bool> = test.iter().map(|one| one.sample.label == Label::Defective).collect();
    let of = |value: fn(&Statistics) -> f32| {
        auroc(&test.iter().map(|one| value(&one.statistics)).collect::<Vec<_>>(), &defective).ok()
    };
    ShortcutAudit::new(of(|s| s.mean), of(|s| s.spread), of(|s| s.high_frequency))
}

fn text(summary: &Summary) -> String {
    let mut text = format!(
        "data         {}\nproduct      {}\nlayout       {}, {}\n",
        summary.data,
        summary.category,
        summary.layout,
        colours(summary.channels)
    );
    for Size { height, width, images } in summary.sizes.iter().take(LISTED) {
        text += &format!("size         {height} x {width} pixels: {images} images\n");
    }
    if let Some(rest) = summary.sizes.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let ends = |of: fn(&Size) -> usize| {
            rest.iter().map(of).fold([usize::MAX, 0], |[low, high], side| [low.min(side), high.max(side)])
        };
        let ([low, high], [narrow, wide]) = (ends(|size| size.height), ends(|size| size.width));
        text += &format!(
            "             and {} more sizes, {low} to {high} x {narrow} to {wide} pixels\n",
            rest.len()
        );
    }
    let width = summary.groups.iter().map(|g| g.name.chars().count()).max().unwrap_or(0);
    text += &format!("\n{:<width$}  images  masks  brightness  contrast\n", "");
    for Group { name, images, masks, brightness, contrast } in &summary.groups {
        text += &format!("{name:<width$}  {images:>6}  {masks:>5}  {brightness:>10.3}  {contrast:>8.3}\n");
    }
    text += "\n";
    summary.profile.iter().for_each(|fact| text += &format!("{fact}\n"));
    if let Some(warning) = &summary.shortcut_audit.warning {
        text += &format!("Warning: {warning}\n");
    }
    for Problem { path, reason, .. } in &summary.problems {
        text += &format!("Problem: {}: {reason}\n", path.display());
    }
    text
}

//! What a data set holds, and what is wrong with it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use blemish::image::{Statistics, image_statistics};
use blemish::config::{Preset, RunConfig};
use blemish::dataset::{self, Label, LoadedImage, OnError, Problem, Sample, detect_channels, load, load_masks};
use blemish::image::DecodeOptions;
use blemish::evaluate::shortcut_audit;
use blemish::evaluation::ShortcutAudit;
use blemish::view::Profile;
use blemish_train::train::load_options;
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Output, colours};

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

/// Shows a data set: every image and every mask is read once.
pub fn run(path: &Path, category: Option<&str>, output: &Output) -> Result<()> {
    let set = data::open(path, category)?;
    let mut config = RunConfig::preset(Preset::Light);
    config.data.channels = Some(detect_channels(&set.train, config.data.max_pixels)?);
    let options = load_options(&config, OnError::Skip);
    let samples: Vec<Sample> = set.train.iter().chain(&set.test).cloned().collect();
    let loaded = load(&samples, &options)?;
    let (train, test): (Vec<&LoadedImage>, Vec<&LoadedImage>) =
        loaded.images.iter().partition(|image| set.train.contains(&image.sample));

    let mut problems = set.problems.clone();
    let (masks, bad_masks) = load_masks(&loaded.images, &options)?;
    problems.extend(loaded.problems.into_iter().chain(bad_masks));
    for (image, mask) in loaded.images.iter().zip(&masks) {
        if image.sample.label == Label::Defective && mask.as_ref().is_some_and(|mask| mask.count() == 0) {
            let path = image.sample.mask.clone().unwrap_or_default();
            problems
                .push(Problem { path, reason: "mask: empty, though the image is called defective".into() });
        }
    }
    let decoding = DecodeOptions { max_pixels: options.max_pixels, channels: Some(options.channels) };
    let summary = Summary {
        data: set.root.display().to_string(),
        category: set.category.clone(),
        layout: set.layout.name(),
        channels: options.channels,
        groups: groups(&train, "train").into_iter().chain(groups(&test, "test")).collect(),
        sizes: sizes(&loaded.images),
        profile: Profile::survey(&set.train, &decoding)?.describe(),
        shortcut_audit: shortcut_audit(&test),
        problems,
    };
    output.result(&summary, || text(&summary))
}

fn groups(images: &[&LoadedImage], part: &str) -> Vec<Group> {
    let mut kinds: BTreeMap<&str, Vec<&LoadedImage>> = BTreeMap::new();
    for image in images {
        kinds.entry(&image.sample.kind).or_default().push(image);
    }
    let group = |(kind, images): (&str, Vec<&LoadedImage>)| {
        let statistics: Vec<_> =
            images.iter().map(|l| image_statistics(&l.picture.image.to_image())).collect();
        let mean = |of: fn(&Statistics) -> f32| {
            statistics.iter().map(|s| f64::from(of(s))).sum::<f64>() / images.len() as f64
        };
        Group {
            name: format!("{part}/{kind}"),
            images: images.len(),
            masks: images.iter().filter(|l| l.sample.mask.is_some()).count(),
            brightness: mean(|s| s.mean),
            contrast: mean(|s| s.spread),
        }
    };
    kinds.into_iter().map(group).collect()
}

/// The sizes that occur, the most frequent first.
fn sizes(images: &[LoadedImage]) -> Vec<Size> {
    let mut counts: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for image in images {
        *counts.entry(image.picture.original_size).or_default() += 1;
    }
    let mut sizes: Vec<Size> =
        counts.into_iter().map(|([height, width], images)| Size { height, width, images }).collect();
    sizes.sort_by_key(|size| Reverse(size.images));
    sizes
}

fn text(summary: &Summary) -> String {
    let mut text = format!(
        "data         {}\nproduct      {}\nlayout       {}, {}\n",
        summary.data,
        summary.category,
        summary.layout,
        colours(summary.channels)
    );
    for Size { height, width, images } in &summary.sizes {
        text += &format!("size         {height} x {width} pixels: {images} images\n");
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
    for Problem { path, reason } in &summary.problems {
        text += &format!("Problem: {}: {reason}\n", path.display());
    }
    text
}

//! What a model file holds, and how fast it is here.

use std::fs;
use std::path::Path;
use std::time::Instant;

use blemish::calibrate::Threshold;
use blemish::config::Config;
use blemish::engine::Weights;
use blemish::image::Image;
use blemish::model_file::Provenance;
use blemish::report::significant;
use blemish::{Detector, Error};
use serde::Serialize;

use crate::failure::Result;
use crate::inspect_weights;
use crate::model::load_file;
use crate::output::{Output, colours, found, outliers, thousands};
use crate::progress::duration;

/// Images that are timed; the median counts.
const TIMED: usize = 10;

#[derive(Serialize)]
struct Summary<'a> {
    model: String,
    bytes: u64,
    input: [usize; 3],
    parts: Vec<Part>,
    milliseconds_per_image: Option<f64>,
    threshold_rule: &'static str,
    thresholds: Vec<Threshold>,
    #[serde(skip)]
    used: Option<Threshold>,
    /// Scores of good images, each by what others were fitted on.
    good_scores: &'a [f32],
    provenance: &'a Provenance,
    epochs: usize,
    config: &'a Config,
}

/// A part that contributes to the score.
#[derive(Serialize)]
struct Part {
    name: &'static str,
    /// Numbers that it holds.
    values: usize,
}

/// Shows a model file.
///
/// # Errors
/// A file that cannot be read, or is no model.
pub fn run(path: &Path, output: &Output) -> Result<()> {
    let detector = load_file(path)?;
    let config = detector.config();
    let [h, w] = config.view_size();
    let parts = detector.parts().iter().map(|part| {
        let mut tensors = Weights::new();
        part.save(&mut tensors);
        Part { name: part.kind.title, values: tensors.values().map(|array| array.values.len()).sum() }
    });
    let summary = Summary {
        model: path.display().to_string(),
        bytes: fs::metadata(path).map_err(|e| Error::io(path, e))?.len(),
        input: [h, w, detector.channels()],
        parts: parts.collect(),
        milliseconds_per_image: time(&detector)?,
        threshold_rule: config.score.threshold.name(),
        thresholds: detector.thresholds(),
        used: detector.threshold().ok(),
        good_scores: detector.good_scores(),
        provenance: detector.provenance(),
        epochs: detector.history().len(),
        config,
    };
    output.result(&summary, || text(&summary))
}

/// Milliseconds for one image, without reading it; `None` for a model without thresholds, which cannot predict.
fn time(detector: &Detector) -> Result<Option<f64>> {
    if detector.threshold().is_err() {
        return Ok(None);
    }
    let (view, channels) = (detector.config().view(), detector.channels());
    // Where images keep their scale, one of about the median size.
    let [height, width] = view.size.map(|side| (side as f64 / view.scale.unwrap_or(1.0)).round() as usize);
    let pixels = (0..height * width * channels).map(|i| (i * 97 % 251) as f32 / 255.0).collect();
    let image = detector.frame(&Image { height, width, channels, pixels })?;
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let start = Instant::now();
        detector.predict_framed(&image)?;
        times.push(1000.0 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(Some(times[TIMED / 2]))
}

fn text(summary: &Summary) -> String {
    let Summary { provenance, config, .. } = summary;
    let [h, w, channels] = summary.input;
    let input = match config.view().scale {
        Some(scale) => format!("images of any size, times {scale}"),
        None => format!("{h} x {w} pixels"),
    };
    let mut text = format!(
        "model        {}\nsize         {:.1} MB, preset {}\ninput        {input}, {}\n",
        summary.model,
        summary.bytes as f64 / 1e6,
        config.preset.name(),
        colours(channels)
    );
    for Part { name, values } in &summary.parts {
        text += &format!("part         {name}, {} values\n", thousands(*values));
    }
    if let Some(time) = summary.milliseconds_per_image {
        text += &format!("one image    {time:.1} ms here\n");
    }
    text += "\n";
    for threshold in &summary.thresholds {
        let used = if Some(threshold) == summary.used.as_ref() { " (used)" } else { "" };
        text += &format!(
            "threshold    {:<10} {:>9}  {}{used}\n",
            threshold.rule.name(),
            significant(Some(threshold.value)),
            threshold.how
        );
    }
    if summary.thresholds.is_empty() {
        text += "threshold    none: the model cannot give a verdict\n";
    }
    text += "\n";
    let facts = [
        ("fitted on", &provenance.data),
        ("product", &provenance.category),
        ("fitted", &provenance.fitted),
        ("by version", &provenance.version),
        ("split", &provenance.split),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name:<12} {value}\n");
    }
    if summary.epochs > 0 {
        text += &format!("network      {} epochs; all in {}\n", summary.epochs, duration(provenance.seconds));
    }
    if let Some(origin) = &provenance.pretrained {
        text += "\npre-trained weights, from generated images:\n";
        text += &inspect_weights::facts(origin);
        text += "\n";
    }
    if let Some(estimate) = &provenance.estimate {
        text += &found(estimate, "             ");
    }
    provenance.profile.iter().for_each(|fact| text += &format!("images       {fact}\n"));
    text + &outliers(&provenance.suspected_outliers, "             ")
}

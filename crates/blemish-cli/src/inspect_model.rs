//! What a model file holds, and how fast it is here.

use std::fs;
use std::path::Path;
use std::time::Instant;

use blemish::Error;
use blemish::config::{MapKind, RunConfig};
use blemish::image::ByteImage;
use blemish::view::{Picture, View};
use blemish::model_file::Provenance;
use blemish::report::significant;
use blemish::detector::Detector;
use blemish::calibrate::Threshold;
use blemish::parts::network::Tiles;
use serde::Serialize;

use crate::device::DeviceName;
use crate::failure::Result;
use crate::output::{Output, colours, strange};
use crate::progress::duration;

/// Images that are timed; the median counts.
const TIMED: usize = 10;

#[derive(Serialize)]
struct Summary<'a> {
    model: String,
    bytes: u64,
    parameters: usize,
    /// Floating-point operations of the network's passes, over all tiles; absent where the network is not looked at.
    flops: Option<u64>,
    input: [usize; 3],
    milliseconds_per_image: Option<f64>,
    threshold_rule: &'static str,
    thresholds: &'a [Threshold],
    #[serde(skip)]
    used: Option<&'a Threshold>,
    calibrated_by_position: bool,
    /// The parts that look at a picture.
    score_made_of: Option<String>,
    provenance: &'a Provenance,
    epochs: usize,
    config: &'a RunConfig,
}

/// Shows a model file.
pub fn run(path: &Path, output: &Output) -> Result<()> {
    let detector = Detector::load(path, &DeviceName::Cpu.open()?)?;
    let config = detector.config();
    let [h, w] = config.view_size();
    let [network, ..] = detector.normal().looked_at(&config.score);
    let tiles = Tiles::new([h, w], config.input_size()).corners().count();
    let summary = Summary {
        model: path.display().to_string(),
        bytes: fs::metadata(path).map_err(|e| Error::io(path, e))?.len(),
        parameters: detector.model().parameter_count(),
        flops: network.then(|| detector.model().flops() * tiles as u64),
        input: [h, w, detector.model().channels()],
        milliseconds_per_image: time(&detector)?,
        threshold_rule: config.score.threshold.name(),
        thresholds: detector.thresholds(),
        used: detector.threshold().ok(),
        calibrated_by_position: detector.is_position_calibrated(),
        score_made_of: (config.score.map == MapKind::Fused)
            .then(|| detector.normal().describe(&config.score)),
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
    let ([height, width], channels) = (detector.config().view_size(), detector.model().channels());
    let pixels = (0..height * width * channels).map(|i| (i * 97 % 251) as u8).collect();
    let image = ByteImage { height, width, channels, pixels };
    let original_size = [height, width];
    let picture = Picture { image: image.clone(), view: View::whole(image), original_size };
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let start = Instant::now();
        detector.predict(&picture)?;
        times.push(1000.0 * start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(Some(times[TIMED / 2]))
}

fn text(summary: &Summary) -> String {
    let Summary { provenance, config, .. } = summary;
    let [h, w, channels] = summary.input;
    let mut text = format!(
        "model        {}\nsize         {:.1} MB, {} parameters, preset {}\ninput        {h} x {w} pixels, {}\n",
        summary.model,
        summary.bytes as f64 / 1e6,
        summary.parameters,
        config.preset.name(),
        colours(channels)
    );
    let tiles = match config.input_size() {
        [height, width] if [height, width] != [h, w] => format!(", in tiles of {height} x {width}"),
        _ => String::new(),
    };
    let work = match summary.flops {
        Some(flops) => format!("{} GFLOP of the network{tiles}", significant(Some(flops as f64 / 1e9))),
        None => "no network".to_owned(),
    };
    let time = summary.milliseconds_per_image.map_or_else(String::new, |time| format!(", {time:.1} ms here"));
    text += &format!("one image    {work}{time}\n\n");
    for threshold in summary.thresholds {
        let used = if Some(threshold) == summary.used { " (used)" } else { "" };
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
    if let Some(parts) = &summary.score_made_of {
        text += &format!("score        {parts}\n");
    }
    if summary.calibrated_by_position {
        text += "calibrated   by position: the product always lies the same way\n";
    }
    text += "\n";
    let facts = [
        ("trained on", &provenance.data),
        ("product", &provenance.category),
        ("trained", &provenance.trained),
        ("by version", &provenance.version),
        ("split", &provenance.split),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name:<12} {value}\n");
    }
    if summary.epochs > 0 {
        text += &format!("training     {} epochs in {}\n", summary.epochs, duration(provenance.seconds));
    }
    provenance.profile.iter().for_each(|fact| text += &format!("images       {fact}\n"));
    for image in &provenance.strangest {
        text += &format!("strangest    {}\n", strange(image));
    }
    text
}

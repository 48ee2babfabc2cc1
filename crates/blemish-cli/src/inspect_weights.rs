//! What a file of pre-trained weights holds, and where it came from.

use std::path::Path;

use blemish::pretrained::{Pretrained, PretrainedOrigin};
use blemish::read_whole;
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Output, colours, thousands};

#[derive(Serialize)]
struct Summary {
    weights: String,
    bytes: usize,
    parameters: usize,
    image_size: [usize; 2],
    channels: usize,
    /// Shapes of what the memory of features brings the values of a place to fewer by; empty where principal components do.
    projections: Vec<Vec<usize>>,
    /// Whether they have the decoder that corrects distances to references.
    decoder: bool,
    origin: PretrainedOrigin,
}

/// Shows the file where it is one of pre-trained weights; else false.
///
/// # Errors
/// A file that cannot be read, or whose weights cannot be used.
pub fn run(path: &Path, output: &Output) -> Result<bool> {
    let bytes = read_whole(path)?;
    if !Pretrained::is_one(path, &bytes) {
        return Ok(false);
    }
    let Pretrained { image_size, channels, weights, projections, decoder, origin, .. } =
        Pretrained::from_bytes(path, &bytes)?;
    let summary = Summary {
        weights: path.display().to_string(),
        bytes: bytes.len(),
        parameters: weights
            .values()
            .chain(&projections)
            .chain(decoder.values())
            .map(|array| array.values.len())
            .sum(),
        image_size,
        channels,
        projections: projections.into_iter().map(|matrix| matrix.shape).collect(),
        decoder: !decoder.is_empty(),
        origin,
    };
    output.result(&summary, || text(&summary))?;
    Ok(true)
}

fn text(summary: &Summary) -> String {
    let Summary { weights, bytes, parameters, image_size: [height, width], channels, projections, .. } =
        summary;
    let mut text = format!(
        "weights      {weights}\nsize         {:.1} MB, {} parameters\ninput        {height} x {width} pixels in pre-training, {}\n",
        *bytes as f64 / 1e6,
        thousands(*parameters),
        colours(*channels),
    );
    if !projections.is_empty() {
        let each: Vec<String> =
            projections.iter().map(|shape| format!("{} to {}", shape[0], shape[1])).collect();
        text += &format!("projections  {} values\n", each.join(", "));
    }
    if summary.decoder {
        text += "decoder      corrects distances to references\n";
    }
    text + "\n" + &facts(&summary.origin)
}

/// Where pre-trained weights came from, a line each.
pub fn facts(origin: &PretrainedOrigin) -> String {
    origin.facts().iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

//! What a training will take, said before it starts.

use blemish::Device;
use blemish::config::{Keep, MapKind, RunConfig};
use blemish::train::batch::epoch_images;
use blemish::train::{Estimate, estimate, scale_to_budget};

use crate::progress::duration;

/// Measures the training's speed and says what it will take; with a budget of minutes, scales the epochs to it first.
pub fn announce(config: &mut RunConfig, images: usize, budget: Option<f64>, device: &Device) {
    if config.score.map == MapKind::Fused && config.score.network == Keep::Never {
        tracing::info!(
            "the network is trained but not heard, since memory or ridges look at the pictures: a small --budget gives the \
             same scores (--set score.network=always lets it vote)"
        );
    }
    let mut estimate = estimate(config, images, device);
    tracing::info!("{}", describe(config, &estimate, images));
    if let Some(minutes) = budget {
        let before = epochs(config);
        scale_to_budget(config, &estimate, minutes);
        estimate.minutes *= epochs(config) as f64 / before as f64;
        tracing::info!("with --budget {minutes}: {}", describe(config, &estimate, images));
    }
}

fn epochs(config: &RunConfig) -> usize {
    config.train.pretrain.epochs + config.train.finetune.epochs
}

fn describe(config: &RunConfig, estimate: &Estimate, images: usize) -> String {
    let (epochs, each) = (epochs(config), epoch_images(config, images));
    let steps = epochs * each.div_ceil(config.train.batch_size);
    let memory = estimate.memory_mib.map_or_else(String::new, |mib| format!(", {mib:.0} MiB of memory"));
    format!(
        "training will take about {}: {epochs} epochs of {each} images, {steps} steps, {:.1} images/s{memory}",
        duration(60.0 * estimate.minutes),
        estimate.images_per_second
    )
}

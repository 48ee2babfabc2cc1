//! What a training will take, said before it starts.

use blemish_train::Device;
use blemish::config::RunConfig;
use blemish_train::train::batch::epoch_images;
use blemish_train::train::{Estimate, TrainingData, estimate, estimate_remembering, scale_to_budget};

use crate::progress::duration;

/// Measures the training's speed and says what it will take; with a budget of minutes, scales the epochs to what memory, lines
/// and grain leave of it first. Where no network is trained there is nothing to scale.
pub fn announce(config: &mut RunConfig, data: &TrainingData, budget: Option<f64>, device: &Device) {
    let beside = config.score.learns_beside_network();
    let remembering = beside.then(|| estimate_remembering(config, data));
    let (seconds, mib) = remembering.unwrap_or_default();
    if config.train.epochs() == 0 {
        tracing::info!(
            "no network is trained, since memory, lines or grain look at the pictures (--set score.network=always trains one and \
             hears it too)"
        );
        // That some good images are outliers shows only when all have been judged.
        let again =
            if config.train.contamination > 0.0 { ", twice that where there are outliers" } else { "" };
        tracing::info!("training will take about {}{again}{}", duration(seconds), memory(mib));
        return;
    }
    let images = data.train.len();
    if !config.score.hears_network() {
        tracing::info!("the network is trained but not heard (--set score.network=always hears it too)");
    }
    let mut estimate = estimate(config, &data.train, device);
    let whole = |network: Estimate| Estimate {
        minutes: network.minutes + seconds / 60.0,
        memory_mib: network.memory_mib.map(|most| most.max(mib.unwrap_or(0.0))),
        ..network
    };
    tracing::info!("{}", describe(config, &whole(estimate), images));
    if let Some(minutes) = budget {
        let before = config.train.epochs();
        scale_to_budget(config, &estimate, (minutes - seconds / 60.0).max(0.0));
        estimate.minutes *= config.train.epochs() as f64 / before as f64;
        tracing::info!("with --budget {minutes}: {}", describe(config, &whole(estimate), images));
    }
}

fn describe(config: &RunConfig, estimate: &Estimate, images: usize) -> String {
    let (epochs, each) = (config.train.epochs(), epoch_images(config, images));
    let steps = epochs * each.div_ceil(config.train.batch_size);
    format!(
        "training will take about {}: {epochs} epochs of {each} images, {steps} steps, {:.1} images/s{}",
        duration(60.0 * estimate.minutes),
        estimate.images_per_second,
        memory(estimate.memory_mib)
    )
}

fn memory(mib: Option<f64>) -> String {
    mib.map_or_else(String::new, |mib| format!(", {mib:.0} MiB of memory"))
}

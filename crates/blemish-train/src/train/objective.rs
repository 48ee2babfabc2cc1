//! What a step minimises, by task.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::batch::Batch;
use crate::config::{RunConfig, Task};
use crate::loss;
use crate::masking::draw_mask;
use crate::model::Mae;

/// Focusing exponent of the defect logit's loss: 2 is the best of Lin et al. (2017, table 1b), whose foreground is about as
/// rare as defects are.
const FOCAL_GAMMA: f64 = 2.0;

/// The loss of one batch, `[1]`. `rng` draws the mask of the `masked` task.
pub fn loss(config: &RunConfig, task: Task, model: &Mae, batch: Batch, rng: &mut ChaCha8Rng) -> Tensor<1> {
    let [h, w] = model.image_size();
    let device = model.device();
    let size = batch.size;
    let precision = config.train.precision.unwrap_or_default();
    let images = |values, channels| tensor(values, [size, h, w, channels], &device);
    let input = images(batch.input, model.channels());
    let target = images(batch.target, model.channels());
    match task {
        Task::Masked => {
            let mask = draw_mask(&config.mask, config.detector.grid(), size, rng);
            let output = model.forward_in(precision, input, Some(&mask));
            let ssim_weight = config.train.ssim_weight;
            loss::reconstruction(output.image, target, &mask, config.detector.model.patch_size, ssim_weight)
        }
        Task::Reconstruct => loss::mse(model.forward_in(precision, input, None).image, target),
        Task::Repair => {
            let output = model.forward_in(precision, input, None);
            let repair = loss::mse(output.image, target);
            match output.logit {
                Some(logit) => {
                    // Repair and location count alike: both are means over pixels, of errors of about the same size.
                    repair + loss::focal_with_logits(logit, images(batch.defect, 1), FOCAL_GAMMA)
                }
                None => repair,
            }
        }
    }
}

fn tensor(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

//! Fitting a part on images in memory, for tests.

use std::sync::atomic::AtomicBool;

use crate::config::{Config, Normalize, ViewConfig};
use crate::good::{GoodImages, Progress, Views};
use crate::image::Image;
use crate::parts::{DetectorPart, FitInput};

/// The configuration of images of this size that are not normalised.
pub fn config_of(image: &Image) -> Config {
    let mut config = Config::default();
    config.data.image_size = [image.height, image.width];
    (config.data.channels, config.data.normalize) = (Some(image.channels), Normalize::None);
    config
}

/// The same for images of any size, which keep their scale.
pub fn config_of_any_size(image: &Image) -> Config {
    let mut config = config_of(image);
    config.data.view = Some(ViewConfig { scale: Some(1.0), ..ViewConfig::whole([64, 64]) });
    config
}

/// A part that was fitted on `images`, as they are.
pub fn fitted<P: DetectorPart>(images: &[Image]) -> P {
    fitted_as(images, &config_of(&images[0]))
}

/// As [`fitted`], with a configuration.
#[expect(clippy::expect_used, reason = "tests")]
pub fn fitted_as<P: DetectorPart>(images: &[Image], config: &Config) -> P {
    with_input(images, config, P::fit).expect("fits")
}

/// What `fit` makes of `images`, as they are.
#[expect(clippy::expect_used, reason = "tests")]
pub fn with_input<R>(images: &[Image], config: &Config, fit: impl Fn(&FitInput<'_>) -> R) -> R {
    let [height, width] = [images[0].height, images[0].width];
    let mut views =
        Views::new([height, width], images[0].channels, Normalize::None).expect("a temporary file");
    images.iter().for_each(|image| views.push(String::new(), image).expect("room on the disk"));
    let stop = AtomicBool::new(false);
    let progress = Progress::new(&|_| {}, &stop);
    let good = GoodImages::new(&views, (0..images.len()).collect());
    fit(&FitInput { images: &good, config, builtin: None, trained: None, progress: &progress })
}

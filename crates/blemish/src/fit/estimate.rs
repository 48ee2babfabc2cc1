//! What a detector will find: generated defects on good images, scored by parts that were not fitted on these.

use std::time::Instant;

use rayon::prelude::*;

use super::cross::{finite, folds};
use super::{FitOptions, Prepared};
use crate::detector::Detector;
use crate::error::Result;
use crate::found::{DetectionEstimate, FoundRow};
use crate::good::{GoodImages, Progress};
use crate::image::Image;
use crate::parts::{FitInput, FittedPart};
use crate::scoring::see;
use crate::view::foreground;

/// Sizes that are tried, pixels of the view, up to [`LARGEST`].
const SIZES: [f32; 9] = [3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0];
/// Largest size, as a share of the view's shorter side.
const LARGEST: f32 = 0.25;
/// Good images that defects are put on, at most.
const IMAGES: usize = 40;
/// Defects of each kind and size: at most, and fewer than these say nothing.
const ROUNDS: [usize; 2] = [20, 5];
/// Share of the fit's time that the estimate may take.
const SHARE: f64 = 0.25;
/// Seconds that it may take at most, however long the fit took; so long it goes on until it says something.
const SECONDS: f64 = 20.0;

/// Draws defects on photos of good products.
pub trait DefectSource: Sync {
    /// What there is, in the plural, such as "scratches".
    fn kinds(&self) -> Vec<String>;

    /// `image` with a defect of kind number `kind`, about `size` pixels long, whose centre lies where `allowed` (`[H, W]`) is above
    /// 0. The same `seed` gives the same defect. `None` where it does not fit.
    fn draw(&self, image: &Image, allowed: &[f32], kind: usize, size: f32, seed: u64) -> Option<Image>;
}

impl Prepared {
    /// Estimates what `detector`, which was fitted on these images, will find: parts are fitted once more on four fifths of them, and
    /// score the others with defects of `source`. It takes about a quarter of the fit's time, as long as it needs to say something, at most 20 s.
    /// `None` where there are too few images, or too little time.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted), and those of the parts.
    pub fn estimate_detection(
        &self,
        detector: &Detector,
        source: &dyn DefectSource,
        mm_per_pixel: Option<f64>,
        options: &FitOptions<'_>,
    ) -> Result<Option<DetectionEstimate>> {
        let started = Instant::now();
        let progress = Progress::new(options.listener, options.stop);
        let allowed = (SHARE * detector.provenance().seconds).min(SECONDS);
        let Some((parts, held)) = self.unseen(detector, &progress)? else { return Ok(None) };
        let threshold = detector.threshold()?.value;
        let score = |view: &Image, i: usize| -> Result<f64> {
            let image = self.views.normaliser().apply(view);
            let seen = see(&parts, &image, &self.config, self.sizes[i], self.ignored());
            Ok(f64::from(finite(seen.score)?))
        };
        let ready = |&i: &usize| -> Result<Option<(usize, Image, Vec<f32>)>> {
            let view = self.views.get(i)?;
            // What is a false alarm anyway shows nothing.
            if score(&view, i)? >= threshold {
                return Ok(None);
            }
            let mut places = foreground(&view);
            for (place, ignored) in places.iter_mut().zip(self.ignored().unwrap_or_default()) {
                *place *= f32::from(u8::from(*ignored == 0.0));
            }
            Ok(Some((i, view, places)))
        };
        let ready: Vec<Result<Option<_>>> = held.par_iter().map(ready).collect();
        let good: Vec<(usize, Image, Vec<f32>)> =
            ready.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        if good.is_empty() {
            return Ok(None);
        }
        let [height, width] = self.config.view_size();
        let largest = LARGEST * height.min(width) as f32;
        let (kinds, scale) = (source.kinds(), self.config.view().usual_pixels_of_image(&self.sizes));
        let cells: Vec<(usize, f32)> = (0..kinds.len())
            .flat_map(|kind| SIZES.iter().filter(|size| **size <= largest).map(move |&size| (kind, size)))
            .collect();
        let mut counts = vec![[0usize; 2]; cells.len()];
        let mut rounds = 0;
        while rounds < ROUNDS[0] {
            let allowed = if rounds < ROUNDS[1] { SECONDS } else { allowed };
            if started.elapsed().as_secs_f64() >= allowed {
                break;
            }
            progress.step("estimating what will be found", rounds, ROUNDS[0])?;
            let try_one = |(at, &(kind, size)): (usize, &(usize, f32))| -> Result<Option<bool>> {
                let draw = rounds * cells.len() + at;
                let (i, view, places) = &good[(draw * 7 + rounds) % good.len()];
                match source.draw(view, places, kind, size, self.config.seed ^ draw as u64) {
                    Some(defective) => Ok(Some(score(&defective, *i)? >= threshold)),
                    None => Ok(None),
                }
            };
            let found: Vec<Result<Option<bool>>> = cells.par_iter().enumerate().map(try_one).collect();
            for (count, found) in counts.iter_mut().zip(found) {
                if let Some(found) = found? {
                    *count = [count[0] + usize::from(found), count[1] + 1];
                }
            }
            rounds += 1;
        }
        progress.step("estimating what will be found", ROUNDS[0], ROUNDS[0])?;
        if rounds < ROUNDS[1] {
            return Ok(None);
        }
        let row = |(&(kind, size), [found, drawn]): (&(usize, f32), [usize; 2])| FoundRow {
            kind: kinds[kind].clone(),
            size: f64::from(size) * scale,
            found,
            drawn,
        };
        let rows = cells.iter().zip(counts).map(row).collect();
        let seconds = started.elapsed().as_secs_f64();
        Ok(Some(DetectionEstimate { images: good.len(), mm_per_pixel, threshold, rows, seconds }))
    }

    /// Parts, calibrated as the detector's, and good images that they were not fitted on; `None` where there are too few.
    fn unseen(
        &self,
        detector: &Detector,
        progress: &Progress<'_>,
    ) -> Result<Option<(Vec<FittedPart>, Vec<usize>)>> {
        let outliers = &detector.provenance().suspected_outliers;
        let is_left_out = |i: &usize| outliers.iter().any(|o| o.left_out && o.path == self.views.names()[*i]);
        let trusted: Vec<usize> = (0..self.views.len()).filter(|i| !is_left_out(i)).collect();
        let mut held: Vec<usize> = Vec::new();
        if detector.parts().iter().any(|part| part.part.has_seen_all()) {
            held = self.held_out().into_iter().filter(|i| trusted.contains(i)).collect();
        } else {
            let folds = folds(&trusted, &self.groups.of);
            for fold in folds.iter().take(folds.len().saturating_sub(1)) {
                if 5 * held.len() < trusted.len() {
                    held.extend(fold);
                }
            }
        }
        let rest: Vec<usize> = trusted.into_iter().filter(|i| !held.contains(i)).collect();
        if held.is_empty() || rest.len() < 2 {
            return Ok(None);
        }
        let images = GoodImages::new(&self.views, rest);
        let input = FitInput {
            images: &images,
            config: &self.config,
            builtin: Some(super::LIGHT),
            trained: None,
            progress,
        };
        let fit = |own: &FittedPart| -> Result<FittedPart> {
            let part = own.refit(&input)?;
            let (calibration, places) = (own.calibration.clone(), own.places.clone());
            Ok(FittedPart { calibration, places, common_scale: own.common_scale, ..part })
        };
        let parts = detector.parts().iter().map(fit).collect::<Result<Vec<_>>>()?;
        let step = held.len().div_ceil(IMAGES).max(1);
        Ok(Some((parts, held.into_iter().step_by(step).collect())))
    }
}

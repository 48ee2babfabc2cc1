//! Views as parts map them: without the brightness and contrast of the whole, and without what is ignored.

use std::sync::Arc;

use super::Template;
use super::ignored::Ignored;
use crate::image::{Affine, Image, Normalize};

/// Takes global brightness and contrast out of views, and what is ignored.
#[derive(Clone, Debug)]
pub struct Normaliser {
    rule: Normalize,
    least_spread: f32,
    /// Where views are registered: to what, and what the rule does to that as a whole.
    template: Option<(Arc<Template>, Affine)>,
    ignored: Option<Arc<Ignored>>,
}

impl From<Normalize> for Normaliser {
    /// For images of 8 bits.
    fn from(rule: Normalize) -> Self {
        Self::new(rule, Normalize::FLOOR)
    }
}

impl Normaliser {
    /// By `rule`, which stretches no spread below `least_spread`.
    pub(crate) fn new(rule: Normalize, least_spread: f32) -> Self {
        Self { rule, least_spread, template: None, ignored: None }
    }

    /// The same, for views that are registered to `template`: what does not follow it, such as a large defect, does not count.
    #[must_use]
    pub fn registered(self, template: Arc<Template>) -> Self {
        let whole = self.rule.affine_of(template.pixels().to_vec(), self.least_spread);
        Self { template: Some((template, whole)), ..self }
    }

    /// The same, which ignores what is not 0 in `mask`, rows of `width`.
    #[must_use]
    pub(crate) fn ignoring(self, mask: Vec<f32>, width: usize) -> Self {
        Self { ignored: Some(Arc::new(Ignored::new(mask, width))), ..self }
    }

    /// 1 where nothing is to be found, `[H, W]` of the view.
    pub fn ignored(&self) -> Option<&[f32]> {
        self.ignored.as_deref().map(Ignored::mask)
    }

    /// What views are registered to.
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref().map(|(template, _)| &**template)
    }

    /// The normalised view; values may leave [0, 1].
    pub fn apply(&self, view: &Image) -> Image {
        self.apply_as(self.affine(view), view.clone())
    }

    /// The same, where what it [does](Self::affine) to the view is known.
    pub(crate) fn apply_as(&self, affine: Affine, mut view: Image) -> Image {
        let follows = self.template.as_ref().filter(|_| self.ignored.is_some()).map(|(template, whole)| {
            let mean: Vec<f32> = template.pixels().iter().map(|v| v * whole.gain + whole.offset).collect();
            let follows = template.follows(&view).unwrap_or_else(|| vec![false; mean.len()]);
            (mean, follows)
        });
        affine.apply(&mut view);
        match (&self.ignored, follows) {
            (Some(ignored), Some((mean, follows))) => ignored.follow(&mut view, &mean, &follows),
            (Some(ignored), None) => ignored.mirror(&mut view),
            (None, _) => {}
        }
        view
    }

    /// What it does to a view.
    ///
    /// Of a registered view only the pixels that follow the template, and are not ignored, count: they get the median and the spread that the same
    /// pixels of the template have when it is normalised as a whole. Where all do, that is the rule as for any image.
    pub fn affine(&self, view: &Image) -> Affine {
        let of = |grey: Vec<f32>| self.rule.affine_of(grey, self.least_spread);
        let registered = self.template.as_ref();
        let Some((template, whole, counted)) =
            registered.and_then(|(t, whole)| Some((t, *whole, self.counted(t.follows(view)?)?)))
        else {
            return of(view.grey());
        };
        let kept = |grey: &[f32]| {
            grey.iter().zip(&counted).filter(|(_, counted)| **counted).map(|(v, _)| *v).collect()
        };
        let [own, same] = [&view.grey(), template.pixels()].map(|grey| of(kept(grey)));
        own.then(same.inverse()).then(whole)
    }

    /// Of the pixels that follow the template those that are inspected; `None` without any.
    fn counted(&self, mut follows: Vec<bool>) -> Option<Vec<bool>> {
        for (follows, ignored) in follows.iter_mut().zip(self.ignored().unwrap_or_default()) {
            *follows &= *ignored == 0.0;
        }
        follows.contains(&true).then_some(follows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves in this light.
    fn waves(gain: f32, offset: f32) -> Image {
        let value =
            |i: usize| gain * (((i / 64) as f32 * 0.21).sin() + ((i % 64) as f32 * 0.13).cos()) + offset;
        Image { height: 64, width: 64, channels: 1, pixels: (0..64 * 64).map(value).collect() }
    }

    #[test]
    fn what_covers_a_third_of_a_registered_view_does_not_count() {
        let good = waves(0.1, 0.4);
        let template = Arc::new(Template::new(64, 64, good.pixels.clone()));
        let [alone, registered] =
            [Normaliser::from(Normalize::Robust), Normaliser::from(Normalize::Robust).registered(template)];
        let expected = alone.apply(&good);
        // The same in any light, as without a template.
        for (gain, offset) in [(0.1, 0.4), (0.05, 0.7), (0.2, 0.3)] {
            let image = waves(gain, offset);
            let apart = |normaliser: &Normaliser| {
                let pixels = normaliser.apply(&image).pixels;
                pixels.iter().zip(&expected.pixels).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            assert!(apart(&registered) < 1e-3 && apart(&alone) < 1e-3, "{gain} {offset}");
            // A bright square over 30 % of the image.
            let mut defective = image.clone();
            (0..35 * 35).for_each(|i| defective.pixels[(i / 35 + 20) * 64 + i % 35 + 9] = 3.0);
            let error = |normaliser: &Normaliser| {
                let Affine { gain: got, offset: at } = normaliser.affine(&defective);
                let Affine { gain, offset } = alone.affine(&image);
                (got / gain - 1.0).abs().max((at - offset).abs() / gain)
            };
            assert!(error(&registered) < 0.02, "{}", error(&registered));
            assert!(error(&alone) > 0.3, "{}", error(&alone));
        }
    }

    #[test]
    fn an_image_that_does_not_follow_is_normalised_by_itself() {
        let template = Arc::new(Template::new(64, 64, waves(0.1, 0.4).pixels));
        let alone = Normaliser::from(Normalize::Robust);
        let registered = alone.clone().registered(template);
        for image in [waves(-0.1, 0.5), Image::filled(64, 64, 1, 0.3)] {
            assert_eq!(registered.affine(&image), alone.affine(&image));
        }
    }
}

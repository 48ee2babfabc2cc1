//! Views as parts map them: without the brightness and contrast of the whole.

use std::sync::Arc;

use super::Template;
use crate::image::{Affine, Image, Normalize};

/// Takes global brightness and contrast out of views.
#[derive(Clone, Debug)]
pub struct Normaliser {
    rule: Normalize,
    least_spread: f32,
    /// Where views are registered.
    template: Option<Arc<Template>>,
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
        Self { rule, least_spread, template: None }
    }

    /// The same, for views that are registered to `template`: what does not follow it, such as a large defect, does not count.
    #[must_use]
    pub fn registered(self, template: Arc<Template>) -> Self {
        Self { template: Some(template), ..self }
    }

    /// The normalised view; values may leave [0, 1].
    pub fn apply(&self, view: &Image) -> Image {
        let mut out = view.clone();
        self.affine(view).apply(&mut out);
        out
    }

    /// What it does to a view.
    ///
    /// Of a registered view only the pixels that follow the template count: they get the median and the spread that the same
    /// pixels of the template have when it is normalised as a whole. Where all do, that is the rule as for any image.
    pub fn affine(&self, view: &Image) -> Affine {
        let of = |grey: Vec<f32>| self.rule.affine_of(grey, self.least_spread);
        let Some((template, follows)) = self.template.as_ref().and_then(|t| Some((t, t.follows(view)?)))
        else {
            return of(view.grey());
        };
        let kept = |grey: &[f32]| {
            grey.iter().zip(&follows).filter(|(_, follows)| **follows).map(|(v, _)| *v).collect()
        };
        let [own, same] = [&view.grey(), template.pixels()].map(|grey| of(kept(grey)));
        own.then(same.inverse()).then(of(template.pixels().to_vec()))
    }
}

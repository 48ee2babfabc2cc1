//! What the scorer knows of good images beside the network, and how it is kept among a model file's tensors.

use super::calibrate::PositionMap;
use crate::config::{MapKind, RunConfig, ScoreConfig};
use crate::data::Template;
use crate::grain::{self, Grain};
use crate::memory::{Components, Grid, Memory, Scale};
use crate::model::{Array, Weights};
use crate::rarity::Rarity;
use crate::ridges::Ridges;

/// Name of the position map among the tensors.
const POSITION: &str = "calibration.position";
/// Name of the mean picture among the tensors.
const TEMPLATE: &str = "view.template";
/// Name of the network's unit among the tensors.
const UNIT: &str = "calibration.unit";

/// What can look at a picture, in the order of [`Normal::looked_at`].
pub const PARTS: [&str; 4] =
    ["network", "memory of good patches", "lines beside the grain", "the grain itself"];

/// What is normal. Its default is nothing beside the network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normal {
    /// The network's mean map of good images, where maps are calibrated by position.
    pub position: Option<PositionMap>,
    /// The largest value that the network's map has on a good image, on average: maps are joined in units of it.
    pub unit: Option<f32>,
    /// The mean picture that every view is laid upon, where views are aligned.
    pub template: Option<Template>,
    /// Patches of good images, where they are remembered.
    pub memory: Option<Memory>,
    /// What lines good surfaces show, where they are looked for.
    pub ridges: Option<Ridges>,
    /// What the grain of good surfaces is like, where it is looked at.
    pub grain: Option<Grain>,
}

impl Normal {
    /// Which of [`PARTS`] are looked at where pictures are scored so: a pixel is as bad as the worst of them says.
    pub fn looked_at(&self, score: &ScoreConfig) -> [bool; 4] {
        let [memory, ridges, grain] = [self.memory.is_some(), self.ridges.is_some(), self.grain.is_some()];
        match score.map {
            MapKind::Memory if memory => [false, true, false, false],
            MapKind::Fused if memory || ridges || grain => [score.hears_network(), memory, ridges, grain],
            _ => [true, false, false, false],
        }
    }

    /// The same on the scales of `other`, which has the same parts.
    #[must_use]
    pub fn measured_as(mut self, other: &Self) -> Self {
        self.unit = other.unit;
        self.memory =
            self.memory.zip(other.memory.as_ref()).map(|(memory, other)| memory.in_units_like(other));
        if let (Some(ridges), Some(other)) = (&mut self.ridges, &other.ridges) {
            ridges.rarity.clone_from(&other.rarity);
        }
        if let (Some(grain), Some(other)) = (&mut self.grain, &other.grain) {
            grain.rarity.clone_from(&other.rarity);
        }
        self
    }

    /// What a score is made of, in words.
    pub fn describe(&self, score: &ScoreConfig) -> String {
        let parts = PARTS.into_iter().zip(self.looked_at(score));
        parts.filter_map(|(part, looked)| looked.then_some(part)).collect::<Vec<_>>().join(", ")
    }

    /// As named tensors. `size` is the view's.
    pub fn to_tensors(&self, size: [usize; 2]) -> Weights {
        let mut tensors = Weights::new();
        let mut put = |name: String, shape: &[usize], values: &[f32]| {
            tensors.insert(name, Array { shape: shape.to_vec(), values: values.to_vec() });
        };
        if let Some(position) = &self.position {
            put(POSITION.to_owned(), &size, &position.mean);
        }
        if let Some(unit) = self.unit {
            put(UNIT.to_owned(), &[1], &[unit]);
        }
        if let Some(template) = &self.template {
            put(TEMPLATE.to_owned(), &size, template.pixels());
        }
        if let Some(ridges) = &self.ridges {
            put("ridges.mean".to_owned(), &size, &ridges.mean);
            put("ridges.spread".to_owned(), &size, &ridges.spread);
            if let Some(rarity) = &ridges.rarity {
                put("ridges.rarity".to_owned(), &[Rarity::KNOTS], rarity.knots());
            }
        }
        if let Some(grain) = &self.grain {
            let count = grain.mean.len() / (size[0] * size[1]);
            put("grain.mean".to_owned(), &[count, size[0], size[1]], &grain.mean);
            put("grain.usual".to_owned(), &size, &grain.usual);
            put("grain.whitening".to_owned(), &[count, count], &grain.whitening);
            put("grain.medians".to_owned(), &[2], &grain.medians);
            if let Some(rarity) = &grain.rarity {
                put("grain.rarity".to_owned(), &[Rarity::KNOTS], rarity.knots());
            }
        }
        for scale in self.memory.iter().flat_map(Memory::scales) {
            let (grid, components) = (scale.grid, &scale.components);
            let each = scale.prototypes.len() / (grid.places() * components.count());
            put(name(grid.scale, "unit"), &[1], &[scale.unit]);
            put(name(grid.scale, "mean"), &[grid.values()], &components.mean);
            put(name(grid.scale, "basis"), &[grid.values(), components.count()], &components.basis);
            let shape = [grid.places(), each, components.count()];
            put(name(grid.scale, "prototypes"), &shape, &scale.prototypes);
        }
        tensors
    }

    /// Takes its tensors out of `tensors`; `config` is valid and names the channels.
    ///
    /// # Errors
    /// A sentence on what does not fit.
    pub fn take_from(tensors: &mut Weights, config: &RunConfig) -> Result<Self, String> {
        let size = config.view_size();
        let position = tensors.remove(POSITION);
        if position.as_ref().is_some_and(|p| p.shape != size || p.values.iter().any(|&v| v <= 0.0)) {
            return Err("its position map has the wrong shape, or values that are not positive".to_owned());
        }
        let unit = tensors.remove(UNIT).map(|unit| unit.values.first().copied().unwrap_or_default());
        if unit.is_some_and(|unit| unit <= 0.0) {
            return Err("its unit is not positive".to_owned());
        }
        let template = tensors.remove(TEMPLATE);
        if template
            .as_ref()
            .is_some_and(|t| t.shape != size || t.values.iter().any(|v| !(0.0..=1.0).contains(v)))
        {
            return Err("its mean picture has the wrong shape, or is no picture".to_owned());
        }
        let template = template.map(|t| Template::new(size[0], size[1], t.values));
        let pixels = size[0] * size[1];
        let mut take = |part: &str| tensors.remove(part).map(|array| array.values);
        let rarity = |values: Option<Vec<f32>>| -> Result<_, String> {
            let refuse = || "how rare its values are on good surfaces is no growing scale".to_owned();
            values.map(|knots| Rarity::from_knots(knots).ok_or_else(refuse)).transpose()
        };
        let ridges = match (take("ridges.mean"), take("ridges.spread")) {
            (None, None) => None,
            (Some(mean), Some(spread))
                if [mean.len(), spread.len()] == [pixels; 2] && spread.iter().all(|&v| v > 0.0) =>
            {
                Some(Ridges { mean, spread, rarity: rarity(take("ridges.rarity"))? })
            }
            _ => return Err("what it knows of lines on good surfaces does not fit".to_owned()),
        };
        let parts = ["mean", "usual", "whitening", "medians"].map(|part| take(&format!("grain.{part}")));
        let grain = if parts.iter().all(Option::is_none) {
            None
        } else {
            let count = grain::features(config.data.channels.unwrap_or(3));
            let fits = |[mean, usual, whitening, medians]: [Vec<f32>; 4]| {
                let lengths = [mean.len(), usual.len(), whitening.len()];
                let medians = <[f32; 2]>::try_from(medians).ok()?;
                let ordered = 0.0 < medians[0] && medians[0] <= medians[1] && usual.iter().all(|&v| v > 0.0);
                (ordered && lengths == [count * pixels, pixels, count * count]).then_some(Grain {
                    mean,
                    usual,
                    whitening,
                    medians,
                    rarity: None,
                })
            };
            let grain = fits(parts.map(Option::unwrap_or_default))
                .ok_or("what it knows of the grain of good surfaces does not fit")?;
            Some(Grain { rarity: rarity(take("grain.rarity"))?, ..grain })
        };
        let mut scales = Vec::new();
        for &scale in &config.score.memory.scales {
            let mut take = |part: &str| tensors.remove(&name(scale, part)).map(|array| array.values);
            let (Some(unit), Some(mean), Some(basis), Some(prototypes)) =
                (take("unit"), take("mean"), take("basis"), take("prototypes"))
            else {
                continue;
            };
            let grid = Grid::new(scale, size, config.data.channels.unwrap_or(3));
            let scale = Components::from_parts(mean, basis)
                .and_then(|components| Scale::new(grid, components, prototypes, *unit.first()?));
            scales.push(scale.ok_or("its memory of good patches does not fit its configuration")?);
        }
        let memory = (!scales.is_empty()).then(|| Memory::new(size, config.score.memory.reach, scales));
        Ok(Self {
            position: position.map(|p| PositionMap { mean: p.values }),
            unit,
            template,
            memory,
            ridges,
            grain,
        })
    }
}

fn name(scale: usize, part: &str) -> String {
    format!("memory.{scale}.{part}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::{Keep, Preset};

    #[test]
    fn tensors_give_it_back() {
        let mut config = RunConfig::preset(Preset::Light);
        config.data.channels = Some(3);
        let [height, width] = config.view_size();
        let count = grain::features(3);
        let normal = Normal {
            unit: Some(0.5),
            ridges: Some(Ridges {
                mean: vec![0.25; height * width],
                spread: vec![2.0; height * width],
                rarity: Some(Rarity::new(vec![1.0, 2.0], vec![3.0])),
            }),
            grain: Some(Grain {
                mean: vec![1.0; count * height * width],
                whitening: vec![0.5; count * count],
                usual: vec![1.0; height * width],
                medians: [0.5, 0.75],
                rarity: None,
            }),
            ..Normal::default()
        };
        let mut tensors = normal.to_tensors([height, width]);
        assert_eq!(Normal::take_from(&mut tensors, &config).unwrap(), normal);
        assert!(tensors.is_empty());
        for medians in [vec![0.75, 0.5], vec![0.0, 1.0], vec![f32::NAN, 1.0], vec![1.0]] {
            let mut tensors = normal.to_tensors([height, width]);
            tensors.get_mut("grain.medians").unwrap().values = medians;
            assert!(Normal::take_from(&mut tensors, &config).unwrap_err().contains("grain"));
        }
        for (missing, what) in [("grain.usual", "grain"), ("ridges.mean", "lines")] {
            let mut tensors = normal.to_tensors([height, width]);
            tensors.remove(missing);
            assert!(Normal::take_from(&mut tensors, &config).unwrap_err().contains(what));
        }
        // Made for pictures of another number of channels.
        config.data.channels = Some(1);
        let refused = Normal::take_from(&mut normal.to_tensors([height, width]), &config);
        assert!(refused.unwrap_err().contains("grain"));
    }

    #[test]
    fn all_that_there_is_is_looked_at() {
        let mut score = RunConfig::preset(Preset::Light).score;
        assert_eq!(Normal::default().describe(&score), "network");
        let lines = Ridges { mean: vec![], spread: vec![], rarity: None };
        let normal = Normal { ridges: Some(lines), ..Normal::default() };
        (score.map, score.network) = (MapKind::Fused, Keep::Never);
        assert_eq!(normal.describe(&score), "lines beside the grain");
        score.network = Keep::Always;
        assert_eq!(normal.describe(&score), "network, lines beside the grain");
        score.map = MapKind::Memory;
        assert_eq!(normal.describe(&score), "network");
    }
}

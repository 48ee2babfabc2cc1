//! What the scorer knows of good images beside the network, and how it is kept among a model file's tensors.

use super::calibrate::PositionMap;
use crate::config::{MapKind, RunConfig};
use crate::data::Template;
use crate::grain::{self, Grain};
use crate::memory::{Components, Grid, Memory, Scale};
use crate::model::{Array, Weights};
use crate::ridges::Ridges;

/// Name of the position map among the tensors.
const POSITION: &str = "calibration.position";
/// Name of what is heard among the tensors.
const HEARD: &str = "calibration.weights";
/// Name of the mean picture among the tensors.
const TEMPLATE: &str = "view.template";
/// Name of the network's unit among the tensors.
const UNIT: &str = "calibration.unit";

/// What can look at a picture, in the order of [`Normal::heard`].
pub const PARTS: [&str; 4] =
    ["network", "memory of good patches", "lines beside the grain", "the grain itself"];

/// What is normal. Its default is nothing beside the network.
#[derive(Clone, Debug, PartialEq)]
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
    /// Which of [`PARTS`] have a say in a fused map.
    pub heard: [bool; 4],
}

impl Default for Normal {
    fn default() -> Self {
        Self {
            position: None,
            unit: None,
            template: None,
            memory: None,
            ridges: None,
            grain: None,
            heard: [true, false, false, false],
        }
    }
}

impl Normal {
    /// Which of [`PARTS`] are looked at for a map of this kind: a pixel is as bad as the worst of them says.
    pub fn looked_at(&self, map: MapKind) -> [bool; 4] {
        match (map, &self.memory, self.unit) {
            (MapKind::Memory, Some(_), _) => [false, true, false, false],
            (MapKind::Fused, _, Some(_)) => self.heard,
            _ => Self::default().heard,
        }
    }

    /// What a fused score is made of, in words: the parts that are heard.
    pub fn describe(&self) -> String {
        let heard = PARTS.into_iter().zip(self.heard).filter_map(|(part, heard)| heard.then_some(part));
        heard.collect::<Vec<_>>().join(", ")
    }

    /// As named tensors. `input_size` is the model's.
    pub fn to_tensors(&self, input_size: [usize; 2]) -> Weights {
        let mut tensors = Weights::new();
        let mut put = |name: String, shape: &[usize], values: &[f32]| {
            tensors.insert(name, Array { shape: shape.to_vec(), values: values.to_vec() });
        };
        if let Some(position) = &self.position {
            put(POSITION.to_owned(), &input_size, &position.mean);
        }
        if let Some(unit) = self.unit {
            put(UNIT.to_owned(), &[1], &[unit]);
        }
        if let Some(template) = &self.template {
            put(TEMPLATE.to_owned(), &input_size, template.pixels());
        }
        if let Some(ridges) = &self.ridges {
            put("ridges.mean".to_owned(), &input_size, &ridges.mean);
            put("ridges.spread".to_owned(), &input_size, &ridges.spread);
            put("ridges.unit".to_owned(), &[1], &[ridges.unit]);
        }
        if let Some(grain) = &self.grain {
            let count = grain.mean.len();
            put("grain.mean".to_owned(), &[count], &grain.mean);
            put("grain.whitening".to_owned(), &[count, count], &grain.whitening);
            put("grain.unit".to_owned(), &[1], &[grain.unit]);
        }
        let heard = self.heard.map(|heard| f32::from(u8::from(heard)));
        put(HEARD.to_owned(), &[heard.len()], &heard);
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
        let size = config.input_size();
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
        let heard = match tensors.remove(HEARD) {
            None => Self::default().heard,
            Some(mut heard) => {
                // Models of before there was a grain have three.
                if heard.values.len() == 3 {
                    heard.values.push(0.0);
                }
                <[f32; 4]>::try_from(heard.values)
                    .ok()
                    .filter(|heard| heard.iter().all(|h| (0.0..=1.0).contains(h)) && heard.iter().any(|h| *h > 0.0))
                    .ok_or("which of network, memory, ridges and grain are heard is not four numbers from 0 to 1")?
                    .map(|heard| heard > 0.0)
            }
        };
        let mut take = |part: &str| tensors.remove(&format!("ridges.{part}")).map(|array| array.values);
        let ridges = match (take("mean"), take("spread"), take("unit")) {
            (Some(mean), Some(spread), Some(unit)) => {
                let ridges = Ridges { mean, spread, unit: unit.first().copied().unwrap_or_default() };
                let fits = ridges.mean.len() == size[0] * size[1] && ridges.spread.len() == ridges.mean.len();
                if !fits || ridges.unit <= 0.0 || ridges.spread.iter().any(|&spread| spread <= 0.0) {
                    return Err("what it knows of lines on good surfaces does not fit".to_owned());
                }
                Some(ridges)
            }
            _ => None,
        };
        let mut take = |part: &str| tensors.remove(&format!("grain.{part}")).map(|array| array.values);
        let grain = match (take("mean"), take("whitening"), take("unit")) {
            (Some(mean), Some(whitening), Some(unit)) => {
                let grain = Grain { mean, whitening, unit: unit.first().copied().unwrap_or_default() };
                let count = grain::features(config.data.channels.unwrap_or(3));
                if grain.mean.len() != count || grain.whitening.len() != count * count || grain.unit <= 0.0 {
                    return Err("what it knows of the grain of good surfaces does not fit".to_owned());
                }
                Some(grain)
            }
            _ => None,
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
            heard,
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
    use crate::config::Preset;

    #[test]
    fn tensors_give_it_back() {
        let mut config = RunConfig::preset(Preset::Light);
        config.data.channels = Some(3);
        let [height, width] = config.input_size();
        let count = grain::features(3);
        let normal = Normal {
            unit: Some(0.5),
            ridges: Some(Ridges {
                mean: vec![0.25; height * width],
                spread: vec![2.0; height * width],
                unit: 3.0,
            }),
            grain: Some(Grain { mean: vec![1.0; count], whitening: vec![0.5; count * count], unit: 7.0 }),
            heard: [false, false, true, true],
            ..Normal::default()
        };
        let mut tensors = normal.to_tensors([height, width]);
        assert_eq!(Normal::take_from(&mut tensors, &config).unwrap(), normal);
        assert!(tensors.is_empty());
        // Made for pictures of another number of channels.
        config.data.channels = Some(1);
        let refused = Normal::take_from(&mut normal.to_tensors([height, width]), &config);
        assert!(refused.unwrap_err().contains("grain"));
        // A model of before there was a grain.
        let mut tensors = normal.to_tensors([height, width]);
        tensors.retain(|name, _| !name.starts_with("grain"));
        if let Some(heard) = tensors.get_mut(HEARD) {
            heard.values = vec![0.0, 0.0, 1.0];
        }
        let older = Normal::take_from(&mut tensors, &config).unwrap();
        assert_eq!((older.grain, older.heard), (None, [false, false, true, false]));
    }

    #[test]
    fn only_what_is_heard_is_named() {
        assert_eq!(Normal::default().describe(), "network");
        let normal = Normal { heard: [false, false, true, true], ..Normal::default() };
        assert_eq!(normal.describe(), "lines beside the grain, the grain itself");
    }
}

//! What the parts of a score count, by how well each tells good from defective by itself.

use super::split::Labelled;
use super::validate::validate;
use crate::config::{Keep, MapKind};
use crate::error::Result;
use crate::score::{Detector, Normal};

/// Share of the best part's skill that another part needs to be heard.
const HEARD: f32 = 0.7;

/// What network, memory and ridges count: the square of their skill on the validation images. A part of much less skill
/// than the best is not heard: it would add its noise, and cost time. Where no part is known to be better than chance, the
/// network, which has learnt nothing then, gives way to what needs no learning.
///
/// # Errors
/// Scores that are not finite.
pub fn weigh(detector: &Detector, normal: &Normal, validation: &[Labelled]) -> Result<[f32; 3]> {
    let config = &detector.config().score;
    // The unit is there where the network has something to be joined with.
    if normal.unit.is_none() || config.map != MapKind::Fused {
        return Ok(Normal::default().weights);
    }
    let there = [config.network != Keep::Never, normal.memory.is_some(), normal.ridges.is_some()];
    let defective = validation.iter().filter(|image| image.defective).count();
    let mut skills = [0.0; 3];
    for part in (0..3).filter(|&part| there[part]) {
        let mut weights = [0.0; 3];
        weights[part] = 1.0;
        let alone = detector.clone().with_calibration(Normal { weights, ..normal.clone() }, Vec::new());
        if let Some(measured) = validate(&alone, validation)? {
            skills[part] = skill(measured.auroc, [defective, validation.len() - defective]);
        }
    }
    Ok(weights(skills, there))
}

/// How far an AUROC is above chance, 0 to 1, less the standard error that it has on so many defective and good images
/// (Hanley and McNeil 1982, equation 1).
fn skill(auroc: f64, [defective, good]: [usize; 2]) -> f32 {
    let (n, m) = (defective as f64, good as f64);
    let (q1, q2) = (auroc / (2.0 - auroc), 2.0 * auroc * auroc / (1.0 + auroc));
    let square = auroc * auroc;
    let variance = (auroc - square + (n - 1.0) * (q1 - square) + (m - 1.0) * (q2 - square)) / (n * m);
    (2.0 * (auroc - variance.max(0.0).sqrt()) - 1.0).max(0.0) as f32
}

fn weights(skills: [f32; 3], there: [bool; 3]) -> [f32; 3] {
    let best = skills.into_iter().fold(0.0, f32::max);
    let heard = if best > 0.0 {
        skills.map(|skill| if skill >= HEARD * best { skill * skill } else { 0.0 })
    } else {
        let unlearnt = there[1] || there[2];
        [!unlearnt, there[1], there[2]].map(|heard| f32::from(u8::from(heard)))
    };
    let sum: f32 = heard.iter().sum();
    heard.map(|weight| weight / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_heard_by_their_skill() {
        assert_eq!(weights([0.2, 0.8, 0.0], [true, true, false]), [0.0, 1.0, 0.0]);
        assert_eq!(weights([0.6, 0.6, 0.0], [true, true, false]), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn a_network_that_has_learnt_nothing_gives_way() {
        assert_eq!(weights([0.0; 3], [true, false, true]), [0.0, 0.0, 1.0]);
        assert_eq!(weights([0.0; 3], [true, true, true]), [0.0, 0.5, 0.5]);
        assert_eq!(weights([0.0; 3], [true, false, false]), [1.0, 0.0, 0.0]);
        assert_eq!(weights([0.0; 3], [false, true, false]), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn what_may_be_chance_is_no_skill() {
        // By hand: Q1 = 0.80668, Q2 = 0.84252, variance 0.0010567.
        let error = 0.893 - f64::from(skill(0.893, [51, 58]) + 1.0) / 2.0;
        assert!((error - 0.03251).abs() < 2e-5, "{error}");
        // On 17 against 17 images a standard error is 0.1.
        assert_eq!(skill(0.55, [17, 17]), 0.0);
        assert_eq!(skill(1.0, [3, 3]), 1.0);
        assert_eq!(skill(0.2, [50, 50]), 0.0);
    }
}

//! Which parts of a score are heard, by how well each tells good from defective by itself.

use super::split::Labelled;
use super::validate::validate;
use crate::config::{Keep, MapKind};
use crate::error::Result;
use crate::score::{Detector, Normal};

/// Which [parts](crate::score::PARTS) are heard: the one that tells good from defective best on the validation images by
/// itself, and of the others, the better ones first, each that raises the AUROC of those heard before it. Where no part is
/// known to be better than chance, the network, which has learnt nothing then, gives way to what needs no learning.
///
/// # Errors
/// Scores that are not finite.
pub fn weigh(detector: &Detector, normal: &Normal, validation: &[Labelled]) -> Result<[bool; 4]> {
    let config = &detector.config().score;
    // The unit is there where the network has something to be joined with.
    if normal.unit.is_none() || config.map != MapKind::Fused {
        return Ok(Normal::default().heard);
    }
    let Normal { memory, ridges, grain, .. } = normal;
    let there = [config.network != Keep::Never, memory.is_some(), ridges.is_some(), grain.is_some()];
    let defective = validation.iter().filter(|image| image.defective).count();
    let counts = [defective, validation.len() - defective];
    choose(there, counts, |heard| {
        let some = detector.clone().with_calibration(Normal { heard, ..normal.clone() }, Vec::new());
        Ok(validate(&some, validation)?.map(|measured| measured.auroc))
    })
}

/// [`weigh`], where `auroc` measures what some parts are worth together; `None` where there is nothing to validate with.
fn choose(
    there: [bool; 4],
    counts: [usize; 2],
    auroc: impl Fn([bool; 4]) -> Result<Option<f64>>,
) -> Result<[bool; 4]> {
    let mut alone = Vec::new();
    for part in (0..there.len()).filter(|&part| there[part]) {
        let only: [bool; 4] = std::array::from_fn(|i| i == part);
        if let Some(auroc) = auroc(only)?.filter(|&auroc| skill(auroc, counts) > 0.0) {
            alone.push((part, auroc));
        }
    }
    alone.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some((&(best, mut reached), others)) = alone.split_first() else {
        let [_, others @ ..] = there;
        let [memory, ridges, grain] = others;
        return Ok([!others.contains(&true), memory, ridges, grain]);
    };
    let mut heard: [bool; 4] = std::array::from_fn(|i| i == best);
    for &(part, _) in others {
        let mut more = heard;
        more[part] = true;
        if let Some(auroc) = auroc(more)?.filter(|&auroc| auroc > reached) {
            (heard, reached) = (more, auroc);
        }
    }
    Ok(heard)
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const MANY: [usize; 2] = [100, 100];

    /// What is heard where each part is worth so much by itself, and some of them together.
    fn heard(there: [bool; 4], alone: [f64; 4], together: impl Fn([bool; 4]) -> f64) -> [bool; 4] {
        choose(there, MANY, |heard| {
            let parts: Vec<usize> = (0..4).filter(|&part| heard[part]).collect();
            Ok(Some(if let [part] = parts[..] { alone[part] } else { together(heard) }))
        })
        .unwrap()
    }

    #[test]
    fn parts_are_heard_that_help_the_best_one() {
        let (all, alone) = ([true; 4], [0.7, 0.8, 0.95, 0.9]);
        assert_eq!(heard(all, alone, |_| 0.94), [false, false, true, false]);
        // Grain helps, then memory, then not the network.
        let together = |heard: [bool; 4]| match heard {
            [true, ..] => 0.96,
            [_, true, _, true] => 0.98,
            _ => 0.97,
        };
        assert_eq!(heard(all, alone, together), [false, true, true, true]);
        // What is not there is not asked.
        assert_eq!(heard([true, false, true, false], alone, |_| 0.94), [false, false, true, false]);
    }

    #[test]
    fn a_network_that_has_learnt_nothing_gives_way() {
        let chance = [0.52; 4];
        assert_eq!(heard([true; 4], chance, |_| 0.9), [false, true, true, true]);
        assert_eq!(heard([true, false, true, false], chance, |_| 0.9), [false, false, true, false]);
        let alone = [true, false, false, false];
        assert_eq!(heard(alone, chance, |_| 0.9), alone);
        let nothing_to_ask = choose([true; 4], [0, 0], |_| Ok(None)).unwrap();
        assert_eq!(nothing_to_ask, [false, true, true, true]);
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

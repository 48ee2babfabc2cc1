//! Calibration against good images: when a pixel is anomalous, and from which score on an image is defective.

mod common_scale;
mod places;
pub(crate) mod rate;
pub(crate) mod robust;
#[cfg(test)]
mod simulation_tests;
mod tail;
mod thresholds;

#[doc(hidden)]
pub use self::common_scale::CommonScale;
pub(crate) use self::places::{Moments, Raised, ReadingScale, roots};
#[doc(hidden)]
pub use self::places::{PlaceCorrection, Side, Standard};
#[doc(hidden)]
pub use self::robust::suspected;
pub(crate) use self::tail::NORMAL_SHARE;
#[doc(hidden)]
pub use self::tail::TailCalibration;
pub use self::thresholds::Threshold;
#[doc(hidden)]
pub use self::thresholds::Thresholds;

/// How the values of a part's map are made comparable with those of others.
#[doc(hidden)]
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Calibration {
    /// As they are: the part stands alone, or is not calibrated yet.
    #[default]
    None,
    /// Divided by the mean peak of good images, above 0.
    Unit(f32),
    /// By how rare they are on good images.
    Tail(TailCalibration),
}

impl Calibration {
    /// Calibrates a map.
    pub fn apply(&self, map: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Unit(unit) => {
                let weight = 1.0 / unit;
                map.iter_mut().for_each(|v| *v *= weight);
            }
            Self::Tail(tail) => map.iter_mut().for_each(|v| *v = tail.of(*v)),
        }
    }

    /// `unit`, `tail` or, where there is nothing to keep, an empty name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Unit(_) => "unit",
            Self::Tail(_) => "tail",
        }
    }

    /// Its numbers, where it has any.
    pub fn values(&self) -> Option<Vec<f32>> {
        match self {
            Self::None => None,
            Self::Unit(unit) => Some(vec![*unit]),
            Self::Tail(tail) => Some(tail.knots().to_vec()),
        }
    }

    /// From the numbers that `take` gives for a [`name`](Self::name); `None` where they are no calibration.
    pub fn take(mut take: impl FnMut(&str) -> Option<Vec<f32>>) -> Option<Self> {
        match (take("unit"), take("tail")) {
            (None, None) => Some(Self::None),
            (Some(unit), None) => match unit[..] {
                [unit] if unit > 0.0 && unit.is_finite() => Some(Self::Unit(unit)),
                _ => None,
            },
            (None, Some(knots)) => TailCalibration::from_knots(knots).map(Self::Tail),
            (Some(_), Some(_)) => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn numbers_give_a_calibration_back() {
        let tail = TailCalibration::new(vec![1.0, 2.0], vec![3.0]);
        for calibration in [Calibration::None, Calibration::Unit(2.5), Calibration::Tail(tail)] {
            let values = calibration.values();
            let back = Calibration::take(|name| values.clone().filter(|_| name == calibration.name()));
            assert_eq!(back.unwrap(), calibration);
        }
        for unit in [vec![0.0], vec![-1.0], vec![f32::NAN], vec![f32::INFINITY], vec![], vec![1.0, 2.0]] {
            assert!(Calibration::take(|name| (name == "unit").then(|| unit.clone())).is_none(), "{unit:?}");
        }
    }

    #[test]
    fn a_unit_divides() {
        let mut map = [1.0, 5.0];
        Calibration::Unit(2.0).apply(&mut map);
        assert_eq!(map, [0.5, 2.5]);
    }
}

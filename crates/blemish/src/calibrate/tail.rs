//! How rare a value is on good images: the scale on which the maps of different parts are compared.

/// Knots of the scale: the values that a half, a quarter, .. of good images' pixels exceed.
const HALVINGS: usize = 12;
/// What one good image in so many exceeds is the most that is normal: for its largest value this is 1 on the scale.
pub const NORMAL_SHARE: usize = 20;
/// How many halvings 1 stands for: one of 2^16 pixels in one of 2^4 images, about.
const RAREST: f32 = 20.0;

/// A growing scale for values of a map, on which every part's good images are alike: `n / 20` at what a share of `2^-n` of
/// their pixels exceeds, 1 at what a pixel of one image in twenty exceeds. In between, and beyond, it is straight.
///
/// (In units of one level alone, parts raised equally many false alarms there, and the one with more noise below it hid what
/// the other outlined.)
#[derive(Clone, Debug, PartialEq)]
pub struct TailCalibration {
    /// The values at 0, 1, .., 12 halvings and at 1, growing.
    knots: Vec<f32>,
}

impl TailCalibration {
    /// How many values [`knots`](Self::knots) has.
    pub(crate) const KNOTS: usize = HALVINGS + 2;

    /// The scale of good images' `pixels`, and of the most that each image has; the order of neither counts. What is
    /// not there is taken for 0.
    pub fn new(mut pixels: Vec<f32>, mut largest: Vec<f32>) -> Self {
        let at = |sorted: &[f32], share: f64| {
            sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0.0)
        };
        pixels.sort_unstable_by(f32::total_cmp);
        largest.sort_unstable_by(f32::total_cmp);
        let mut knots: Vec<f32> = (0..=HALVINGS).map(|n| at(&pixels, 1.0 - 0.5f64.powi(n as i32))).collect();
        // Where anomalous pixels crowd in a few images the last two may all but meet, and what lies beyond would be
        // endlessly rare, whatever the other parts say.
        let [before, last] = [knots[HALVINGS - 1], knots[HALVINGS]];
        knots.push(at(&largest, 1.0 - 1.0 / NORMAL_SHARE as f64).max(last + 0.5 * (last - before)));
        // Equal values would leave a step without a slope.
        for i in 1..knots.len() {
            knots[i] = knots[i].max(knots[i - 1] + 1e-4 * knots[i - 1].abs().max(1e-3));
        }
        Self { knots }
    }

    /// From the values at its knots; `None` unless there are [`KNOTS`](Self::KNOTS) of them and they grow.
    pub(crate) fn from_knots(knots: Vec<f32>) -> Option<Self> {
        let grows = knots.windows(2).all(|pair| pair[0] < pair[1]);
        (knots.len() == Self::KNOTS && grows).then_some(Self { knots })
    }

    /// The values at its knots.
    pub(crate) fn knots(&self) -> &[f32] {
        &self.knots
    }

    /// How rare `value` is.
    pub fn of(&self, value: f32) -> f32 {
        // The last segment goes on; below the first knot nothing is rarer than anything.
        let segment = self.knots[1..=HALVINGS].partition_point(|&knot| knot <= value);
        let height = |knot: usize| if knot > HALVINGS { RAREST } else { knot as f32 };
        let [low, high] = [self.knots[segment], self.knots[segment + 1]];
        let part = (value - low) / (high - low);
        let halvings = height(segment) + part * (height(segment + 1) - height(segment));
        // Unlike `max` this keeps NaN, which must not pass for normal.
        if halvings < 0.0 { 0.0 } else { halvings / RAREST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_good_pixels_by_hand() {
        // 0, 1, .., 4096: a half exceeds 2048, a quarter 3072, one 4095.
        let tail = TailCalibration::new(
            (0..=4096u16).map(f32::from).collect(),
            (0..21u16).map(|v| 5000.0 + f32::from(v)).collect(),
        );
        assert_eq!(tail.knots()[..3], [0.0, 2048.0, 3072.0]);
        assert_eq!(tail.knots()[12..], [4095.0, 5019.0]);
        let close = |value: f32, halvings: f32| {
            let got = tail.of(value) * 20.0;
            assert!((got - halvings).abs() < 1e-4, "{value}: {got}");
        };
        close(0.0, 0.0);
        close(-5.0, 0.0);
        close(1024.0, 0.5);
        close(2048.0, 1.0);
        close(4095.0, 12.0);
        close(5019.0, 20.0);
        close(5019.0 + 924.0, 28.0);
    }

    #[test]
    fn a_crowd_in_one_image_makes_nothing_endlessly_rare() {
        // As above, but no image goes beyond what one pixel in 4096 exceeds.
        let tail = TailCalibration::new((0..=4096u16).map(f32::from).collect(), vec![4096.0; 21]);
        assert_eq!(tail.knots()[11..], [4094.0, 4095.0, 4096.0]);
        let crowded =
            TailCalibration::new((0..=4096u16).map(|v| f32::from(v).powi(2)).collect(), vec![0.0; 21]);
        let [.., before, last, most] = crowded.knots() else { unreachable!() };
        assert_eq!(*most, last + 0.5 * (last - before));
    }

    #[test]
    fn it_grows_whatever_it_is_made_of() {
        for (pixels, largest) in
            [(vec![], vec![]), (vec![3.0; 50], vec![3.0; 4]), (vec![-1.0, 7.0], vec![2.0])]
        {
            let tail = TailCalibration::new(pixels, largest);
            let values: Vec<f32> = (-100..100i8).map(|v| tail.of(f32::from(v) * 0.1)).collect();
            assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{tail:?}");
            assert!(values.iter().all(|v| v.is_finite()) && values[199] > 1.0);
            assert!(tail.of(f32::NAN).is_nan() && tail.of(f32::INFINITY) > 1.0);
            assert_eq!(TailCalibration::from_knots(tail.knots().to_vec()), Some(tail));
        }
        assert_eq!(TailCalibration::from_knots(vec![0.0; TailCalibration::KNOTS]), None);
        assert_eq!(TailCalibration::from_knots(vec![0.0, 1.0]), None);
        let not_a_number =
            (0..TailCalibration::KNOTS).map(|i| if i == 3 { f32::NAN } else { i as f32 }).collect();
        assert_eq!(TailCalibration::from_knots(not_a_number), None);
    }
}

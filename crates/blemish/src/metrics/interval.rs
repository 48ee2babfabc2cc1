//! How far a rate counted on few images can be trusted.

use crate::error::{Error, Result};

/// The `z` of a 95 % interval: the 0.975 quantile of the standard normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Wilson's score interval of a rate of `successes` out of `n`: `(low, high)`, both in [0, 1] (Wilson,
/// "Probable inference, the law of succession, and statistical inference", 1927). Unlike the normal
/// approximation it is sensible for small `n` and for rates near 0: no false alarm in 20 images still leaves
/// rates up to 0.16 possible.
///
/// # Errors
/// [`Error::Metric`] if `n` is 0, if `successes` is above `n`, or if `z` is not a positive finite number.
pub fn wilson(successes: usize, n: usize, z: f64) -> Result<(f64, f64)> {
    if n == 0 || successes > n || !(z > 0.0 && z.is_finite()) {
        return Err(Error::Metric(format!("no interval for {successes} of {n} with z = {z}")));
    }
    let (k, n, z2) = (successes as f64, n as f64, z * z);
    let centre = (k + z2 / 2.0) / (n + z2);
    let half = z / (n + z2) * (k * (n - k) / n + z2 / 4.0).sqrt();
    Ok(((centre - half).max(0.0), (centre + half).min(1.0)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[track_caller]
    fn close((a, b): (f64, f64), (c, d): (f64, f64)) {
        assert!((a - c).abs() < 1e-6 && (b - d).abs() < 1e-6, "({a}, {b}) is not ({c}, {d})");
    }

    #[test]
    fn known_intervals() {
        // By hand with z = 1: 0 of 1 is centre 1/4, half-width 1/4; 1 of 2 is centre 1/2, half-width
        // sqrt(3)/6.
        close(wilson(0, 1, 1.0).unwrap(), (0.0, 0.5));
        close(wilson(1, 2, 1.0).unwrap(), (0.5 - 3_f64.sqrt() / 6.0, 0.5 + 3_f64.sqrt() / 6.0));
    }

    #[test]
    fn mirrored_and_shrinking() {
        let (low, high) = wilson(3, 17, Z95).unwrap();
        close(wilson(14, 17, Z95).unwrap(), (1.0 - high, 1.0 - low));
        let (narrow_low, narrow_high) = wilson(300, 1700, Z95).unwrap();
        assert!(low < narrow_low && narrow_high < high);
        assert!(low < 3.0 / 17.0 && 3.0 / 17.0 < high);
    }

    #[test]
    fn the_ends_stay_within_zero_and_one() {
        for n in 1..200 {
            let (low, high) = wilson(0, n, Z95).unwrap();
            assert!(low.abs() < 1e-15 && low >= 0.0 && high < 1.0);
            let (low, high) = wilson(n, n, Z95).unwrap();
            assert!(low > 0.0 && (high - 1.0).abs() < 1e-15 && high <= 1.0);
        }
    }

    #[test]
    fn degenerate_input_is_an_error() {
        assert!(wilson(0, 0, Z95).unwrap_err().to_string().contains("0 of 0"));
        for (successes, n, z) in
            [(3, 2, Z95), (1, 2, 0.0), (1, 2, -1.0), (1, 2, f64::NAN), (1, 2, f64::INFINITY)]
        {
            assert!(wilson(successes, n, z).is_err(), "{successes} of {n}, z = {z}");
        }
    }
}

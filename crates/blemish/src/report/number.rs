//! How numbers are written for people. What is missing or not finite is a dash, never `NaN`.

/// Stands where there is no number.
const MISSING: &str = "–";

/// `value` with `digits` decimals.
pub(super) fn fixed(value: Option<f64>, digits: usize) -> String {
    match value.filter(|v| v.is_finite()) {
        Some(v) => format!("{v:.digits$}"),
        None => MISSING.into(),
    }
}

/// A share as a percentage with one decimal, without the sign.
pub(super) fn percent(share: Option<f64>) -> String {
    fixed(share.map(|s| 100.0 * s), 1)
}

/// `value` with four significant digits, in scientific notation when it is very small or very large.
pub fn significant(value: Option<f64>) -> String {
    let Some(v) = value.filter(|v| v.is_finite()) else { return MISSING.into() };
    match v.abs() {
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{v:.3e}"),
        size => format!("{v:.*}", (3 - size.log10().floor() as i32).max(0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(fixed(Some(0.98765), 3), "0.988");
        assert_eq!([fixed(None, 3), percent(Some(f64::NAN)), significant(Some(f64::INFINITY))], ["–"; 3]);
        assert_eq!(percent(Some(0.0488)), "4.9");
        let written = [0.0123456, 12345.6, 0.00001234, 0.0, -1.5].map(|v| significant(Some(v)));
        assert_eq!(written, ["0.01235", "12346", "1.234e-5", "0", "-1.500"]);
    }
}

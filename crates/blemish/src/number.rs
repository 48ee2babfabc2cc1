//! How numbers are written for people. What is missing or not finite is a dash, never `NaN`.

/// Stands where there is no number.
const MISSING: &str = "–";

/// `value` with `digits` decimals.
pub(crate) fn fixed(value: Option<f64>, digits: usize) -> String {
    match value.filter(|v| v.is_finite()) {
        Some(v) => format!("{v:.digits$}"),
        None => MISSING.into(),
    }
}

/// A share as a percentage without the sign: one decimal, or as many as a share near 0 needs not to read as none.
pub fn percent(share: Option<f64>) -> String {
    match share.map(|s| 100.0 * s) {
        Some(v) if v > 0.0 && v < 0.1 => {
            let digits = (1.0 - v.log10().floor()).min(12.0) as usize;
            format!("{v:.digits$}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        value => fixed(value, 1),
    }
}

/// `value` with four significant digits, in scientific notation when it is very small or very large.
pub fn significant(value: Option<f64>) -> String {
    significant_to(value, 4)
}

/// The same with `digits` significant digits, at least 1.
pub fn significant_to(value: Option<f64>, digits: usize) -> String {
    let Some(v) = value.filter(|v| v.is_finite()) else { return MISSING.into() };
    let more = digits.saturating_sub(1);
    match v.abs() {
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{v:.more$e}"),
        size => format!("{v:.*}", (more as i32 - size.log10().floor() as i32).max(0) as usize),
    }
}

/// A number and what it counts, whose plural ends in s: `1 image`, `2 images`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Some of all that is called `one`, with the verb: `1 of 5 images is`, `2 of 5 images are`.
pub(crate) fn some_of(some: usize, all: usize, one: &str) -> String {
    format!("{some} of {} {}", counted(all, one), if some == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(fixed(Some(0.98765), 3), "0.988");
        assert_eq!([fixed(None, 3), percent(Some(f64::NAN)), significant(Some(f64::INFINITY))], ["–"; 3]);
        assert_eq!(
            [0.0488, 0.0, 0.0001, 0.000_999, 1e-6, 1.0].map(|share| percent(Some(share))),
            ["4.9", "0.0", "0.01", "0.1", "0.0001", "100.0"]
        );
        let near = f64::from(0.015f32);
        assert_eq!([4, 9].map(|digits| significant_to(Some(near), digits)), ["0.01500", "0.0149999997"]);
        assert_eq!([0, 1, 2].map(|count| counted(count, "image")), ["0 images", "1 image", "2 images"]);
        assert_eq!([1, 2].map(|some| some_of(some, 5, "image")), ["1 of 5 images is", "2 of 5 images are"]);
        let written = [0.0123456, 12345.6, 0.00001234, 0.0, -1.5].map(|v| significant(Some(v)));
        assert_eq!(written, ["0.01235", "12346", "1.234e-5", "0", "-1.500"]);
    }
}

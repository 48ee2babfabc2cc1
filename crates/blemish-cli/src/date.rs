//! Today's date, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Today as `YYYY-MM-DD`.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format(seconds / 86_400)
}

/// The day `days` after 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms":
/// the year starts in March, so that the leap day is its last).
fn format(days: u64) -> String {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn known_days() {
        for (days, date) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_454, "2026-01-01"), (20_780, "2026-11-23")]
        {
            assert_eq!(format(days), date);
        }
    }
}

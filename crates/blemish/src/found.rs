//! What a detector will find: shares of generated defects that it found on good images which it was not fitted on.

use serde::{Deserialize, Serialize};

/// Share of the defects of a kind, of a size or larger, from which on that size is named.
const NAMED_FROM: f64 = 0.9;

/// What a detector will find, by kind and size of generated defects. It holds for defects like these: real ones may be fainter, or
/// of other kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectionEstimate {
    /// Good images, none of which the parts were fitted on, that defects were put on.
    pub images: usize,
    /// Length of a pixel of the image, millimetres, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mm_per_pixel: Option<f64>,
    /// The threshold at which they were found.
    pub threshold: f64,
    /// By kind, then by size.
    pub rows: Vec<FoundRow>,
    /// What it took, seconds.
    pub seconds: f64,
}

/// Generated defects of one kind and size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundRow {
    /// What they are, in the plural.
    pub kind: String,
    /// Length of lines, diameter of spots: pixels of the image.
    pub size: f64,
    /// How many were found: images that score below the threshold without the defect, and reach it with it.
    pub found: usize,
    /// How many were drawn.
    pub drawn: usize,
}

impl DetectionEstimate {
    /// A sentence for each kind: from which size on nine in ten are found.
    pub fn in_words(&self) -> Vec<String> {
        let mut kinds: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !kinds.contains(&row.kind.as_str()) {
                kinds.push(&row.kind);
            }
        }
        kinds.into_iter().map(|kind| self.sentence(kind)).collect()
    }

    fn sentence(&self, kind: &str) -> String {
        let mut rows: Vec<&FoundRow> =
            self.rows.iter().filter(|row| row.kind == kind && row.drawn > 0).collect();
        rows.sort_by(|a, b| a.size.total_cmp(&b.size));
        let share = |row: &&FoundRow| row.found as f64 / row.drawn as f64;
        let from = rows.iter().rposition(|row| share(row) < NAMED_FROM).map_or(0, |last| last + 1);
        let enough = &rows[from..];
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let Some(first) = enough.first() else {
            let Some(largest) = rows.last() else { return format!("{kind}: none could be drawn") };
            return format!(
                "{kind}: fewer than 9 in 10 are found, {} of those of {}",
                percent(share(largest)),
                self.length(largest.size)
            );
        };
        let [found, drawn] = [|row: &FoundRow| row.found, |row: &FoundRow| row.drawn]
            .map(|count| enough.iter().map(|row| count(row)).sum::<usize>());
        let more = if from == 0 { " (smaller ones were not tried)" } else { "" };
        format!(
            "{kind} from {}: {} found ({found} of {drawn}){more}",
            self.length(first.size),
            percent(found as f64 / drawn as f64)
        )
    }

    fn length(&self, pixels: f64) -> String {
        match self.mm_per_pixel {
            Some(mm) => {
                let length = mm * pixels;
                let digits = (1.0 - length.max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
                format!("{length:.digits$} mm")
            }
            None => format!("{pixels:.0} px"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_by_hand() {
        let row = |kind: &str, size, found| FoundRow { kind: kind.to_owned(), size, found, drawn: 20 };
        let rows = vec![
            row("scratches", 4.0, 19),
            row("scratches", 8.0, 17),
            row("scratches", 16.0, 18),
            row("scratches", 32.0, 20),
            row("spots", 4.0, 20),
            row("stains", 4.0, 1),
            row("stains", 32.0, 5),
        ];
        let mut estimate = DetectionEstimate { rows, ..DetectionEstimate::default() };
        assert_eq!(
            estimate.in_words(),
            [
                "scratches from 16 px: 95 % found (38 of 40)",
                "spots from 4 px: 100 % found (20 of 20) (smaller ones were not tried)",
                "stains: fewer than 9 in 10 are found, 25 % of those of 32 px",
            ]
        );
        estimate.mm_per_pixel = Some(0.075);
        assert!(estimate.in_words()[0].starts_with("scratches from 1.2 mm:"));
        estimate.mm_per_pixel = Some(0.005);
        assert!(estimate.in_words()[0].starts_with("scratches from 0.080 mm:"));
        assert!(DetectionEstimate::default().in_words().is_empty());
    }
}

//! What `predict` says of each image: a line for a person, a line of JSON, or a row of a table.

use blemish::metrics::Region;
use blemish::report::significant;
use blemish::{Prediction, Reason, Verdict};
use serde::Serialize;

use crate::failure::Result;
use crate::output::{json_line, visible};

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for a person
    Text,
    /// A line of JSON
    Json,
    /// A row of a table, after one with the columns' names
    Csv,
}

/// The first row of a table.
pub const CSV_HEADER: &str =
    "path,verdict,reason,score,threshold,inspected,regions,x,y,width,height,area,peak,remarks,error\n";

/// The answer for one image.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// It was judged.
    Judged(Box<Judged>),
    /// It was not.
    NotJudged {
        /// As it was named.
        path: String,
        /// Why.
        error: String,
        /// Whether it was named, or should have been an image.
        #[serde(skip)]
        is_failure: bool,
        /// How many files it stands for.
        #[serde(skip)]
        files: usize,
    },
}

/// A judged image.
#[derive(Debug, Serialize)]
pub struct Judged {
    path: String,
    score: f32,
    threshold: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    review_threshold: Option<f32>,
    /// What to know before relying on the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_warning: Option<String>,
    /// Good, defective or for a person to decide.
    pub verdict: Verdict,
    /// Why.
    reason: Reason,
    /// Share of the image that was inspected.
    inspected: f32,
    regions: Vec<Region>,
    /// What the user should know of this image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// What tells its pixels from those of other images.
    #[serde(skip)]
    pub fingerprint: u64,
    /// Whether they are those of the image before it.
    #[serde(skip)]
    pub repeats: bool,
    /// Whether it is defective for that alone.
    #[serde(skip)]
    frozen: bool,
    /// Where a drawing of it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<String>,
    /// Where its map was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// What a map's value is multiplied with where it is stored in 16 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_scale: Option<f32>,
    /// Where its mask was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

impl Judged {
    /// Of an image's prediction.
    pub fn new(path: String, prediction: &Prediction) -> Self {
        Self {
            path,
            score: prediction.score,
            threshold: prediction.threshold,
            review_threshold: prediction.review_threshold,
            threshold_warning: None,
            verdict: prediction.verdict,
            reason: prediction.reason,
            inspected: prediction.inspected,
            regions: prediction.regions.clone(),
            remarks: Vec::new(),
            fingerprint: 0,
            repeats: false,
            frozen: false,
            overlay: None,
            map: None,
            map_scale: None,
            mask: None,
        }
    }

    /// Marks an image whose pixels are exactly those of the image before it: no camera sends one frame twice. A copied file does no
    /// harm; a frame that is `frozen` shows nothing of what is before the camera, whatever its score.
    pub fn repeat(&mut self, before: &str, frozen: bool) {
        self.repeats = true;
        self.remarks.push(format!("same pixels as {before} before it: is the camera frozen?"));
        if frozen && self.reason != Reason::Blank {
            self.frozen = true;
            (self.verdict, self.reason) = (Verdict::Defective, Reason::Blank);
            self.score = self.score.max(self.threshold);
            self.regions.clear();
        }
    }

    /// Its path, as it was named.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What there is to say beyond verdict and score.
    fn in_words(&self) -> String {
        let why = match self.reason {
            // The remark says it.
            Reason::Blank if self.frozen => None,
            Reason::Blank => Some("the frame shows nothing".to_owned()),
            Reason::NoProduct => Some("no product was found".to_owned()),
            _ => None,
        };
        let percent = 100.0 * self.inspected;
        let part = (self.inspected < 0.995).then(|| format!("{percent:.0} % of the image inspected"));
        let all = why.into_iter().chain(found(&self.regions)).chain(part).chain(self.remarks.iter().cloned());
        all.collect::<Vec<_>>().join("; ")
    }
}

impl Answer {
    /// In one line, with its end.
    ///
    /// # Errors
    /// None in practice: serialisation can fail in principle.
    pub fn line(&self, format: Format) -> Result<String> {
        match format {
            Format::Json => json_line(self),
            Format::Text => Ok(self.text()),
            Format::Csv => Ok(self.row()),
        }
    }

    fn text(&self) -> String {
        let (verdict, score, path, remark) = match self {
            Self::Judged(judged) => {
                let score = significant(Some(f64::from(judged.score)));
                (judged.verdict.name(), score, &judged.path, judged.in_words())
            }
            Self::NotJudged { path, error, .. } => ("not judged", "-".to_owned(), path, error.clone()),
        };
        let path = visible(path);
        let remark = visible(&remark.replace('\n', " "));
        format!("{verdict:<10}  {score:>9}  {path:<40}  {remark}").trim_end().to_owned() + "\n"
    }

    fn row(&self) -> String {
        let cells: Vec<String> = match self {
            Self::Judged(judged) => {
                let mut cells = vec![
                    judged.path.clone(),
                    judged.verdict.name().to_owned(),
                    judged.reason.name().to_owned(),
                    judged.score.to_string(),
                    judged.threshold.to_string(),
                    judged.inspected.to_string(),
                    judged.regions.len().to_string(),
                ];
                match judged.regions.first() {
                    Some(r) => {
                        cells.extend([r.x, r.y, r.width, r.height, r.area].map(|n| n.to_string()));
                        cells.push(r.peak.to_string());
                    }
                    None => cells.extend(vec![String::new(); 6]),
                }
                cells.extend([judged.remarks.join("; "), String::new()]);
                cells
            }
            Self::NotJudged { path, error, .. } => {
                let mut cells = vec![path.clone(), "not judged".to_owned()];
                cells.extend(vec![String::new(); 12]);
                cells.push(error.clone());
                cells
            }
        };
        row(&cells)
    }
}

/// Cells as a row of comma-separated values (RFC 4180, but for the line's end).
pub fn row(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

/// Where something was found, in words.
fn found(regions: &[Region]) -> Option<String> {
    let first = regions.first()?;
    let more = match regions.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(format!("{} x {} pixels at ({}, {}){more}", first.width, first.height, first.x, first.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(regions: Vec<Region>, verdict: Verdict) -> Answer {
        let judged = Judged {
            path: "a,b.png".to_owned(),
            score: 1.25,
            threshold: 1.0,
            review_threshold: None,
            threshold_warning: None,
            verdict,
            reason: if verdict == Verdict::Good { Reason::Normal } else { Reason::Anomaly },
            inspected: 1.0,
            regions,
            remarks: Vec::new(),
            fingerprint: 0,
            repeats: false,
            frozen: false,
            overlay: None,
            map: None,
            map_scale: None,
            mask: None,
        };
        Answer::Judged(Box::new(judged))
    }

    #[test]
    fn lines_are_aligned_and_tables_have_as_many_cells() {
        let region = Region { x: 3, y: 4, width: 5, height: 6, area: 20, peak: 1.5 };
        let defective = judged(vec![region.clone(), region], Verdict::Defective);
        let bad = Answer::NotJudged {
            path: "c.png".to_owned(),
            error: "cut \"short\"".to_owned(),
            is_failure: true,
            files: 1,
        };
        let text = defective.text();
        assert!(
            text.starts_with("defective       1.250  a,b.png ")
                && text.contains("5 x 6 pixels at (3, 4), and 1 more")
        );
        assert_eq!(text.find("a,b.png"), bad.text().find("c.png"));
        assert_eq!(judged(Vec::new(), Verdict::Good).text(), "good            1.250  a,b.png\n");
        assert_eq!(defective.row(), "\"a,b.png\",defective,anomaly,1.25,1,1,2,3,4,5,6,20,1.5,,\n");
        assert_eq!(bad.row(), "c.png,not judged,,,,,,,,,,,,,\"cut \"\"short\"\"\"\n");
        let columns = CSV_HEADER.matches(',').count();
        assert_eq!(bad.row().matches(',').count(), columns);
        assert_eq!(judged(Vec::new(), Verdict::Good).row().matches(',').count(), columns + 1);
    }
}

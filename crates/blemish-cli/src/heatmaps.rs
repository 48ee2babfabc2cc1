//! Heat maps as PNG files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use blemish::data::{ByteImage, PixelMask};
use blemish::report::{overlay, save_png};
use blemish::score::Prediction;

use crate::failure::Result;
use crate::folder::Folder;

/// A folder of heat maps, each named after its image.
pub struct HeatMaps {
    folder: Folder,
    names: HashSet<String>,
}

impl HeatMaps {
    /// Heat maps in the folder `path`, which is made if needed.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { folder: Folder::open(path)?, names: HashSet::new() })
    }

    /// Writes the picture of `image`, with the regions that reach the threshold in colour and outlined; images of the
    /// same name get a number.
    pub fn save(
        &mut self,
        path: &Path,
        image: &ByteImage,
        prediction: &Prediction,
        truth: Option<&PixelMask>,
    ) -> Result<PathBuf> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut name = stem.clone();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        let target = self.folder.join(format!("{name}.png"));
        let threshold = prediction.threshold;
        save_png(&overlay(image, &prediction.map, threshold, 2.0 * threshold, truth), &target)?;
        Ok(target)
    }
}

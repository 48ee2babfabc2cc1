//! Heat maps as PNG files.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use blemish::image::{ByteImage, PixelMask};
use blemish::report::{heat, overlay, panel, save_png};
use blemish::detector::Prediction;

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

    /// Writes `image`, with the regions that reach the threshold in colour and outlined, and its heat map beside it.
    /// The file is named after the image; where that name is taken its folder's name is put before it, and then a
    /// number behind.
    pub fn save(
        &mut self,
        path: &Path,
        image: &ByteImage,
        prediction: &Prediction,
        truth: Option<&PixelMask>,
    ) -> Result<PathBuf> {
        let name = self.free_name(path);
        let target = self.folder.join(format!("{name}.png"));
        self.names.insert(name);
        let Prediction { map, map_threshold, outlined_from, .. } = prediction;
        // Twice the threshold is the hottest colour, as in the report.
        let scale = 2.0 * map_threshold;
        let regions = overlay(image, map, *outlined_from, scale, truth);
        save_png(&panel(&[regions, heat(map, image.height, image.width, scale)]), &target)?;
        Ok(target)
    }

    fn free_name(&self, path: &Path) -> String {
        let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let stem = text(path.file_stem());
        let long = format!("{}-{stem}", text(path.parent().and_then(Path::file_name)));
        let numbered = (2..).map(|number| format!("{long}-{number}"));
        let free = [stem, long.clone()].into_iter().chain(numbered).find(|name| !self.names.contains(name));
        free.unwrap_or(long)
    }
}

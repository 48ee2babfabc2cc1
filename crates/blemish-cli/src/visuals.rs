//! Files beside the answers: overlays, raw maps and masks, one of each for every image.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::image::{Image, PixelMask};
use blemish::report::{
    Beside, Caption, THRESHOLD_LEVEL, annotated, beside_size, encode_map_npy, encode_map_tiff, encode_mask,
    encode_png,
};
use blemish::view::Framed;
use blemish::{Detector, Error, Prediction, Reason, Verdict, write_whole};
use clap::{Args, ValueEnum};

use crate::answer::Judged;
use crate::failure::Result;
use crate::inputs::parent;
use crate::out_folder::{Folder, mark, refuse_among_inputs, refuse_foreign};

/// How raw maps are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// NumPy: 32-bit floats
    #[default]
    Npy,
    /// 16-bit grey levels, 32768 at the threshold
    Tiff,
}

/// Which files are written.
#[derive(Args)]
pub struct VisualArgs {
    /// Write a PNG per image into this folder: the image at its full size, what was found outlined, score and threshold; beside it
    /// what a good product looks like there, where the model knows it, and the anomaly map
    #[arg(long, alias = "heatmaps", value_name = "DIR")]
    overlays: Option<PathBuf>,
    /// Write the anomaly map of each image, at the image's size, into this folder
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// How maps are stored
    #[arg(long, value_enum, default_value_t, requires = "maps")]
    map_format: MapFormat,
    /// Write a mask of what was found in each image, at the image's size, as PNG into this folder
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
}

/// An image that was judged.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What its files are called after.
    pub path: &'a Path,
    /// At its own size.
    pub image: &'a Image,
    /// As the detector took it.
    pub framed: &'a Framed,
    /// What was found.
    pub prediction: &'a Prediction,
}

/// Folders for such files. Each mirrors the folders that the images lie in.
pub struct Visuals {
    overlays: Option<Folder>,
    maps: Option<(Folder, MapFormat)>,
    masks: Option<Folder>,
    /// The folder that all images lie in.
    base: PathBuf,
}

impl Visuals {
    /// Opens the folders.
    ///
    /// # Errors
    /// One cannot be written to, holds what blemish did not write, or lies among the images, which lie in the folders `inputs`.
    pub fn open(args: &VisualArgs, inputs: &[PathBuf]) -> Result<Self> {
        // Before any is made: one may lie in another.
        for path in [&args.overlays, &args.maps, &args.masks].into_iter().flatten() {
            refuse_among_inputs(path, inputs)?;
            refuse_foreign(path, false)?;
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(Folder::open).transpose();
        Ok(Self {
            overlays: open(&args.overlays)?,
            maps: open(&args.maps)?.map(|folder| (folder, args.map_format)),
            masks: open(&args.masks)?,
            base: common(inputs),
        })
    }

    /// Overlays alone, of images below `base`.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn overlays(path: &Path, base: &Path) -> Result<Self> {
        Ok(Self { overlays: Some(Folder::open(path)?), maps: None, masks: None, base: base.to_path_buf() })
    }

    /// Whether anything is to be written.
    pub fn is_wanted(&self) -> bool {
        self.overlays.is_some() || self.maps.is_some() || self.masks.is_some()
    }

    /// Writes the files of one image that `detector` has judged.
    ///
    /// # Errors
    /// A file cannot be written; a model without thresholds.
    pub fn write(
        &self,
        detector: &Detector,
        seen: &Seen<'_>,
        truth: Option<&PixelMask>,
        judged: &mut Judged,
    ) -> Result<()> {
        let Seen { path, image, framed, prediction } = *seen;
        let map_threshold = detector.map_threshold()?;
        let size = [image.height, image.width];
        let [height, width] = prediction.map_size;
        let map = Image { height, width, channels: 1, pixels: prediction.map.clone() }.enlarged(size);
        if let Some(folder) = &self.overlays {
            let caption = Caption {
                verdict: match prediction.reason {
                    Reason::Blank => "blank".to_owned(),
                    Reason::NoProduct => "no product".to_owned(),
                    _ => prediction.verdict.name().to_owned(),
                },
                score: prediction.score,
                threshold: prediction.threshold,
                alarm: prediction.verdict != Verdict::Good,
                outlined_from: prediction.outlined_from,
                // Twice the threshold is the hottest colour, as in the report.
                scale_max: 2.0 * map_threshold,
            };
            let expected = detector.expected(framed, beside_size(size));
            let beside =
                expected.map(|expected| Beside { title: expected.title, image: expected.image.to_bytes() });
            let drawn = annotated(&image.to_bytes(), &map, &caption, truth, beside.as_ref());
            judged.overlay = Some(self.put(folder, path, "overlay.png", &encode_png(&drawn)?)?);
        }
        if let Some((folder, format)) = &self.maps {
            judged.map = Some(match format {
                MapFormat::Npy => self.put(folder, path, "map.npy", &encode_map_npy(&map, size))?,
                MapFormat::Tiff => {
                    judged.map_scale = Some(f32::from(THRESHOLD_LEVEL) / map_threshold);
                    self.put(folder, path, "map.tiff", &encode_map_tiff(&map, size, map_threshold)?)?
                }
            });
        }
        if let Some(folder) = &self.masks {
            let mask = encode_mask(&map, size, prediction.outlined_from)?;
            judged.mask = Some(self.put(folder, path, "mask.png", &mask)?);
        }
        Ok(())
    }

    /// Writes a file that is called after the whole name of its image, in the folder that mirrors the image's.
    fn put(&self, folder: &Folder, image: &Path, ending: &str, bytes: &[u8]) -> Result<String> {
        let whole = parent(image).join(image.file_name().unwrap_or_default());
        let inside = whole.strip_prefix(&self.base).unwrap_or(&whole);
        // Of an absolute path, what stands before the first folder is left out.
        let inside: PathBuf =
            inside.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
        let mut name = inside.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{ending}"));
        let target = folder.path().join(inside.with_file_name(name));
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).map_err(|e| Error::io(above, e))?;
        }
        mark(folder.path())?;
        write_whole(&target, bytes)?;
        Ok(target.display().to_string())
    }
}

/// The innermost folder that holds all `folders`.
fn common(folders: &[PathBuf]) -> PathBuf {
    let mut folders = folders.iter();
    let first = folders.next().cloned().unwrap_or_default();
    folders.fold(first, |common, folder| {
        common.components().zip(folder.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder() {
        let of = |paths: &[&str]| common(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["/a/b/c"]), Path::new("/a/b/c"));
        assert_eq!(of(&["/a/b/c", "/a/bb", "/a/b"]), Path::new("/a"));
        assert_eq!(of(&["/a", "/b"]), Path::new("/"));
        assert_eq!(of(&[]), Path::new(""));
    }
}

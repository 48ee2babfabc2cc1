//! Anomaly maps and masks as files for other programs.

use std::io::Cursor;

use image::{ColorType, ImageEncoder, codecs::tiff::TiffEncoder};

use super::encode_png;
use crate::error::{Error, Result};
use crate::image::ByteImage;
use crate::metrics::outlined;

/// Grey level of a 16-bit map at the threshold; a value twice as large is white.
pub const THRESHOLD_LEVEL: u16 = 32_768;

/// A map as a 16-bit grey TIFF: a value is its grey level times `threshold` over [`THRESHOLD_LEVEL`], as far as 65535 reaches.
///
/// # Errors
/// A map without pixels.
pub fn encode_map_tiff(map: &[f32], [height, width]: [usize; 2], threshold: f32) -> Result<Vec<u8>> {
    let scale = f32::from(THRESHOLD_LEVEL) / threshold;
    let bytes: Vec<u8> = map.iter().flat_map(|v| ((v * scale).round() as u16).to_ne_bytes()).collect();
    let fault = |reason: String| Error::image("map to be written", reason);
    if bytes.is_empty() || bytes.len() != 2 * height * width {
        return Err(fault(format!("{} values for {height} x {width}", map.len())));
    }
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file)
        .write_image(&bytes, width as u32, height as u32, ColorType::L16.into())
        .map_err(|e| fault(e.to_string()))?;
    Ok(file.into_inner())
}

/// A map as NumPy reads it: `float32`, `[H, W]` (format version 1.0).
pub fn encode_map_npy(map: &[f32], [height, width]: [usize; 2]) -> Vec<u8> {
    let facts = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // Magic, version and length are 10 bytes; all together is a multiple of 64.
    let length = (10 + facts.len() + 1).next_multiple_of(64) - 10;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((length as u16).to_le_bytes());
    file.extend(format!("{facts:<width$}\n", width = length - 1).bytes());
    file.extend(map.iter().flat_map(|v| v.to_le_bytes()));
    file
}

/// Where a map is [outlined] from this value on: a PNG with 255 there and 0 elsewhere.
///
/// # Errors
/// A map without pixels.
pub fn encode_mask(map: &[f32], [height, width]: [usize; 2], from: f32) -> Result<Vec<u8>> {
    let shown = outlined(map, width, from);
    let pixels = shown.into_iter().map(|shown| if shown { u8::MAX } else { 0 }).collect();
    encode_png(&ByteImage { height, width, channels: 1, pixels })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_read_back() {
        let map = [0.0, 0.5, 1.0, 2.0, 9.0, f32::NAN];
        let tiff = image::load_from_memory(&encode_map_tiff(&map, [2, 3], 0.5).unwrap()).unwrap();
        assert_eq!(tiff.into_luma16().into_raw(), [0, THRESHOLD_LEVEL, 65535, 65535, 65535, 0]);
        let npy = encode_map_npy(&map, [2, 3]);
        assert_eq!((&npy[..8], npy.len()), (&b"\x93NUMPY\x01\x00"[..], 128 + 24));
        assert_eq!((npy[127], &npy[128 + 4..128 + 8]), (b'\n', &0.5f32.to_le_bytes()[..]));
        assert!(
            String::from_utf8_lossy(&npy[10..])
                .starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
        );
        let mask = image::load_from_memory(&encode_mask(&map, [2, 3], 1.0).unwrap()).unwrap();
        // One region, whose border lies at a quarter of 9.
        assert_eq!(mask.into_luma8().into_raw(), [0, 0, 0, 0, 255, 0]);
        assert!(encode_map_tiff(&[], [0, 0], 1.0).is_err());
    }
}

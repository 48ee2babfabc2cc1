//! Images as they come: every depth and colour type, turned, misnamed, cut short, and hostile.
#![expect(clippy::unwrap_used, reason = "tests")]

use ::image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

use super::*;

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Image {
    decode_bytes("test", bytes, &DecodeOptions::default()).unwrap()
}

/// The values of an image of 8 bits, as the file had them.
fn bytes_of(image: &Image) -> Vec<u8> {
    image.to_bytes().pixels
}

fn refused(bytes: &[u8]) -> String {
    let error = decode_bytes("test", bytes, &DecodeOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error}");
    error.to_string()
}

/// A picture that does not compress well, so that cutting it cuts pixels.
fn busy() -> DynamicImage {
    let pixel =
        |x: u32, y: u32| Rgb([((x * 37) ^ (y * 91)) as u8, (x * y * 13) as u8, (x * 7 + y * 53) as u8]);
    RgbImage::from_fn(64, 48, pixel).into()
}

/// A PNG chunk with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    });
    [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

/// A PNG of raw filtered rows, uncompressed.
fn png(width: u32, height: u32, depth: u8, colour: u8, extra: &[u8], rows: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let length = rows.len() as u16;
    let (a, b) = rows
        .iter()
        .fold((1, 0), |(a, b), row| ((a + u32::from(*row)) % 65521, (b + a + u32::from(*row)) % 65521));
    let data = [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        rows,
        &(b << 16 | a).to_be_bytes(),
    ]
    .concat();
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    [signature, chunk(b"IHDR", &header), extra.to_vec(), chunk(b"IDAT", &data), chunk(b"IEND", &[])].concat()
}

/// Puts an EXIF segment with an orientation, and a thumbnail's end marker, behind a JPEG's first marker.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff = [
        b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation, 0, 0, 0, 0, 0, 0],
    ];
    let body = [&tiff.concat()[..], &[0xFF, 0xD8, 0xFF, 0xD9]].concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &body, &jpeg[2..]].concat()
}

#[test]
fn grey_and_colour() {
    let grey = encode(&GrayImage::from_fn(3, 2, |x, y| Luma([(10 * x + y) as u8])).into(), ImageFormat::Png);
    let pixels = [0.0f32, 10.0, 20.0, 1.0, 11.0, 21.0].map(|v| v / 255.0).to_vec();
    assert_eq!(decoded(&grey), Image { height: 2, width: 3, channels: 1, pixels });
    let as_colour = DecodeOptions { channels: Some(3), ..DecodeOptions::default() };
    assert_eq!(bytes_of(&decode_bytes("grey", &grey, &as_colour).unwrap())[3..6], [10, 10, 10]);

    let colour = encode(&RgbImage::from_pixel(1, 1, Rgb([200, 100, 50])).into(), ImageFormat::Bmp);
    assert_eq!(bytes_of(&decoded(&colour)), [200, 100, 50]);
    let as_grey = DecodeOptions { channels: Some(1), ..DecodeOptions::default() };
    // 0.2126 * 200 + 0.7152 * 100 + 0.0722 * 50 = 117.65
    let luma = decode_bytes("colour", &colour, &as_grey).unwrap().pixels[0] * 255.0;
    assert!((luma - 117.65).abs() < 0.02, "{luma}");
    let two = DecodeOptions { channels: Some(2), ..DecodeOptions::default() };
    assert!(matches!(decode_bytes("colour", &colour, &two), Err(Error::Config { .. })));
}

#[test]
fn sixteen_bits_are_scaled() {
    let values = [0, 257, 32768, 65535];
    let grey = ImageBuffer::<Luma<u16>, _>::from_vec(4, 1, values.to_vec()).unwrap();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let image = decoded(&encode(&grey.clone().into(), format));
        assert_eq!((image.channels, image.pixels), (1, values.map(|v| f32::from(v) / 65535.0).to_vec()));
    }
    let colour = ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([65535, 257 * 9, 0]));
    assert_eq!(bytes_of(&decoded(&encode(&colour.into(), ImageFormat::Png))), [255, 9, 0]);
}

#[test]
fn alpha_is_dropped() {
    let colour = ImageBuffer::from_pixel(1, 1, Rgba([9u8, 8, 7, 0]));
    assert_eq!(bytes_of(&decoded(&encode(&colour.into(), ImageFormat::Png))), [9, 8, 7]);
    let grey = ImageBuffer::from_pixel(1, 1, LumaA([9u8, 0]));
    assert_eq!(bytes_of(&decoded(&encode(&grey.into(), ImageFormat::Png))), [9]);
}

#[test]
fn palettes_are_resolved() {
    let palette = chunk(b"PLTE", &[1, 2, 3, 40, 50, 60]);
    let bytes = png(2, 1, 1, 3, &palette, &[0, 0b0100_0000]);
    assert_eq!(bytes_of(&decoded(&bytes)), [1, 2, 3, 40, 50, 60]);
}

#[test]
fn cmyk_becomes_rgb() {
    // Eight by eight pixels of four flat components at 128, in Adobe's inverted CMYK: 128 * 128 / 255 = 64.
    let components = [1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0];
    let table = |class: u8| [&[0xFF, 0xC4, 0, 20, class, 1][..], &[0; 15], &[0]].concat();
    let bytes = [
        &[0xFF, 0xD8, 0xFF, 0xEE, 0, 14][..],
        b"Adobe\0\x64\0\0\0\0\0",
        &[0xFF, 0xDB, 0, 67, 0],
        &[1; 64],
        &[0xFF, 0xC0, 0, 20, 8, 0, 8, 0, 8, 4],
        &components,
        &table(0x00),
        &table(0x10),
        &[0xFF, 0xDA, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0, 0x00, 0xFF, 0xD9],
    ]
    .concat();
    let picture = decoded(&bytes);
    assert_eq!((picture.height, picture.width, picture.channels), (8, 8, 3));
    assert!(bytes_of(&picture).iter().all(|value| (63..=65).contains(value)), "{:?}", &picture.pixels[..3]);
}

#[test]
fn exif_turns_the_picture() {
    let left_dark = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 0 } else { 255 }]));
    let turned = with_exif(&encode(&left_dark.into(), ImageFormat::Jpeg), 6);
    let picture = decoded(&turned);
    assert_eq!((picture.height, picture.width), (16, 8));
    let values = bytes_of(&picture);
    assert!(values[..64].iter().all(|v| *v < 40) && values[64..].iter().all(|v| *v > 215));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned.jpg");
    fs::write(&path, turned).unwrap();
    assert_eq!(dimensions(&path).unwrap(), [16, 8]);
}

#[test]
fn content_counts_and_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really_a_bmp.PNG");
    fs::write(&path, encode(&busy(), ImageFormat::Bmp)).unwrap();
    assert_eq!(bytes_of(&decode(&path, &DecodeOptions::default()).unwrap()), busy().into_rgb8().into_raw());
    assert_eq!(dimensions(&path).unwrap(), [48, 64]);
    assert!(matches!(
        decode(&folder.path().join("none.png"), &DecodeOptions::default()),
        Err(Error::Io { .. })
    ));
}

#[test]
fn files_cut_short_are_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Tiff] {
        let whole = encode(&busy(), format);
        for part in [0, 3, 10, 40, 60, 90] {
            refused(&whole[..whole.len() * part / 100]);
        }
    }
    let jpeg = with_exif(&encode(&busy(), ImageFormat::Jpeg), 1);
    refused(&jpeg[..jpeg.len() - 2]);
    // Bytes behind the end marker, as some cameras leave them, are no fault.
    decoded(&[&jpeg[..], b"trailer"].concat());
}

#[test]
fn other_files_are_refused() {
    assert!(refused(b"").contains("empty"));
    assert!(refused(b"hello").contains("not an image"));
    assert!(refused(b"GIF89a\x01\0\x01\0\0\0\0").contains("Gif"));
    let float = ImageBuffer::from_pixel(2, 2, Rgb([0.5f32, 1.0, 2.0]));
    assert!(refused(&encode(&float.into(), ImageFormat::Tiff)).contains("floating point"));
}

#[test]
fn large_images_are_refused_before_they_are_decoded() {
    assert!(refused(&png(100_000, 100_000, 8, 2, &[], &[0])).contains("10000000000 pixels"));
    let bytes = encode(&busy(), ImageFormat::Png);
    let limited = |max_pixels| decode_bytes("busy", &bytes, &DecodeOptions { max_pixels, channels: None });
    assert!(limited(64 * 48).is_ok() && limited(64 * 48 - 1).is_err());
}

#[test]
fn resizing() {
    let flat = Image { height: 9, width: 7, channels: 3, pixels: [0.1, 0.2, 0.3].repeat(63) };
    let resized = resize(&flat, [4, 15]).unwrap();
    assert_eq!((resized.height, resized.width, resized.channels), (4, 15, 3));
    let mut pairs = resized.pixels.iter().zip([0.1f32, 0.2, 0.3].repeat(60));
    assert!(resized.pixels.len() == 180 && pairs.all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(resize(&flat, [9, 7]).unwrap(), flat);
    // Antialiased: a fine checkerboard becomes even grey instead of a coarser one.
    let board = (0..64 * 64).map(|i| f32::from(u8::from((i / 64 + i % 64) % 2 != 0))).collect();
    let grey = resize(&Image { height: 64, width: 64, channels: 1, pixels: board }, [16, 16]).unwrap();
    assert!(grey.pixels.iter().all(|value| (0.4..0.61).contains(value)), "{:?}", &grey.pixels[..16]);
    assert!(matches!(resize(&flat, [0, 4]), Err(Error::Config { .. })));
    let torn = Image { pixels: vec![0.0; 5], ..flat };
    assert!(matches!(resize(&torn, [4, 4]), Err(Error::Config { .. })));
}

#[test]
fn every_orientation_has_the_right_shape() {
    let jpeg = encode(&GrayImage::new(8, 16).into(), ImageFormat::Jpeg);
    for orientation in 1..=8 {
        let picture = decoded(&with_exif(&jpeg, orientation));
        assert_eq!((picture.height, picture.width), if orientation < 5 { (16, 8) } else { (8, 16) });
    }
}

#[test]
fn grey_is_the_luma_of_the_decoder() {
    let side = 0..=255u8;
    let colours: Vec<u8> = side
        .clone()
        .step_by(5)
        .flat_map(|r| {
            (0..=255).step_by(5).flat_map(move |g| (0..=255).step_by(5).flat_map(move |b| [r, g, b]))
        })
        .collect();
    let picture = ::image::RgbImage::from_raw(colours.len() as u32 / 3, 1, colours.clone()).unwrap();
    let expected = DynamicImage::ImageRgb8(picture).into_luma8().into_raw();
    let grey = |colours: &[u8]| {
        let pixels = colours.iter().map(|&v| f32::from(v) / 255.0).collect();
        let image = Image { height: 1, width: colours.len() / 3, channels: 3, pixels };
        image.with_channels(1).unwrap().pixels
    };
    // The decoder's luma is rounded down to 8 bits.
    let got = grey(&colours);
    assert!(got.iter().zip(&expected).all(|(a, &b)| (a * 255.0 - f32::from(b)).abs() < 1.01));
    let equal: Vec<u8> = side.clone().flat_map(|v| [v; 3]).collect();
    assert_eq!(grey(&equal), side.map(|v| f32::from(v) / 255.0).collect::<Vec<_>>());
}

//! Images as they come: every depth and colour type, turned, misnamed, cut short, and hostile.
#![expect(clippy::unwrap_used, reason = "tests")]

use ::image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

use super::*;

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
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

/// A image that does not compress well, so that cutting it cuts pixels.
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
fn what_is_transparent_is_laid_on_white() {
    for hidden in [0u8, 9, 255] {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
            let colours = [Rgba([hidden, 8, 7, 0]), Rgba([9, 8, 7, 255]), Rgba([0, 100, 255, 51])];
            let colour = ImageBuffer::from_fn(3, 1, |x, _| colours[x as usize]);
            let pixels = bytes_of(&decoded(&encode(&colour.into(), format)));
            // A fifth of 0, 100 and 255, four fifths of white.
            assert_eq!(pixels, [255, 255, 255, 9, 8, 7, 204, 224, 255], "{format:?}");
        }
        let grey = ImageBuffer::from_fn(2, 1, |x, _| LumaA([hidden, 255 * x as u8]));
        assert_eq!(bytes_of(&decoded(&encode(&grey.into(), ImageFormat::Png))), [255, hidden]);
    }
    let deep = ImageBuffer::from_pixel(1, 1, LumaA([1000u16, 65535]));
    assert_eq!(decoded(&encode(&deep.into(), ImageFormat::Png)).pixels, [1000.0 / 65535.0]);
}

#[test]
fn webp_and_pnm_are_read() {
    assert_eq!(bytes_of(&decoded(&encode(&busy(), ImageFormat::WebP))), busy().into_rgb8().into_raw());
    assert_eq!(bytes_of(&decoded(&encode(&busy(), ImageFormat::Pnm))), busy().into_rgb8().into_raw());
    assert_eq!(bytes_of(&decoded(b"P5 2 1 255\n\x07\xf0")), [7, 240]);
    assert_eq!(bytes_of(&decoded(b"P2\n# a comment\n2 1\n15\n0 15\n")), [0, 255]);
    assert_eq!(bytes_of(&decoded(b"P4 2 1\n\x40")), [255, 0]);
    // 12 bits: the largest value is the file's own.
    let deep = decoded(b"P5 2 1 4095\n\x0f\xff\x08\x00");
    assert!((deep.pixels[0] - 1.0).abs() < 1e-4 && (deep.pixels[1] - 2048.0 / 4095.0).abs() < 1e-4);
    assert!(refused(b"P5 2 2 255\n\x07").contains("cut short"));
}

/// A TIFF of one row of grey values, written by hand: type of sample, bytes of a sample, little-endian data, further pages.
fn tiff_by_hand(format: u16, values: &[u8], bytes_each: usize, pages: &[u32], big: bool) -> Vec<u8> {
    let mut out = if big { b"II+\0\x08\0\0\0".to_vec() } else { b"II*\0".to_vec() };
    let word = |out: &mut Vec<u8>, v: usize| match big {
        true => out.extend((v as u64).to_le_bytes()),
        false => out.extend((v as u32).to_le_bytes()),
    };
    let pointer = if big { 8 } else { 4 };
    let start = out.len() + pointer + values.len();
    word(&mut out, start);
    let data = out.len();
    out.extend(values);
    for (page, &kind) in pages.iter().enumerate() {
        let width = values.len() / bytes_each;
        let tags = [
            (254u16, 4u16, kind as usize),
            (256, 4, width),
            (257, 4, 1),
            (258, 3, 8 * bytes_each),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, data),
            (277, 3, 1),
            (278, 4, 1),
            (279, 4, values.len()),
            (339, 3, usize::from(format)),
        ];
        match big {
            true => out.extend((tags.len() as u64).to_le_bytes()),
            false => out.extend((tags.len() as u16).to_le_bytes()),
        }
        for (tag, kind, value) in tags {
            out.extend(tag.to_le_bytes());
            out.extend(kind.to_le_bytes());
            word(&mut out, 1);
            word(&mut out, value);
        }
        let next = if page + 1 < pages.len() { out.len() + pointer } else { 0 };
        word(&mut out, next);
    }
    out
}

#[test]
fn kinds_of_tiff() {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(bytes_of(&decoded(&tiff_by_hand(1, &[7, 240], 1, &[0], false))), [7, 240]);
    assert_eq!(bytes_of(&decoded(&tiff_by_hand(1, &[7, 240], 1, &[0], true))), [7, 240]);
    // A thumbnail is no second page.
    assert_eq!(bytes_of(&decoded(&tiff_by_hand(1, &[7, 240], 1, &[0, 1], false))), [7, 240]);
    let pages = refused(&tiff_by_hand(1, &[7, 240], 1, &[0, 0, 0], false));
    assert!(pages.contains("3 pages") && pages.contains("file of its own"), "{pages}");

    let float = decoded(&tiff_by_hand(3, &bytes(&[0.0, 0.123, 1.0]), 4, &[0], false));
    assert_eq!((float.channels, float.pixels), (1, vec![0.0, 0.123, 1.0]));
    let kelvin = tiff_by_hand(3, &bytes(&[290.0, 300.0, 310.0]), 4, &[0], true);
    let error = refused(&kelvin);
    assert!(error.contains("from 290 to 310") && error.contains("data.range=[290, 310]"), "{error}");
    let range = DecodeOptions { range: Some([290.0, 310.0]), ..DecodeOptions::default() };
    assert_eq!(decode_bytes("kelvin", &kelvin, &range).unwrap().pixels, [0.0, 0.5, 1.0]);
    assert!(refused(&tiff_by_hand(3, &bytes(&[0.0, f32::NAN]), 4, &[0], false)).contains("not finite"));
    for (format, each, word) in
        [(2, 2, "signed 16-bit"), (1, 4, "32-bit integers"), (3, 8, "64-bit floating")]
    {
        let error = refused(&tiff_by_hand(format, &[0; 16], each, &[0], false));
        assert!(error.contains(word) && error.contains("save it as 8 or 16 bits"), "{error}");
    }
    let whole = tiff_by_hand(3, &bytes(&[0.5; 9]), 4, &[0], false);
    (0..whole.len())
        .for_each(|end| _ = decode_bytes("cut", &whole[..end], &DecodeOptions::default()).unwrap_err());
}

#[test]
fn a_range_is_for_images_of_more_than_eight_bits() {
    let deep = ImageBuffer::<Luma<u16>, _>::from_vec(3, 1, vec![0, 1024, 4095]).unwrap();
    let range = DecodeOptions { range: Some([0.0, 4095.0 / 65535.0]), ..DecodeOptions::default() };
    let read = decode_bytes("deep", &encode(&deep.into(), ImageFormat::Png), &range).unwrap();
    assert!((read.pixels[1] - 1024.0 / 4095.0).abs() < 1e-6 && (read.pixels[2] - 1.0).abs() < 1e-6);
    let grey = encode(&GrayImage::from_pixel(1, 1, Luma([51])).into(), ImageFormat::Png);
    assert_eq!(decode_bytes("grey", &grey, &range).unwrap().pixels, [0.2]);
}

#[test]
fn animations_are_refused() {
    let control = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    assert!(refused(&png(1, 1, 8, 0, &control, &[0, 9])).contains("animation"));
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for path in [path.as_path(), Path::new("/dev/zero"), folder.path()] {
        let error = decode(path, &DecodeOptions::default()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert!(dimensions(path).is_err());
    }
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
    let image = decoded(&bytes);
    assert_eq!((image.height, image.width, image.channels), (8, 8, 3));
    assert!(bytes_of(&image).iter().all(|value| (63..=65).contains(value)), "{:?}", &image.pixels[..3]);
}

#[test]
fn exif_turns_the_image() {
    let left_dark = GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 0 } else { 255 }]));
    let turned = with_exif(&encode(&left_dark.into(), ImageFormat::Jpeg), 6);
    let image = decoded(&turned);
    assert_eq!((image.height, image.width), (16, 8));
    let values = bytes_of(&image);
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
    for format in TESTED_FORMATS {
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
    let float =
        |most| encode(&ImageBuffer::from_pixel(2, 2, Rgb([0.5f32, 1.0, most])).into(), ImageFormat::Tiff);
    assert!(refused(&float(2.0)).contains("floating point"));
    assert_eq!(decoded(&float(0.25)).pixels[..3], [0.5, 1.0, 0.25]);
}

#[test]
fn large_images_are_refused_before_they_are_decoded() {
    assert!(refused(&png(100_000, 100_000, 8, 2, &[], &[0])).contains("10000000000 pixels"));
    let error = refused(&png(100_000, 100_000, 8, 2, &[], &[0]));
    assert!(error.contains("`--max-pixels`") && error.contains("`data.max_pixels`"), "{error}");
    let bytes = encode(&busy(), ImageFormat::Png);
    let limited =
        |max_pixels| decode_bytes("busy", &bytes, &DecodeOptions { max_pixels, ..DecodeOptions::default() });
    assert!(limited(64 * 48).is_ok() && limited(64 * 48 - 1).is_err());
}

#[test]
fn every_orientation_has_the_right_shape() {
    let jpeg = encode(&GrayImage::new(8, 16).into(), ImageFormat::Jpeg);
    for orientation in 1..=8 {
        let image = decoded(&with_exif(&jpeg, orientation));
        assert_eq!((image.height, image.width), if orientation < 5 { (16, 8) } else { (8, 16) });
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
    let image = ::image::RgbImage::from_raw(colours.len() as u32 / 3, 1, colours.clone()).unwrap();
    let expected = DynamicImage::ImageRgb8(image).into_luma8().into_raw();
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

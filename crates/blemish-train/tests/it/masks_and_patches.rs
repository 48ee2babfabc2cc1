//! What has no weights, against the PyTorch reference: patches, positions, masks.

use blemish::config::Sinusoid;
use blemish_train::model::patchify::{patchify, unpatchify};
use blemish_train::model::pos_embed::sinusoid;
use burn::tensor::{Tensor, TensorData};

use crate::fixture::{FORWARD, Fixture, assert_close, channels_first, channels_last, device, values};

#[test]
fn patches_there_and_back() {
    let fixture = Fixture::open("patchify");
    let patches = patchify(channels_last(fixture.tensor("input.image")), 4);
    fixture.agrees("output.patches", patches.clone(), 0.0);
    fixture.agrees("input.image", channels_first(unpatchify(patches, 4, [8, 12])), 0.0);
}

#[test]
fn positions() {
    let fixture = Fixture::open("pos_embed");
    for (kind, name, sizes) in [
        (Sinusoid::TwoD, "sincos_2d", [[3, 5, 16], [4, 4, 24]]),
        (Sinusoid::Row, "sincos_row", [[4, 4, 16], [3, 3, 512]]),
    ] {
        for [rows, columns, dim] in sizes {
            let got = sinusoid(kind, [rows, columns], dim, &device());
            fixture.agrees(&format!("{name}.{rows}x{columns}x{dim}"), got, FORWARD);
        }
    }
}

#[test]
fn masks() {
    let fixture = Fixture::open("mask");
    let mask = fixture.mask("input.mask", [2, 3]);

    let image = values(channels_last(fixture.tensor("input.image")));
    let hidden = mask.pixels(4);
    let blanked = image.chunks(3).zip(hidden).flat_map(|(pixel, h)| {
        let value = move |&v: &f32| if h == 1.0 { 0.5 } else { v };
        pixel.iter().map(value)
    });
    let blanked = TensorData::new(blanked.collect::<Vec<f32>>(), [2, 8, 12, 3]);
    fixture.agrees("output.blanked", channels_first(Tensor::from_data(blanked, &device())), 0.0);

    let rows = |ids: &[i64], from: &[f32]| -> Vec<f32> {
        ids.iter().flat_map(|&i| from[i as usize * 5..][..5].to_vec()).collect()
    };
    let visible = rows(&mask.ids_keep(), &values(fixture.tensor::<3>("input.tokens")));
    assert_close("visible", &visible, &values(fixture.tensor::<3>("output.visible")), 0.0);
    let with_token = [visible, values(fixture.tensor::<1>("input.mask_token"))].concat();
    let scattered = rows(&mask.ids_restore(), &with_token);
    assert_close("scattered", &scattered, &values(fixture.tensor::<3>("output.scattered")), 0.0);
}

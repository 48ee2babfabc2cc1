//! The losses and their gradients against the PyTorch reference.

use blemish_train::loss::{masked_mse, mse, reconstruction, ssim, ssim_map};
use burn::tensor::Tensor;

use crate::fixture::{FORWARD, Fixture, GRADIENT, channels_last};

const PATCH_SIZE: usize = 16;

#[test]
fn losses() {
    let fixture = Fixture::open("losses");
    for (case, grid) in [("rgb", [1, 2]), ("grey", [2, 1])] {
        let mask = &fixture.mask(&format!("{case}.mask"), grid);
        let check = |name: &str, loss: &dyn Fn(Tensor<4>, Tensor<4>) -> Tensor<1>| {
            let prediction = fixture.tensor::<4>(&format!("{case}.prediction")).require_grad();
            let target = channels_last(fixture.tensor(&format!("{case}.target")));
            let loss = loss(channels_last(prediction.clone()), target);
            fixture.agrees(&format!("{case}.{name}"), loss.clone(), GRADIENT);
            let gradient = prediction.grad(&loss.backward()).unwrap();
            fixture.agrees(&format!("{case}.grad.{name}"), gradient, GRADIENT);
        };
        check("mse", &|p, t| mse(p, t));
        check("masked_patch_mse", &|p, t| masked_mse(p, t, mask, PATCH_SIZE));
        check("ssim", &|p, t| ssim(p, t));
        check("pretrain_loss", &|p, t| reconstruction(p, t, mask, PATCH_SIZE, 0.2));
    }
}

#[test]
fn ssim_of_every_window() {
    let fixture = Fixture::open("losses");
    for case in ["rgb", "grey"] {
        let image = |name: &str| channels_last(fixture.tensor(&format!("{case}.{name}")));
        let map = ssim_map(image("prediction"), image("target"));
        let [planes, h, w] = map.dims();
        fixture.agrees(&format!("{case}.ssim_map"), map.reshape([2, planes / 2, h, w]), FORWARD);
    }
}

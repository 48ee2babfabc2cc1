//! What pre-training asks of features, and its gradients, against the PyTorch reference.

use blemish_train::pretrain::batch::Pairs;
use blemish_train::pretrain::retrieve::Level;
use burn::tensor::Tensor;

use crate::fixture::{Fixture, GRADIENT, values};

#[test]
fn ranking_and_contrast() {
    let fixture = Fixture::open("retrieve");
    let numbers = |name: &str| values(fixture.tensor::<1>(&format!("input.{name}")));
    let pairs = Pairs {
        step: 0,
        size: [32, 32],
        scenes: 3,
        first: Vec::new(),
        clean: Vec::new(),
        defect: values(fixture.tensor::<4>("input.defect")),
        reference: Vec::new(),
        near: numbers("near").iter().map(|v| *v > 0.0).collect(),
    };
    let places = ["taken", "others"].map(|name| numbers(name).iter().map(|v| *v as i64).collect());
    let check = |name: &str, loss: &dyn Fn(&Level) -> Option<Tensor<1>>| {
        let [first, reference] =
            ["first", "reference"].map(|name| fixture.tensor::<4>(&format!("input.{name}")).require_grad());
        let level = Level::new(first.clone(), reference.clone(), 4);
        let loss = loss(&level).unwrap();
        fixture.agrees(name, loss.clone(), GRADIENT);
        let gradients = loss.backward();
        for (of, x) in [("first", first), ("reference", reference)] {
            fixture.agrees(&format!("grad.{name}.{of}"), x.grad(&gradients).unwrap(), GRADIENT);
        }
    };
    check("retrieve", &|level| level.retrieve(&pairs));
    check("contrast", &|level| level.contrast(&pairs, 0.1, &places));
}

//! What pre-training asks of features, and its gradients, against the PyTorch reference.

use blemish_train::pretrain::batch::Triples;
use blemish_train::pretrain::retrieve::Level;
use burn::tensor::Tensor;

use crate::fixture::{Fixture, GRADIENT, values};

#[test]
fn ranking_and_contrast() {
    let fixture = Fixture::open("retrieve");
    let numbers = |name: &str| values(fixture.tensor::<1>(&format!("input.{name}")));
    let triples = Triples {
        step: 0,
        size: [32, 32],
        scenes: 3,
        first: Vec::new(),
        clean: Vec::new(),
        defect: values(fixture.tensor::<4>("input.defect")),
        reference: Vec::new(),
        good: Vec::new(),
        near: numbers("near").iter().map(|v| *v > 0.0).collect(),
    };
    let places = ["taken", "others"].map(|name| numbers(name).iter().map(|v| *v as i64).collect());
    let check = |name: &str, photos: &[&str], loss: &dyn Fn(&Level) -> Option<Tensor<1>>| {
        let [first, reference, good] = ["first", "reference", "good"]
            .map(|name| fixture.tensor::<4>(&format!("input.{name}")).require_grad());
        let level = Level::new(first.clone(), reference.clone(), good.clone(), 4);
        let loss = loss(&level).unwrap();
        fixture.agrees(name, loss.clone(), GRADIENT);
        let gradients = loss.backward();
        let all = [("first", first), ("reference", reference), ("good", good)];
        for (of, x) in all.into_iter().filter(|(of, _)| photos.contains(of)) {
            fixture.agrees(&format!("grad.{name}.{of}"), x.grad(&gradients).unwrap(), GRADIENT);
        }
    };
    check("retrieve", &["first", "reference", "good"], &|level| level.retrieve(&triples));
    check("contrast", &["first", "reference"], &|level| level.contrast(&triples, 0.1, &places));
}

//! What a stem begins with before it is pre-trained, against the PyTorch reference.

use blemish::engine::{Array, Weights};
use blemish_train::pretrain::begin_with_filters;

use crate::fixture::{Fixture, values};

#[test]
fn the_stem_begins_with_the_same_filters() {
    let fixture = Fixture::open("filters");
    let widths = [3, 18, 24, 30];
    let array = |shape: Vec<usize>, v: f32| Array { values: vec![v; shape.iter().product()], shape };
    let mut weights = Weights::new();
    for (i, w) in widths.windows(2).enumerate() {
        weights.insert(format!("stem.convs.{i}.weight"), array(vec![9 * w[0], w[1]], 0.5));
        weights.insert(format!("stem.convs.{i}.bias"), array(vec![w[1]], 0.25));
    }
    begin_with_filters(&mut weights);
    for (name, array) in &weights {
        let wanted = match array.shape.len() {
            1 => values(fixture.tensor::<1>(name)),
            _ => values(fixture.tensor::<2>(name)),
        };
        assert_eq!(array.values.len(), wanted.len(), "{name}");
        for (got, wanted) in array.values.iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-6, "{name}: {got}, not {wanted}");
        }
    }
}

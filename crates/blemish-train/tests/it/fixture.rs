//! The golden fixtures that `reference/fixtures.py` writes; `reference/README.md` says what they hold.

use std::path::PathBuf;

use blemish::engine::{Array, Mask, Weights};
use blemish_train::model::init::Init;
use blemish_train::model::{load_weights, read_gradients};
use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

/// How far layers and whole forward passes may be off, relative to the largest value.
pub const FORWARD: f32 = 1e-4;
/// How far losses and gradients may be off.
pub const GRADIENT: f32 = 1e-3;

/// Path of the fixture file `name`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The CPU, with gradients.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// One file of named arrays.
pub struct Fixture {
    name: String,
    arrays: Weights,
    /// The model's configuration, or a layer's few sizes.
    pub config: serde_json::Value,
}

impl Fixture {
    /// Reads `{name}.safetensors`.
    pub fn open(name: &str) -> Self {
        let bytes = std::fs::read(path(&format!("{name}.safetensors"))).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["config"]).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let array = |view: safetensors::tensor::TensorView<'_>| {
            let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Array { shape: view.shape().to_vec(), values }
        };
        let arrays = file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect();
        Self { name: name.to_owned(), arrays, config }
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The array, in its own layout.
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let Array { shape, values } = &self.arrays[name];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), &device())
    }

    /// The mask `name`, for a grid of that many rows and columns.
    pub fn mask(&self, name: &str, grid: [usize; 2]) -> Mask {
        let rows = self.arrays[name].values.chunks_exact(grid[0] * grid[1]);
        Mask::new(grid, rows.map(|row| row.iter().map(|&v| v == 1.0).collect()).collect())
    }

    /// All arrays under `prefix`, named as the crate names them.
    pub fn weights(&self, prefix: &str) -> Weights {
        let inside = |(name, array): (&String, &Array)| {
            let name = name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned();
            let mut array = array.clone();
            if name.ends_with("learnable") {
                array.shape.remove(0);
            }
            Some((name, array))
        };
        self.arrays.iter().filter_map(inside).collect()
    }

    /// Holds `got` against the array `name`.
    pub fn agrees<const D: usize>(&self, name: &str, got: Tensor<D>, tolerance: f32) {
        let expected = &self.arrays[name];
        assert_eq!(got.dims().to_vec(), expected.shape, "{} {name}: shape", self.name);
        assert_close(&format!("{} {name}", self.name), &values(got), &expected.values, tolerance);
    }

    /// Holds every gradient against the array of its name under `prefix`.
    ///
    /// DyT's alpha is one number, a sum whose terms may cancel: 32-bit PyTorch is off by 2.6e-3 on the gradient of
    /// `decoder.1.norm2.alpha`, 1.3e-4. So no gradient is held to more than a thousandth of the largest one.
    pub fn gradients_agree(&self, prefix: &str, got: &Weights) {
        let expected = self.weights(prefix);
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", self.name);
        let least = 1e-3 * largest(expected.values().flat_map(|array| array.values.iter().copied()));
        for (name, array) in &expected {
            let scale = largest(array.values.iter().copied()).max(least);
            let what = format!("{} {prefix}.{name}", self.name);
            assert_close_on(scale, &what, &got[name].values, &array.values, GRADIENT);
        }
    }
}

/// Reads one input's gradient.
type Gradient = Box<dyn Fn(&Gradients) -> Vec<f32>>;

/// One layer's fixture at work: what went in, and the scalar whose gradients are stored.
pub struct Layer {
    fixture: Fixture,
    inputs: Vec<(String, Gradient)>,
    total: Tensor<1>,
}

impl Layer {
    /// The layer's fixture and the layer that `build` makes, with the fixture's weights.
    pub fn open<M: Module>(name: &str, build: impl FnOnce(&mut Init<'_>) -> M) -> (Self, M) {
        let fixture = Fixture::open(name);
        let module = build(&mut Init::new(&mut ChaCha8Rng::seed_from_u64(0), &device()));
        let module = load_weights(module, fixture.weights("weight")).unwrap();
        (Self { fixture, inputs: Vec::new(), total: Tensor::zeros([1], &device()) }, module)
    }

    /// An input.
    pub fn input<const D: usize>(&mut self, name: &str) -> Tensor<D> {
        let leaf = self.fixture.tensor::<D>(&format!("input.{name}")).require_grad();
        let kept = leaf.clone();
        self.inputs.push((name.to_owned(), Box::new(move |g| values(kept.grad(g).unwrap()))));
        leaf
    }

    /// An output: checked, and added to the scalar.
    pub fn output<const D: usize>(&mut self, name: &str, y: Tensor<D>) {
        self.fixture.agrees(&format!("output.{name}"), y.clone(), FORWARD);
        let functional = self.fixture.tensor::<D>(&format!("functional.{name}"));
        self.total = self.total.clone() + (y * functional).sum();
    }

    /// Checks the gradients of all inputs and weights.
    pub fn gradients<M: Module>(self, module: &M) {
        let gradients = self.total.backward();
        for (name, read) in &self.inputs {
            let name = format!("grad.input.{name}");
            let what = format!("{} {name}", self.fixture.name);
            assert_close(&what, &read(&gradients), &self.fixture.arrays[&name].values, GRADIENT);
        }
        self.fixture.gradients_agree("grad.weight", &read_gradients(module, gradients));
    }
}

/// The largest difference over the largest expected value stays within `tolerance`.
pub fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_close_on(largest(expected.iter().copied()), what, got, expected, tolerance);
}

/// The largest difference over `scale` stays within `tolerance`.
fn assert_close_on(scale: f32, what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let error = largest(got.iter().zip(expected).map(|(g, e)| g - e)) / scale.max(f32::MIN_POSITIVE);
    println!("{error:8.1e}  {what}");
    assert!(error <= tolerance, "{what}: off by {error:.1e} of {scale:.3e}");
}

/// The largest magnitude; NaN if there is one.
fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |most: f32, v| if v.is_nan() || v.abs() > most { v.abs() } else { most })
}

/// A tensor's values, row by row.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// `[B, C, H, W]` -> `[B, H, W, C]`
pub fn channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// `[B, H, W, C]` -> `[B, C, H, W]`
pub fn channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

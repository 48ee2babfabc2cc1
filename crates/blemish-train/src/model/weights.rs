//! The model's parameters by name: out of it for files, gradients and optimisers, and back into it.

use blemish::engine::{Array, Weights};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::mae::Mae;

impl Mae {
    /// A copy of every parameter.
    pub fn weights(&self) -> Weights {
        let mut collector = Collector { path: Vec::new(), weights: Weights::new() };
        self.visit(&mut collector);
        collector.weights
    }

    /// The model with its parameters replaced; see [`load_weights`].
    ///
    /// # Errors
    /// A sentence that names the first parameter that is missing, unknown or of another shape.
    pub fn with_weights(self, weights: Weights) -> Result<Self, String> {
        load_weights(self, weights)
    }

    /// The gradient of every parameter that took part in the loss.
    pub fn gradients(&self, gradients: Gradients) -> Weights {
        read_gradients(self, gradients)
    }

    /// The model with every parameter's values changed in place by `update(name, values)`.
    pub fn update(self, update: impl FnMut(&str, &mut [f32])) -> Self {
        self.map(&mut Updater { path: Vec::new(), update })
    }

    /// How many trainable numbers the model has.
    pub fn parameter_count(&self) -> usize {
        self.num_params()
    }
}

/// `module` with its parameters replaced, by their names within it.
///
/// # Errors
/// A sentence that names the first parameter that is missing, unknown or of another shape.
pub fn load_weights<M: Module>(module: M, weights: Weights) -> Result<M, String> {
    let mut loader = Replacer { path: Vec::new(), weights, fault: None };
    let module = module.map(&mut loader);
    if let Some(name) = loader.weights.keys().next() {
        loader.fault.get_or_insert(format!("parameter {name} is not part of this model"));
    }
    loader.fault.map_or(Ok(module), Err)
}

/// The gradient of every parameter of `module` that took part in the loss, by its name within the module.
pub fn read_gradients<M: Module>(module: &M, mut gradients: Gradients) -> Weights {
    let mut reader = GradientReader { path: Vec::new(), from: &mut gradients, weights: Weights::new() };
    module.visit(&mut reader);
    reader.weights
}

struct Collector {
    path: Vec<String>,
    weights: Weights,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.weights.insert(self.path.join("."), Array { shape, values: values(tensor) });
    }
}

struct Replacer {
    path: Vec<String>,
    weights: Weights,
    fault: Option<String>,
}

impl ModuleMapper for Replacer {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let wanted = param.dims();
        match self.weights.remove(&name) {
            Some(array) if array.shape == wanted => with_values(param, array.values),
            Some(array) => {
                let reason = format!("parameter {name} has shape {:?}, not {wanted:?}", array.shape);
                self.fault.get_or_insert(reason);
                param
            }
            None => {
                self.fault.get_or_insert(format!("parameter {name} is missing"));
                param
            }
        }
    }
}

struct GradientReader<'a> {
    path: Vec<String>,
    from: &'a mut Gradients,
    weights: Weights,
}

impl ModuleVisitor for GradientReader<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.from) {
            let shape = gradient.dims().to_vec();
            self.weights.insert(self.path.join("."), Array { shape, values: values(gradient) });
        }
    }
}

struct Updater<F> {
    path: Vec<String>,
    update: F,
}

impl<F: FnMut(&str, &mut [f32])> ModuleMapper for Updater<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (shape, device) = (tensor.shape(), tensor.device());
            // The parameter has given its tensor away: where nothing else holds it, this copies nothing.
            let mut values = values(tensor);
            (self.update)(&self.path.join("."), &mut values);
            replacement(TensorData::new(values, shape), &device)
        })
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap_or_default()
}

fn with_values<const D: usize>(param: Param<Tensor<D>>, values: Vec<f32>) -> Param<Tensor<D>> {
    param.map(|tensor| replacement(TensorData::new(values, tensor.shape()), &tensor.device()))
}

/// A parameter's new tensor.
fn replacement<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    let fresh = Tensor::from_data(data, device);
    if device.is_autodiff() { fresh.require_grad() } else { fresh }
}

//! Images as Python has them: paths and arrays. Contiguous arrays of bytes and words are not copied.

use std::path::PathBuf;

use blemish::ImageView;
use blemish::image::{Image, Order};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::errors::{image, named, raise};

/// What an image is read from.
pub enum Source<'py> {
    /// A file.
    File(PathBuf),
    /// Samples in memory.
    Array(Array<'py>),
}

/// Samples of one image, kept alive.
pub struct Array<'py> {
    samples: Samples<'py>,
    height: usize,
    width: usize,
    order: Order,
}

enum Samples<'py> {
    Bytes(Held<'py, u8>),
    Words(Held<'py, u16>),
    /// 0 to 1, in the order red, green, blue.
    Floats(Image),
}

/// A part of an array's own memory.
struct Held<'py, T: Element> {
    /// Contiguous, row by row.
    array: PyReadonlyArrayDyn<'py, T>,
    from: usize,
    length: usize,
}

/// What can be used without Python.
pub enum Pixels<'a> {
    /// A file.
    File(&'a PathBuf),
    /// A buffer.
    View(ImageView<'a>),
    /// An image of numbers from 0 to 1.
    Image(&'a Image),
}

impl<T: Element> Held<'_, T> {
    fn slice(&self) -> &[T] {
        self.array.as_slice().ok().and_then(|all| all.get(self.from..self.from + self.length)).unwrap_or(&[])
    }
}

impl Source<'_> {
    /// What can be used without Python while `self` is kept.
    pub fn pixels(&self) -> Pixels<'_> {
        match self {
            Self::File(path) => Pixels::File(path),
            Self::Array(array) => array.pixels(),
        }
    }
}

impl Array<'_> {
    fn pixels(&self) -> Pixels<'_> {
        let Self { height, width, order, .. } = *self;
        match &self.samples {
            Samples::Bytes(bytes) => Pixels::View(ImageView::bytes(bytes.slice(), width, height, order)),
            Samples::Words(words) => Pixels::View(ImageView::words(words.slice(), width, height, order)),
            Samples::Floats(image) => Pixels::Image(image),
        }
    }

    /// A copy, with the channels that the array has.
    pub fn to_image(&self) -> blemish::Result<Image> {
        match self.pixels() {
            Pixels::View(view) => view.to_image(if self.order == Order::Grey { 1 } else { 3 }),
            Pixels::Image(image) => Ok(image.clone()),
            Pixels::File(path) => blemish::image::decode(path, &blemish::image::DecodeOptions::default()),
        }
    }
}

/// `rgb` or `bgr`.
pub fn order_of(py: Python<'_>, order: &str) -> PyResult<Order> {
    match order {
        "rgb" => Ok(Order::Rgb),
        "bgr" => Ok(Order::Bgr),
        other => Err(named(py, "ConfigError", format!("order: {other:?} is neither \"rgb\" nor \"bgr\""))),
    }
}

/// One image, or several: then the flag is set.
pub fn sources<'py>(value: &Bound<'py, PyAny>, order: Order) -> PyResult<(Vec<Source<'py>>, bool)> {
    if let Some(path) = path_of(value)? {
        return Ok((vec![Source::File(path)], false));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let mut all = Vec::new();
        for item in value.try_iter()? {
            let item = item?;
            let nested =
                || image(item.py(), "a list of images holds a list or a batch: give one list of images");
            // Not read: a list may hold itself.
            if item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>() {
                return Err(nested());
            }
            let (some, many) = sources(&item, order)?;
            if many {
                return Err(nested());
            }
            all.extend(some);
        }
        return Ok((all, true));
    }
    let array = array_of(value)?;
    let shape = array.shape().to_vec();
    if shape.len() == 4 {
        let one = |i| Ok(Source::Array(images(&array, order, &shape[1..], Some(i))?));
        return Ok(((0..shape[0]).map(one).collect::<PyResult<_>>()?, true));
    }
    Ok((vec![Source::Array(images(&array, order, &shape, None)?)], false))
}

/// A path, of a string or anything with `__fspath__`.
pub fn path_of(value: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    if value.is_instance_of::<PyString>() || value.hasattr("__fspath__")? {
        return value.extract().map(Some);
    }
    Ok(None)
}

/// A NumPy array, or one that NumPy makes of a buffer, a PIL image or a tensor; copied by NumPy unless it is contiguous, row by
/// row, at addresses that suit its dtype.
fn array_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = value.py();
    let array = if let Ok(array) = value.cast::<PyUntypedArray>() {
        array.clone()
    } else if value.hasattr("__array_interface__")? || value.hasattr("__array__")? {
        py.import("numpy")?.call_method1("asarray", (value,))?.cast_into::<PyUntypedArray>()?
    } else {
        let kind = value.get_type().name()?;
        return Err(image(
            py,
            format!("{kind} is no image: a path, an array [H, W] or [H, W, C], or a list of these"),
        ));
    };
    if array.hasattr("mask")? && array.hasattr("filled")? {
        return Err(image(py, "a masked array hides pixels: fill them, image.filled(0)"));
    }
    let flags = array.getattr("flags")?;
    if flags.getattr("c_contiguous")?.is_truthy()? && flags.getattr("aligned")?.is_truthy()? {
        return Ok(array);
    }
    Ok(py
        .import("numpy")?
        .call_method1("require", (array, py.None(), ["C", "A"]))?
        .cast_into::<PyUntypedArray>()?)
}

fn images<'py>(
    array: &Bound<'py, PyUntypedArray>,
    order: Order,
    shape: &[usize],
    number: Option<usize>,
) -> PyResult<Array<'py>> {
    let py = array.py();
    let (height, width, channels) = match *shape {
        [height, width] => (height, width, 1),
        [height, width, channels] => (height, width, channels),
        _ => {
            return Err(image(
                py,
                format!(
                    "an array of shape {:?} is no image: [H, W], [H, W, C] or a batch [N, H, W, C]",
                    array.shape()
                ),
            ));
        }
    };
    let order = match channels {
        1 => Order::Grey,
        3 => order,
        4 => return Err(image(py, "4 channels: leave out the last one, image[..., :3]")),
        other => {
            let hint = match (shape[0], number) {
                (1 | 3, None) => "; of [C, H, W] make [H, W, C] with image.transpose(1, 2, 0)",
                _ => "; a batch of grey images has shape [N, H, W, 1]",
            };
            return Err(image(
                py,
                format!("shape {:?} has {other} channels, not 1 or 3{hint}", array.shape()),
            ));
        }
    };
    if height == 0 || width == 0 {
        return Err(image(py, format!("an array of shape {:?} has no pixels", array.shape())));
    }
    let length = height * width * channels;
    let samples = if let Ok(bytes) = array.cast::<PyArrayDyn<u8>>() {
        Samples::Bytes(held(bytes, length, number)?)
    } else if let Ok(words) = array.cast::<PyArrayDyn<u16>>() {
        Samples::Words(held(words, length, number)?)
    } else if let Ok(floats) = array.cast::<PyArrayDyn<f32>>() {
        Samples::Floats(unit(py, held(floats, length, number)?.slice().to_vec(), [height, width], order)?)
    } else if let Ok(floats) = array.cast::<PyArrayDyn<f64>>() {
        let narrow = held(floats, length, number)?.slice().iter().map(|&v| v as f32).collect();
        Samples::Floats(unit(py, narrow, [height, width], order)?)
    } else {
        let kind = array.dtype().str()?;
        let reason = format!("dtype {kind}: an image is uint8, uint16, or float32 or float64 from 0 to 1");
        return Err(image(py, reason));
    };
    Ok(Array { samples, height, width, order })
}

/// Image `number` of a batch, or the only one, of `length` values.
fn held<'py, T: Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
    length: usize,
    number: Option<usize>,
) -> PyResult<Held<'py, T>> {
    Ok(Held { array: array.try_readonly()?, from: number.unwrap_or(0) * length, length })
}

fn unit(py: Python<'_>, mut pixels: Vec<f32>, [height, width]: [usize; 2], order: Order) -> PyResult<Image> {
    if let Some(value) = pixels.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        return Err(image(py, format!("a float image has values from 0 to 1, but this one holds {value}")));
    }
    if order == Order::Bgr {
        pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
    let channels = if order == Order::Grey { 1 } else { 3 };
    Ok(Image { height, width, channels, pixels })
}

/// Images to fit on: a folder, a data set, files, arrays.
pub fn good_images(value: &Bound<'_, PyAny>, order: Order) -> PyResult<blemish::Images> {
    let py = value.py();
    if let Some(path) = path_of(value)? {
        return py.detach(|| blemish::images_in(path)).map_err(|error| raise(py, error));
    }
    let (all, many) = sources(value, order)?;
    if !many {
        return Err(named(
            py,
            "DataError",
            "fit takes a folder, a list of paths, a list of arrays or an array [N, H, W, C]",
        ));
    }
    let (mut files, mut arrays) = (Vec::new(), Vec::new());
    for source in all {
        match source {
            Source::File(path) => files.push(path),
            Source::Array(array) => arrays.push(array.to_image().map_err(|error| raise(py, error))?),
        }
    }
    match (files.is_empty(), arrays.is_empty()) {
        (true, true) => Err(named(py, "DataError", "there is no image to fit on")),
        (false, true) => Ok(files.into()),
        (true, false) => Ok(arrays.into()),
        (false, false) => Err(named(py, "DataError", "paths or arrays, not both")),
    }
}

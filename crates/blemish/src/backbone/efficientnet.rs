//! EfficientNet-Lite (Tan and Le 2019; without squeeze-and-excitation, with ReLU6), up to its last block of stride 16.
//!
//! Widths and depths are those of the tensors. Kernels and strides are the architecture's: a stride leaves no trace in a shape.

use rayon::prelude::*;

use super::depthwise::{Depthwise, padding, relu6};
use super::reader::{Linear, Reader, numbers, transposed};
use super::{IMAGENET, Input, LEVELS};
use crate::engine::{Array, FeatureMap};
use blemish_kernels::matmul::matmul;
use blemish_kernels::panels::Matrix;
use blemish_kernels::product::Init;
use blemish_kernels::{scratch, simd};

/// Kernel and stride of the stages that are kept, of seven: the sixth has stride 32.
const STAGES: [(usize, usize); 5] = [(3, 1), (3, 2), (5, 2), (3, 2), (5, 1)];
/// The stages whose ends are the levels, at strides 8 and 16.
const ENDS: [usize; LEVELS] = [2, 4];
/// Side and stride of the stem's kernel.
const STEM: (usize, usize) = (3, 2);
/// What TensorFlow adds to a variance, and both packages with it.
const EPSILON: f32 = 1e-3;
/// Floats of a band's inner map, about: half a second-level cache.
const BAND: usize = 128 * 1024;

/// How a file names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// timm's `tf_efficientnet_lite*`.
    Timm,
    /// The package efficientnet_lite_pytorch.
    Package,
}

/// The network; norms are multiplied into the convolutions before them.
#[derive(Clone, Debug)]
pub struct EfficientNet {
    /// `[3 * 3 * 3, C]`
    stem: Linear,
    stages: Vec<Vec<Block>>,
}

#[derive(Clone, Debug)]
struct Block {
    expand: Option<Linear>,
    depthwise: Depthwise,
    project: Linear,
    /// The width of its input.
    inputs: usize,
}

/// A map, channels last.
struct Map {
    size: [usize; 2],
    values: Vec<f32>,
}

/// The names of a convolution and of the norm behind it.
type Names = [String; 2];

impl EfficientNet {
    /// The network of someone else's file, and how it wants its images; `None` where there is none.
    pub fn of_file(reader: Reader<'_>) -> Option<Result<(Self, Input), String>> {
        let naming = match () {
            () if reader.has("conv_stem.weight") => Naming::Timm,
            () if reader.has("_conv_stem.weight") => Naming::Package,
            () => return None,
        };
        // timm's weights are those of TensorFlow, which saw pixels from -1 to 1; the package's description has ImageNet's.
        let half = Input { mean: [0.5; 3], deviation: [0.5; 3] };
        let input = if naming == Naming::Timm { half } else { IMAGENET };
        Some(Self::read(reader, naming).map(|network| (network, input)))
    }

    fn read(reader: Reader<'_>, naming: Naming) -> Result<Self, String> {
        let [conv, norm] = naming.stem();
        let stem = format!("{conv}.weight");
        let channels = reader.outputs(&stem)?;
        let w = reader.values(&stem, &[channels, 3, STEM.0, STEM.0])?;
        // [out, in, y, x] to [y, x, in, out]: the order of an image's values.
        let area = STEM.0 * STEM.0;
        let w = (0..area * 3).flat_map(|i| (0..channels).map(move |o| w[(o * 3 + i % 3) * area + i / 3]));
        let stem = folded(reader, &norm, w.collect(), channels)?;
        let (mut stages, mut inputs) = (Vec::new(), channels);
        for (stage, places) in naming.stages(reader)?.into_iter().enumerate() {
            let (kernel, stride) = STAGES[stage];
            let mut blocks: Vec<Block> = Vec::new();
            for (i, place) in places.into_iter().enumerate() {
                let stride = if i == 0 { stride } else { 1 };
                let block = Block::read(reader, (naming, &place), inputs, (kernel, stride))?;
                inputs = block.project.bias.len();
                blocks.push(block);
            }
            stages.push(blocks);
        }
        Ok(Self { stem, stages })
    }

    /// What a model file holds.
    pub fn save(&self) -> Vec<(String, Array)> {
        let mut out = vec![numbers("depths", &self.stages.iter().map(Vec::len).collect::<Vec<_>>())];
        self.stem.save("stem", &mut out);
        for (i, block) in self.stages.iter().flatten().enumerate() {
            if let Some(expand) = &block.expand {
                expand.save(&format!("{i}.expand"), &mut out);
            }
            let Depthwise { w, bias, .. } = &block.depthwise;
            Linear { w: w.clone(), bias: bias.clone() }.save(&format!("{i}.depthwise"), &mut out);
            block.project.save(&format!("{i}.project"), &mut out);
        }
        out
    }

    /// The network of what [`save`](Self::save) gave.
    pub fn of_model(reader: Reader<'_>) -> Result<Self, String> {
        let depths = reader.numbers("depths", STAGES.len())?;
        let stem = reader.saved("stem", 3 * STEM.0 * STEM.0)?;
        let (mut stages, mut inputs, mut at) = (Vec::new(), stem.bias.len(), 0);
        for ((kernel, stride), depth) in STAGES.into_iter().zip(depths) {
            let mut blocks: Vec<Block> = Vec::new();
            for i in 0..depth {
                let stride = if i == 0 { stride } else { 1 };
                let expand = format!("{at}.expand");
                let has_expand = reader.has(&format!("{expand}.w"));
                let expand = if has_expand { Some(reader.saved(&expand, inputs)?) } else { None };
                let inner = expand.as_ref().map_or(inputs, |expand| expand.bias.len());
                let Linear { w, bias } = reader.saved(&format!("{at}.depthwise"), kernel * kernel)?;
                if bias.len() != inner {
                    return Err(format!("tensor {at}.depthwise.bias is not of {inner} channels"));
                }
                let project = reader.saved(&format!("{at}.project"), inner)?;
                let next = project.bias.len();
                blocks.push(Block {
                    expand,
                    depthwise: Depthwise { kernel, stride, w, bias },
                    project,
                    inputs,
                });
                (inputs, at) = (next, at + 1);
            }
            stages.push(blocks);
        }
        Ok(Self { stem, stages })
    }

    /// Channels of each level.
    pub fn channels(&self) -> [usize; LEVELS] {
        ENDS.map(|end| self.stages[end].last().map_or(0, |block| block.project.bias.len()))
    }

    /// The levels of an image's pixels, `[H, W, 3]`.
    pub fn levels(&self, pixels: Vec<f32>, size: [usize; 2]) -> [FeatureMap; LEVELS] {
        let mut map = stem(&self.stem, &Map { size, values: pixels });
        let mut done = 0;
        let channels = self.channels();
        std::array::from_fn(|level| {
            for block in self.stages[done..=ENDS[level]].iter().flatten() {
                map = block.run(&map);
            }
            done = ENDS[level] + 1;
            let [height, width] = map.size;
            FeatureMap { height, width, channels: channels[level], values: map.values.clone() }
        })
    }
}

impl Naming {
    fn stem(self) -> Names {
        let names = match self {
            Self::Timm => ["conv_stem", "bn1"],
            Self::Package => ["_conv_stem", "_bn0"],
        };
        names.map(str::to_owned)
    }

    /// What the names of each block's tensors begin with, stage by stage.
    fn stages(self, reader: Reader<'_>) -> Result<Vec<Vec<String>>, String> {
        let depthwise = |place: &str| format!("{place}{}.weight", self.layers().0);
        let found = |place: &String| reader.has(&depthwise(place));
        let missing = |place: String| format!("tensor {} is missing", depthwise(&place));
        let stages: Vec<Vec<String>> = match self {
            Self::Timm => {
                let stage = |s: usize| (0..).map(move |i| format!("blocks.{s}.{i}.")).take_while(found);
                (0..STAGES.len()).map(|s| stage(s).collect()).collect()
            }
            // They are numbered through: a stage ends where the width changes.
            Self::Package => {
                let (mut stages, mut width) = (Vec::<Vec<String>>::new(), 0);
                for place in (0..).map(|i| format!("_blocks.{i}.")).take_while(found) {
                    let own = reader.outputs(&format!("{place}_project_conv.weight"))?;
                    if own != width {
                        stages.push(Vec::new());
                    }
                    width = own;
                    if let Some(stage) = stages.last_mut() {
                        stage.push(place);
                    }
                }
                stages.resize(stages.len().max(STAGES.len()), Vec::new());
                stages.truncate(STAGES.len());
                stages
            }
        };
        match stages.iter().position(Vec::is_empty) {
            Some(s) if self == Self::Timm => Err(missing(format!("blocks.{s}.0."))),
            Some(s) => {
                Err(missing(format!("_blocks.{}.", stages.iter().take(s).map(Vec::len).sum::<usize>())))
            }
            None => Ok(stages),
        }
    }

    /// The names of a block's depthwise and of its expanding convolution.
    fn layers(self) -> (&'static str, &'static str) {
        match self {
            Self::Timm => ("conv_dw", "conv_pwl"),
            Self::Package => ("_depthwise_conv", "_expand_conv"),
        }
    }

    /// The convolutions and norms of a block: expanding, depthwise, projecting; whether it expands.
    fn block(self, reader: Reader<'_>, place: &str) -> (bool, [Names; 3]) {
        let expands = reader.has(&format!("{place}{}.weight", self.layers().1));
        let names = match (self, expands) {
            (Self::Timm, true) => [["conv_pw", "bn1"], ["conv_dw", "bn2"], ["conv_pwl", "bn3"]],
            (Self::Timm, false) => [["", ""], ["conv_dw", "bn1"], ["conv_pw", "bn2"]],
            (Self::Package, _) => {
                [["_expand_conv", "_bn0"], ["_depthwise_conv", "_bn1"], ["_project_conv", "_bn2"]]
            }
        };
        (expands, names.map(|names| names.map(|name| format!("{place}{name}"))))
    }
}

impl Block {
    fn read(
        reader: Reader<'_>,
        (naming, place): (Naming, &str),
        inputs: usize,
        (kernel, stride): (usize, usize),
    ) -> Result<Self, String> {
        let (expands, [expand, depthwise, project]) = naming.block(reader, place);
        let known = |name: &&str| {
            let of =
                |layer: &Names| layer.iter().any(|own| name.rsplit_once('.').is_some_and(|(n, _)| n == own));
            of(&expand) && expands || of(&depthwise) || of(&project)
        };
        if let Some(name) = reader.names(place).find(|name| !known(name)) {
            return Err(format!(
                "tensor {name} has no place in one: it is another network, such as an EfficientNet-B"
            ));
        }
        let expand = if expands { Some(pointwise(reader, &expand, inputs)?) } else { None };
        let inner = expand.as_ref().map_or(inputs, |expand| expand.bias.len());
        let [conv, norm] = depthwise;
        let w = reader.values(&format!("{conv}.weight"), &[inner, 1, kernel, kernel])?;
        let Linear { w, bias } = folded(reader, &norm, transposed(w, kernel * kernel), inner)?;
        let project = pointwise(reader, &project, inner)?;
        Ok(Self { expand, depthwise: Depthwise { kernel, stride, w, bias }, project, inputs })
    }

    /// Bands of output rows, each from the input to the end, so that the wide map in between stays in a cache.
    fn run(&self, x: &Map) -> Map {
        let Self { expand, depthwise, project, inputs } = self;
        let ([height, width], stride) = (x.size, depthwise.stride);
        let size = x.size.map(|side| depthwise.outputs(side));
        let (inner, outputs) = (depthwise.bias.len(), project.bias.len());
        let rows = (BAND / (stride * width * inner)).clamp(1, size[0]);
        let mut values = vec![0.0; size[0] * size[1] * outputs];
        let line = size[1] * outputs;
        values.par_chunks_mut(rows * line).enumerate().for_each(|(band, out)| {
            let rows = band * rows..band * rows + out.len() / line;
            let before = depthwise.before(height) as isize;
            let row_of = |row: usize, tap: usize| (row * stride + tap) as isize - before;
            let first = row_of(rows.start, 0).max(0) as usize;
            let last = (row_of(rows.end - 1, depthwise.kernel - 1) + 1).min(height as isize) as usize;
            let source = &x.values[first * width * inputs..last * width * inputs];
            let wide = if expand.is_some() { (last - first) * width * inner } else { 0 };
            scratch::with(wide + rows.len() * size[1] * inner, |buffer| {
                let (wide, narrow) = buffer.split_at_mut(wide);
                let source = match expand {
                    Some(expand) => {
                        expand.apply(source, wide);
                        simd::run(
                            #[inline(always)]
                            || wide.iter_mut().for_each(|v| *v = relu6(*v)),
                        );
                        &*wide
                    }
                    None => source,
                };
                for (row, out) in rows.clone().zip(narrow.chunks_exact_mut(size[1] * inner)) {
                    let tap = |tap: usize| {
                        let row = usize::try_from(row_of(row, tap)).ok().filter(|row| *row < height)?;
                        Some(&source[(row - first) * width * inner..][..width * inner])
                    };
                    let taps: [Option<&[f32]>; 5] =
                        std::array::from_fn(|k| (k < depthwise.kernel).then(|| tap(k))?);
                    depthwise.row(&taps[..depthwise.kernel], width, out);
                }
                project.apply(narrow, out);
            });
            if stride == 1 && *inputs == outputs {
                let own = &x.values[rows.start * line..][..out.len()];
                out.iter_mut().zip(own).for_each(|(out, x)| *out += x);
            }
        });
        Map { size, values }
    }
}

impl Linear {
    /// Of every row of `x`.
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let outputs = self.bias.len();
        let inputs = self.w.len() / outputs;
        let sizes = [x.len() / inputs, inputs, outputs];
        matmul(out, Matrix::rows(x, inputs), Matrix::rows(&self.w, outputs), sizes, Init::Bias(&self.bias));
    }
}

/// The convolution of an image, then ReLU6.
fn stem(layer: &Linear, image: &Map) -> Map {
    let ([height, width], (kernel, stride)) = (image.size, STEM);
    let size = image.size.map(|side| side.div_ceil(stride));
    let [before_y, before_x] = image.size.map(|side| padding(side, kernel, stride));
    let outputs = layer.bias.len();
    let mut values = vec![0.0; size[0] * size[1] * outputs];
    values.par_chunks_mut(size[1] * outputs).enumerate().for_each(|(y, out)| {
        scratch::with(size[1] * kernel * kernel * 3, |columns| {
            columns.fill(0.0);
            for (x, taps) in columns.chunks_exact_mut(kernel * kernel * 3).enumerate() {
                for (tap, out) in taps.chunks_exact_mut(3).enumerate() {
                    let (row, column) = (y * stride + tap / kernel, x * stride + tap % kernel);
                    let inside = row
                        .checked_sub(before_y)
                        .filter(|row| *row < height)
                        .zip(column.checked_sub(before_x).filter(|column| *column < width));
                    if let Some((row, column)) = inside {
                        out.copy_from_slice(&image.values[(row * width + column) * 3..][..3]);
                    }
                }
            }
            layer.apply(columns, out);
        });
        out.iter_mut().for_each(|v| *v = relu6(*v));
    });
    Map { size, values }
}

/// The 1 x 1 convolution of `inputs` channels with its norm.
fn pointwise(reader: Reader<'_>, [conv, norm]: &Names, inputs: usize) -> Result<Linear, String> {
    let name = format!("{conv}.weight");
    let outputs = reader.outputs(&name)?;
    let w = reader.values(&name, &[outputs, inputs, 1, 1])?;
    folded(reader, norm, transposed(w, inputs), outputs)
}

/// `w`, `[.., outputs]`, with the batch norm that follows multiplied into it.
fn folded(reader: Reader<'_>, norm: &str, mut w: Vec<f32>, outputs: usize) -> Result<Linear, String> {
    let values = |name: &str| reader.values(&format!("{norm}.{name}"), &[outputs]);
    let (gamma, beta) = (values("weight")?, values("bias")?);
    let (mean, variance) = (values("running_mean")?, values("running_var")?);
    if !variance.iter().all(|v| *v >= 0.0) {
        return Err(format!("tensor {norm}.running_var holds a variance below 0"));
    }
    let gain: Vec<f32> = gamma.iter().zip(variance).map(|(gamma, v)| gamma / (v + EPSILON).sqrt()).collect();
    for row in w.chunks_exact_mut(outputs) {
        row.iter_mut().zip(&gain).for_each(|(w, gain)| *w *= gain);
    }
    let bias: Vec<f32> =
        beta.iter().zip(mean).zip(&gain).map(|((beta, mean), gain)| beta - mean * gain).collect();
    if !w.iter().chain(&bias).all(|v| v.is_finite()) {
        return Err(format!("tensor {norm}.weight multiplies its convolution beyond all numbers"));
    }
    Ok(Linear { w, bias })
}

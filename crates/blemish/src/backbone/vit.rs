//! A plain ViT (Dosovitskiy et al. 2021), the encoder of a masked autoencoder (He et al. 2022) included, up to two thirds of its depth.
//!
//! Levels are after a third and two thirds of the blocks: before them tokens hardly know their surroundings, in the last ones they
//! serve the loss that the network was trained with.

use std::borrow::Cow;

use super::LEVELS;
use super::reader::{Reader, numbers};
use crate::engine::{Array, FeatureMap};
use crate::image::{Image, resize};
use blemish_kernels::activation::gelu;
use blemish_kernels::attention::{AttentionShape, Rows, attention_forward};
use blemish_kernels::matmul::matmul;
use blemish_kernels::norm::layer_norm_forward;
use blemish_kernels::panels::Matrix;
use blemish_kernels::precision::Precision;
use blemish_kernels::product::Init;
use blemish_kernels::simd;

/// What is added to a variance, in timm and in facebookresearch/mae.
const EPSILON: f32 = 1e-6;
/// Width of a head, but for the widths of [`SIXTEEN_HEADS`].
const HEAD: usize = 64;
/// Widths of published networks (SO400M, H, g, G) whose sixteen heads are wider.
const SIXTEEN_HEADS: [usize; 4] = [1152, 1280, 1408, 1664];
/// Sides of a patch that are accepted, pixels.
const PATCH: std::ops::RangeInclusive<usize> = 4..=32;
/// Layers of a block: names, outputs and inputs in widths; 0: those of the MLP.
const LAYERS: [(&str, usize, usize); 4] =
    [("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 0, 1), ("mlp.fc2", 1, 0)];

/// The network.
#[derive(Clone, Debug)]
pub struct Vit {
    heads: usize,
    patch: usize,
    /// Blocks after which a level is read.
    after: [usize; LEVELS],
    /// Of `[D, 3, patch, patch]`.
    embed: Dense,
    /// `[D]`; none where the network has none.
    class: Option<Vec<f32>>,
    /// `[side * side (+ 1), D]`; the first row is the class token's, where it has one.
    positions: Vec<f32>,
    blocks: Vec<Block>,
}

/// `y = x wᵀ + bias`, as PyTorch keeps it.
#[derive(Clone, Debug)]
struct Dense {
    /// `[outputs, inputs]`
    w: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Clone, Debug)]
struct Block {
    norms: [Norm; 2],
    /// By [`LAYERS`].
    layers: [Dense; 4],
}

#[derive(Clone, Debug)]
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Vit {
    /// The network of someone else's file; `heads` is what the file's metadata says.
    pub fn of_file(reader: Reader<'_>, heads: Option<usize>) -> Result<Self, String> {
        let depth = (0..).take_while(|i| reader.has(&format!("blocks.{i}.norm1.weight"))).count();
        if depth < LEVELS {
            return Err(format!("tensor blocks.{depth}.norm1.weight is missing"));
        }
        let first = ((depth as f64 / 3.0).round() as usize).max(1);
        let after = [first, ((2.0 * depth as f64 / 3.0).round() as usize).max(first + 1)];
        let width = reader.outputs("patch_embed.proj.weight")?;
        let heads = match heads {
            Some(heads) if heads > 0 && width.is_multiple_of(heads) => heads,
            Some(_) => return Err(format!("num_heads of its metadata does not divide its width, {width}")),
            None if SIXTEEN_HEADS.contains(&width) => 16,
            None if width.is_multiple_of(HEAD) => width / HEAD,
            None => {
                return Err(format!(
                    "its width, {width}, is no multiple of {HEAD}, the usual width of a head: say how many heads it has in the \
                     file's metadata, num_heads"
                ));
            }
        };
        Self::read(reader, heads, after)
    }

    /// The network of what [`save`](Self::save) gave.
    pub fn of_model(reader: Reader<'_>) -> Result<Self, String> {
        let numbers = reader.numbers("heads_and_levels", 1 + LEVELS)?;
        let width = reader.outputs("patch_embed.proj.weight")?;
        if !width.is_multiple_of(numbers[0]) || numbers[1] >= numbers[2] {
            return Err("tensor heads_and_levels does not fit the network".to_owned());
        }
        Self::read(reader, numbers[0], [numbers[1], numbers[2]])
    }

    fn read(reader: Reader<'_>, heads: usize, after: [usize; LEVELS]) -> Result<Self, String> {
        let name = "patch_embed.proj.weight";
        let width = reader.outputs(name)?;
        let patch = match reader.array(name)?.shape[..] {
            [_, 3, height, side] if height == side && PATCH.contains(&side) => side,
            ref shape => {
                return Err(format!(
                    "tensor {name} has shape {shape:?}, not [width, 3, patch, patch] with a patch of {} to {}",
                    PATCH.start(),
                    PATCH.end()
                ));
            }
        };
        let embed = Dense {
            w: reader.array(name)?.values.clone(),
            bias: reader.values("patch_embed.proj.bias", &[width])?.to_vec(),
        };
        let class = if reader.has("cls_token") {
            Some(reader.values("cls_token", &[1, 1, width])?.to_vec())
        } else {
            None
        };
        let name = "pos_embed";
        let table = reader.array(name)?;
        let rows = match table.shape[..] {
            [1, rows, dim] if dim == width => rows,
            ref shape => return Err(format!("tensor {name} has shape {shape:?}, not [1, tokens, {width}]")),
        };
        let is_table = is_square(rows) || class.is_some() && is_square(rows - 1);
        if !is_table {
            return Err(format!("tensor {name} has {rows} rows: they are of no square grid of patches"));
        }
        // Further tokens change what the others become.
        for other in ["dist_token", "reg_token", "register_tokens", "norm_pre.weight"] {
            if reader.has(other) {
                return Err(format!("tensor {other} has no place in a plain one"));
            }
        }
        let positions = table.values.clone();
        let blocks = (0..after[1]).map(|i| Block::read(reader, i, width)).collect::<Result<_, _>>()?;
        Ok(Self { heads, patch, after, embed, class, positions, blocks })
    }

    /// What a model file holds.
    pub fn save(&self) -> Vec<(String, Array)> {
        let (width, patch) = (self.width(), self.patch);
        let mut out = vec![numbers("heads_and_levels", &[self.heads, self.after[0], self.after[1]])];
        let mut put = |name: &str, shape: &[usize], values: &[f32]| {
            out.push((name.to_owned(), Array { shape: shape.to_vec(), values: values.to_vec() }));
        };
        put("patch_embed.proj.weight", &[width, 3, patch, patch], &self.embed.w);
        put("patch_embed.proj.bias", &[width], &self.embed.bias);
        if let Some(class) = &self.class {
            put("cls_token", &[1, 1, width], class);
        }
        put("pos_embed", &[1, self.positions.len() / width, width], &self.positions);
        for (i, block) in self.blocks.iter().enumerate() {
            for (k, Norm { gamma, beta }) in block.norms.iter().enumerate() {
                put(&format!("blocks.{i}.norm{}.weight", k + 1), &[width], gamma);
                put(&format!("blocks.{i}.norm{}.bias", k + 1), &[width], beta);
            }
            for ((name, ..), Dense { w, bias }) in LAYERS.iter().zip(&block.layers) {
                put(&format!("blocks.{i}.{name}.weight"), &[bias.len(), w.len() / bias.len()], w);
                put(&format!("blocks.{i}.{name}.bias"), &[bias.len()], bias);
            }
        }
        out
    }

    /// Channels.
    pub fn width(&self) -> usize {
        self.embed.bias.len()
    }

    /// Heads of the attention.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// The image, or where its sides are no multiples of the patch, the same in the nearest number of whole patches.
    pub fn in_whole_patches<'a>(&self, image: &'a Image) -> Cow<'a, Image> {
        let whole = |side: usize| ((side + self.patch / 2) / self.patch).max(1) * self.patch;
        let size = [image.height, image.width].map(whole);
        if size == [image.height, image.width] {
            return Cow::Borrowed(image);
        }
        // It fails for no size above 0.
        Cow::Owned(
            resize(image, size).unwrap_or_else(|_| Image::filled(size[0], size[1], image.channels, 0.5)),
        )
    }

    /// The levels of an image's pixels, `[H, W, 3]`, in whole patches.
    pub fn levels(&self, pixels: &[f32], [height, width]: [usize; 2]) -> [FeatureMap; LEVELS] {
        let (dim, p) = (self.width(), self.patch);
        let grid @ [rows, columns] = [height / p, width / p];
        let first = usize::from(self.class.is_some());
        let tokens = first + rows * columns;
        // Values in PyTorch's order: channel, row, column.
        let mut patches = Vec::with_capacity(rows * columns * 3 * p * p);
        for place in 0..rows * columns {
            let (top, left) = (place / columns * p, place % columns * p);
            for channel in 0..3 {
                for y in top..top + p {
                    patches.extend((left..left + p).map(|x| pixels[(y * width + x) * 3 + channel]));
                }
            }
        }
        let mut x = vec![0.0; tokens * dim];
        self.embed.apply(&patches, &mut x[first * dim..]);
        drop(patches);
        self.add_positions(&mut x, grid);

        let mut buffers = Buffers {
            normal: vec![0.0; tokens * dim],
            mixed: vec![0.0; tokens * dim],
            wide: Vec::new(),
            log_sums: vec![0.0; tokens * self.heads],
        };
        let mut levels = self.after.map(|_| FeatureMap::default());
        for (i, block) in self.blocks.iter().enumerate() {
            block.run(&mut x, self.heads, &mut buffers);
            for (level, _) in levels.iter_mut().zip(self.after).filter(|(_, after)| *after == i + 1) {
                let values = x[first * dim..].to_vec();
                *level = FeatureMap { height: rows, width: columns, channels: dim, values };
            }
        }
        levels
    }

    /// Adds the positional table, brought to the grid of the patches, and the class token before them.
    fn add_positions(&self, x: &mut [f32], grid: [usize; 2]) {
        let dim = self.width();
        let rows = self.positions.len() / dim;
        // A table of a square has none for the class token.
        let own = usize::from(!is_square(rows));
        let side = (rows - own).isqrt();
        let table = resampled(&self.positions[own * dim..], [side; 2], grid, dim);
        if let Some(class) = &self.class {
            x[..dim].copy_from_slice(class);
            if own == 1 {
                x[..dim].iter_mut().zip(&self.positions).for_each(|(x, v)| *x += v);
            }
        }
        let patches = x.len() - table.len();
        x[patches..].iter_mut().zip(&table).for_each(|(x, v)| *x += v);
    }
}

/// What is needed on the way.
struct Buffers {
    normal: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    log_sums: Vec<f32>,
}

impl Block {
    fn read(reader: Reader<'_>, i: usize, width: usize) -> Result<Self, String> {
        let place = format!("blocks.{i}.");
        let known = |name: &&str| {
            let layer = name[place.len()..].rsplit_once('.').map(|(layer, _)| layer);
            layer.is_some_and(|layer| {
                ["norm1", "norm2"].contains(&layer) || LAYERS.iter().any(|(own, ..)| *own == layer)
            })
        };
        if let Some(name) = reader.names(&place).find(|name| !known(name)) {
            return Err(format!("tensor {name} has no place in a plain one"));
        }
        let hidden = reader.outputs(&format!("{place}mlp.fc1.weight"))?;
        let norm = |k: usize| -> Result<Norm, String> {
            let values = |kind: &str| reader.values(&format!("{place}norm{k}.{kind}"), &[width]);
            Ok(Norm { gamma: values("weight")?.to_vec(), beta: values("bias")?.to_vec() })
        };
        let dense = |(name, outputs, inputs): (&str, usize, usize)| -> Result<Dense, String> {
            let [outputs, inputs] = [outputs, inputs].map(|n| if n == 0 { hidden } else { n * width });
            let w = reader.values(&format!("{place}{name}.weight"), &[outputs, inputs])?;
            let bias = reader.values(&format!("{place}{name}.bias"), &[outputs])?;
            Ok(Dense { w: w.to_vec(), bias: bias.to_vec() })
        };
        let [qkv, proj, fc1, fc2] = LAYERS.map(dense);
        Ok(Self { norms: [norm(1)?, norm(2)?], layers: [qkv?, proj?, fc1?, fc2?] })
    }

    /// `x += attention(norm(x))`, then `x += mlp(norm(x))`.
    fn run(&self, x: &mut [f32], heads: usize, buffers: &mut Buffers) {
        let Buffers { normal, mixed, wide, log_sums } = buffers;
        let [qkv, proj, fc1, fc2] = &self.layers;
        let dim = proj.bias.len();
        let tokens = x.len() / dim;
        let head_dim = dim / heads;
        let add = |x: &mut [f32], y: &[f32]| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);

        self.norms[0].apply(x, normal);
        wide.resize(tokens * 3 * dim, 0.0);
        qkv.apply(normal, wide);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let shape = AttentionShape {
            batch: 1,
            heads,
            head_dim,
            queries: tokens,
            keys: tokens,
            scale,
            precision: Precision::F32,
        };
        attention_forward(shape, Rows::packed(wide, dim), mixed, log_sums);
        proj.apply(mixed, normal);
        add(x, normal);

        self.norms[1].apply(x, normal);
        wide.resize(tokens * fc1.bias.len(), 0.0);
        fc1.apply(normal, wide);
        simd::run(
            #[inline(always)]
            || wide.iter_mut().for_each(|v| *v = gelu(*v)),
        );
        fc2.apply(wide, normal);
        add(x, normal);
    }
}

impl Norm {
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm_forward(x, &self.gamma, &self.beta, EPSILON, out);
    }
}

impl Dense {
    /// Of every row of `x`.
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let outputs = self.bias.len();
        let inputs = self.w.len() / outputs;
        let (x, w) = (Matrix::rows(x, inputs), Matrix::rows(&self.w, inputs).transposed());
        matmul(out, x, w, [out.len() / outputs, inputs, outputs], Init::Bias(&self.bias));
    }
}

fn is_square(n: usize) -> bool {
    n > 0 && n.isqrt().pow(2) == n
}

/// A table `[from, dim]` on another grid: bicubic, as both packages do it, here without a filter where it shrinks.
fn resampled(table: &[f32], from: [usize; 2], to: [usize; 2], dim: usize) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let rows = along(table, from[0], to[0], from[1] * dim);
    let lines = rows.chunks_exact(from[1] * dim);
    lines.flat_map(|row| along(row, from[1], to[1], dim)).collect()
}

/// `[from, width]` as `[to, width]`: cubic convolution with a = -0.75, as PyTorch has it (Keys 1981).
fn along(x: &[f32], from: usize, to: usize, width: usize) -> Vec<f32> {
    let mut out = vec![0.0; to * width];
    for (i, out) in out.chunks_exact_mut(width).enumerate() {
        let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let low = at.floor();
        for tap in -1..=2 {
            let distance = (at - low - f64::from(tap)).abs();
            let weight = if distance <= 1.0 {
                (1.25 * distance - 2.25) * distance * distance + 1.0
            } else {
                ((-0.75 * distance + 3.75) * distance - 6.0) * distance + 3.0
            };
            let place = (low as isize + tap as isize).clamp(0, from as isize - 1) as usize;
            let row = &x[place * width..][..width];
            out.iter_mut().zip(row).for_each(|(out, v)| *out += weight as f32 * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_on_another_grid_keeps_what_is_even() {
        let even = vec![2.5; 9 * 2];
        assert!(resampled(&even, [3, 3], [5, 2], 2).iter().all(|v| (v - 2.5).abs() < 1e-6));
        let ramp: Vec<f32> = (0..16).map(|i| (i % 4) as f32).collect();
        let half = resampled(&ramp, [4, 4], [4, 2], 1);
        assert!((half[0] + half[1] - 3.0).abs() < 1e-6 && half[0] < half[1], "{half:?}");
    }

    #[test]
    fn squares() {
        assert!([1, 4, 196, 256].into_iter().all(is_square) && ![0, 2, 197, 255].into_iter().any(is_square));
    }
}

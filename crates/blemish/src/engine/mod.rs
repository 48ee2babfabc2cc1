//! Scoring on a CPU: the forward pass of the masked autoencoder, without gradients and without a tensor library.
//!
//! - Weights are packed once, at load. Norms' scales and shifts, the scale of the attention scores, and the whole
//!   aggregation up to the decoder's keys and values, which is linear, are multiplied into their neighbours there.
//! - Buffers are kept and used again; a second pass of the same size allocates nothing but its output.
//! - A layer is one pass over blocks of tokens: attention, projection, norm, MLP and the next layer's projections run
//!   while the block lies in a second-level cache. So do convolution, GELU, the next linear map and its pixel shuffle.
//! - Maps are channels last with a border of zeros; the stem writes its levels beside the channels that the pyramid
//!   head will fill, so nothing is concatenated.
//! - Where every patch is scored in one of several masked passes only, each pass computes what its own patches need.
//! - Work is cut by shape alone, so no result depends on the number of threads.
//!
//! The model that it follows is `Mae` of the crate `blemish-train`, to which it is held by test within 1e-5.

mod attention;
mod blocks;
mod complementary;
mod decoder;
mod dense;
mod embed;
mod encoder;
mod features;
mod flops;
mod grid;
mod head;
mod linear;
mod lines;
mod map;
mod mask;
mod plan;
mod positions;
mod rows;
mod scored;
mod task;
mod weights;

use std::sync::{Mutex, OnceLock};

use rayon::prelude::*;

use self::blocks::Source;
pub use self::complementary::Complementary;
use self::decoder::Decoder;
use self::dense::Reader;
use self::embed::Embed;
use self::encoder::Encoder;
pub use self::features::{Feature, FeatureMap};
pub use self::grid::{resampling, weights_for_grid};
use self::head::Head;
use self::linear::Linear;
use self::map::{MapShape, Maps};
pub use self::mask::Mask;
use self::plan::Plan;
pub use self::positions::sinusoid_values;
use self::task::{Blocks, alone};
pub(crate) use self::weights::take_prefixed;
pub use self::weights::{Array, Weights};
use crate::config::{self, ModelConfig, PatchEmbed};
use blemish_kernels::aligned::Aligned;
pub use blemish_kernels::precision::{Arithmetic, Precision};

/// What a pass gives.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The reconstructed images, `[B, H, W, C]`.
    pub image: Vec<f32>,
    /// Further outputs of the head, `[B, H, W, E]`: the defect logit where it has one; else empty.
    pub extra: Vec<f32>,
    /// The features that were asked for, in that order.
    pub features: Vec<FeatureMap>,
}

/// Where the pixels of an [`Output`] go.
struct Pixels<'a> {
    image: &'a mut [f32],
    extra: &'a mut [f32],
}

/// A model that is ready to score.
#[derive(Debug)]
pub struct Engine {
    config: ModelConfig,
    /// The image, and the levels at strides 2, 4, 8.
    maps: Vec<MapShape>,
    /// The first channel of the stem's level in each level's map.
    skip: Vec<usize>,
    embed: Embed,
    /// `[N, D]`
    positions: Vec<f32>,
    encoder: Encoder,
    decoder: Decoder,
    head: Head,
    /// The stem's levels of an image that is hidden altogether; made when they are first needed.
    blank: OnceLock<Vec<Maps>>,
    /// Buffers of passes that are over.
    idle: Mutex<Vec<Workspace>>,
}

/// The buffers of one pass.
#[derive(Debug, Default)]
struct Workspace {
    maps: Vec<Maps>,
    tokens: Aligned,
    x: Aligned,
    q: Aligned,
    kv: [Aligned; 2],
    taps: Aligned,
    encoded: Aligned,
    cross: Aligned,
    decoded: Aligned,
}

/// A mask as rows: those of the visible tokens in the batch, and for every token its place among them.
struct Masked {
    keep: Vec<usize>,
    restore: Vec<Option<usize>>,
}

impl Masked {
    fn new(mask: &Mask) -> Self {
        let keep: Vec<usize> = mask.ids_keep().into_iter().map(|i| i as usize).collect();
        let place = |i: i64| Some(i as usize).filter(|&i| i < keep.len());
        let restore = mask.ids_restore().into_iter().map(place).collect();
        Self { keep, restore }
    }
}

impl Engine {
    /// Packs `weights`, named as `Mae::weights` of `blemish-train` names them.
    ///
    /// # Errors
    /// A sentence that names the first parameter that is missing or of another shape.
    pub fn new(
        config: &ModelConfig,
        [height, width]: [usize; 2],
        channels: usize,
        weights: &Weights,
        arithmetic: Arithmetic,
    ) -> Result<Self, String> {
        let from = Source { reader: Reader::new(weights), norm: config.norm, arithmetic };
        let precision = arithmetic.floats();
        let stem = config.patch_embed == PatchEmbed::ConvStem;
        let pyramid = config.head == config::Head::Pyramid;
        let dims: &[usize] = if stem || pyramid { &config.stem_dims } else { &[] };
        let mut maps = vec![MapShape { height, width, channels, precision: Precision::F32 }];
        for (i, dim) in dims.iter().enumerate() {
            let channels = if stem && pyramid { 2 * dim } else { *dim };
            let (height, width) = (height >> (i + 1), width >> (i + 1));
            maps.push(MapShape { height, width, channels, precision: precision.where_even(&[*dim]) });
        }
        let skip = dims.iter().map(|dim| if pyramid { *dim } else { 0 }).collect::<Vec<_>>();
        let grid = [height / config.patch_size, width / config.patch_size];
        let positions = |name: &str, dim: usize| -> Result<Vec<f32>, String> {
            let mut sum = sinusoid_values(config.sinusoid, grid, dim);
            let learnable = from.reader.values(&format!("{name}.learnable"), &[grid[0] * grid[1], dim])?;
            sum.iter_mut().zip(learnable).for_each(|(sum, l)| *sum += l);
            Ok(sum)
        };
        let decoder_positions =
            config.decoder_pos_embed.then(|| positions("decoder_pos_embed", config.decoder_embed_dim));
        Ok(Self {
            embed: Embed::read(from, config, &maps, &skip)?,
            positions: positions("pos_embed", config.embed_dim)?,
            encoder: Encoder::read(from, config)?,
            decoder: Decoder::read(from, config, decoder_positions.transpose()?)?,
            head: Head::read(from, config, &maps)?,
            config: config.clone(),
            maps,
            skip,
            blank: OnceLock::new(),
            idle: Mutex::default(),
        })
    }

    /// The pass of `Mae::forward` of `blemish-train`, with the features that are `wanted` besides.
    ///
    /// # Shapes
    /// `images`: `[B, H, W, C]`; the mask is of `B` images.
    ///
    /// # Panics
    /// If the length of `images` is no multiple of an image, the mask has another batch or grid, or the model
    /// [does not have](Self::has) a wanted feature.
    pub fn forward(&self, images: &[f32], mask: Option<&Mask>, wanted: &[Feature]) -> Output {
        let batch = self.batch_of(images);
        assert!(mask.is_none_or(|mask| mask.batch() == batch), "a mask per image");
        if mask.is_none() && wanted.is_empty() && batch > 1 {
            return self.image_by_image(images, batch);
        }
        self.pass(images, &Plan::whole(&self.config, &self.maps, batch), mask, wanted)
    }

    /// The `wanted` features alone, without a mask: the head stops after the finest of its maps among them.
    ///
    /// # Shapes
    /// `images`: `[B, H, W, C]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn features(&self, images: &[f32], wanted: &[Feature]) -> Vec<FeatureMap> {
        let batch = self.batch_of(images);
        self.pass_into(images, &Plan::whole(&self.config, &self.maps, batch), None, wanted, None)
    }

    /// How many images there are.
    ///
    /// # Panics
    /// If the last one is not whole.
    fn batch_of(&self, images: &[f32]) -> usize {
        let MapShape { height, width, channels, .. } = self.maps[0];
        let batch = images.len() / (height * width * channels);
        assert_eq!(images.len(), batch * height * width * channels, "whole images");
        batch
    }

    /// Every thread does whole images by itself, whose maps stay in its caches; what is left over, all threads do together.
    fn image_by_image(&self, images: &[f32], batch: usize) -> Output {
        let mut output = self.output(batch);
        let [pixels, extra] = [output.image.len() / batch, output.extra.len() / batch];
        let plan = Plan::whole(&self.config, &self.maps, 1);
        let mut rest = (&mut output.image[..], &mut output.extra[..]);
        let part = |input| {
            let (image, images) = std::mem::take(&mut rest.0).split_at_mut(pixels);
            let (extra, extras) = std::mem::take(&mut rest.1).split_at_mut(extra);
            rest = (images, extras);
            (input, Pixels { image, extra })
        };
        let mut tasks: Vec<_> = images.chunks_exact(pixels).map(part).collect();
        let together = tasks.split_off(batch - batch % rayon::current_num_threads());
        let pass = |(input, out)| _ = self.pass_into(input, &plan, None, &[], Some(out));
        tasks.into_par_iter().for_each(|task| alone(|| pass(task)));
        together.into_iter().for_each(pass);
        output
    }

    /// A batch of zeros.
    fn output(&self, batch: usize) -> Output {
        let MapShape { height, width, channels, .. } = self.maps[0];
        let area = batch * height * width;
        Output {
            image: vec![0.0; area * channels],
            extra: vec![0.0; area * (self.head.outputs() - channels)],
            features: Vec::new(),
        }
    }

    fn workspace(&self) -> Workspace {
        Workspace { maps: self.maps.iter().map(|&shape| Maps::new(shape)).collect(), ..Workspace::default() }
    }

    fn pass(&self, images: &[f32], plan: &Plan<'_>, mask: Option<&Mask>, wanted: &[Feature]) -> Output {
        let mut output = self.output(plan.batch);
        let pixels = Pixels { image: &mut output.image, extra: &mut output.extra };
        output.features = self.pass_into(images, plan, mask, wanted, Some(pixels));
        output
    }

    fn pass_into(
        &self,
        images: &[f32],
        plan: &Plan<'_>,
        mask: Option<&Mask>,
        wanted: &[Feature],
        output: Option<Pixels<'_>>,
    ) -> Vec<FeatureMap> {
        self.with_workspace(|buffers| {
            let (batch, MapShape { height, width, .. }) = (plan.batch, self.maps[0]);
            let patch_size = self.config.patch_size;
            let columns = width / patch_size;
            let tokens = height / patch_size * columns;
            let masked = mask.map(Masked::new);
            embed::load(images, &mut buffers.maps[0], plan, patch_size, masked.as_ref());
            self.embed.run(buffers, plan, &self.skip, &self.positions);
            let visible = match &masked {
                Some(masked) => {
                    let dim = self.config.embed_dim;
                    let x = buffers.x.take(masked.keep.len() * dim);
                    for (x, &row) in x.chunks_exact_mut(dim).zip(&masked.keep) {
                        x.copy_from_slice(&buffers.tokens[row * dim..][..dim]);
                    }
                    masked.keep.len() / batch
                }
                None => {
                    std::mem::swap(&mut buffers.x, &mut buffers.tokens);
                    tokens
                }
            };
            let [blocks, visible] = [tokens, visible].map(|tokens| Blocks::new(batch, tokens));
            self.encoder.run(buffers, visible);
            let decoded = plan.decoded.finer(columns);
            self.decoder.run(buffers, &self.encoder, (blocks, visible), masked.as_ref(), &decoded);

            let mut maps = self.head_buffers(batch, wanted);
            let residual = self.config.output == config::Output::Residual;
            self.head.run(buffers, plan, residual, output, &mut maps);
            wanted
                .par_iter()
                .map(|&feature| self.feature(buffers, feature, &maps, batch, masked.as_ref()))
                .collect()
        })
    }

    /// Calls `work` with the buffers of a pass that is over, or with new ones.
    fn with_workspace<R: Send>(&self, work: impl FnOnce(&mut Workspace) -> R + Send) -> R {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut buffers = idle.unwrap_or_else(|| self.workspace());
        // On a thread of the pool from the start: else every parallel region would hand over to one and back.
        let result = rayon::scope(|_| work(&mut buffers));
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(buffers);
        }
        result
    }
}

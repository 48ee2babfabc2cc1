//! The whole masked autoencoder (He et al. 2022; reference system "DiYT"; pyramid after ConvMAE, Gao et al.
//! 2022).

use blemish::config::{AggregationKeys, Head, ModelConfig, Output, PatchEmbed, Precision};
use blemish::engine::Mask;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::aggregation::Aggregation;
use super::decoder::DecoderLayer;
use super::encoder::EncoderLayer;
use super::head::{LinearHead, PyramidHead};
use super::init::Init;
use super::linear::Linear;
use super::norm::Norm;
use super::patch_embed::{LinearEmbed, Stem};
use super::pos_embed::PosEmbed;
use crate::ops;

/// What hidden pixels are set to before the stem: middle grey.
const BLANK: f32 = 0.5;

/// What the model gives for a batch.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// The images as the model thinks they should be, `[B, H, W, C]`.
    pub image: Tensor<4>,
    /// Per-pixel defect logit, `[B, H, W, 1]`, where the model has that output.
    pub logit: Option<Tensor<4>>,
}

/// What the model sees on the way, for losses that compare it; the names are those of the engine's
/// [`Feature`](blemish::engine::Feature).
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// The stem's levels at strides 2, 4, 8, after their GELU; empty without a stem.
    pub stem: Vec<Tensor<4>>,
    /// The encoder's taps, each `[B, H/16, W/16, D]`; empty where patches are hidden.
    pub taps: Vec<Tensor<4>>,
    /// The pyramid head's maps at strides 8, 4, 2, after their GELU; empty where it has another head.
    pub head: Vec<Tensor<4>>,
}

/// Patch embedding or stem, encoder with three taps, aggregation, cross-attending decoder, head.
#[derive(Module, Debug)]
pub struct Mae {
    stem: Option<Stem>,
    patch_embed: Option<LinearEmbed>,
    pos_embed: PosEmbed,
    encoder: Vec<EncoderLayer>,
    encoder_norm: Norm,
    aggregation: Aggregation,
    decoder_embed: Linear,
    mask_token: Param<Tensor<1>>,
    decoder_pos_embed: Option<PosEmbed>,
    decoder: Vec<DecoderLayer>,
    decoder_norm: Norm,
    head: Option<LinearHead>,
    pyramid: Option<PyramidHead>,
    #[module(skip)]
    config: ModelConfig,
    channels: usize,
    image_size: [usize; 2],
}

impl Mae {
    /// A freshly initialised model. `config` must have passed
    /// [`Config::validate`](blemish::Config::validate).
    pub fn new(
        config: &ModelConfig,
        image_size: [usize; 2],
        channels: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        Self::build(config, image_size, channels, &mut Init::new(rng, device))
    }

    /// A model whose weights are still to come, from a file.
    pub fn unset(config: &ModelConfig, image_size: [usize; 2], channels: usize, device: &Device) -> Self {
        Self::build(config, image_size, channels, &mut Init::zeros(device))
    }

    fn build(config: &ModelConfig, image_size: [usize; 2], channels: usize, init: &mut Init<'_>) -> Self {
        let grid = image_size.map(|s| s / config.patch_size);
        let (dim, decoder_dim) = (config.embed_dim, config.decoder_embed_dim);
        let stem = config.patch_embed == PatchEmbed::ConvStem;
        let pyramid = config.head == Head::Pyramid;
        let outputs = channels + usize::from(config.defect_logit);
        Self {
            stem: stem.then(|| Stem::new(channels, &config.stem_dims, dim, init)),
            patch_embed: (!stem).then(|| LinearEmbed::new(config.patch_size, channels, dim, init)),
            pos_embed: PosEmbed::new(config.sinusoid, grid, dim, init),
            encoder: (0..config.depth).map(|_| EncoderLayer::new(config, init)).collect(),
            encoder_norm: Norm::new(config.norm, dim, 0.5, init),
            aggregation: Aggregation::new(dim, init),
            decoder_embed: Linear::new(dim, decoder_dim, init),
            mask_token: init.truncated_normal([decoder_dim], 0.02),
            decoder_pos_embed: config
                .decoder_pos_embed
                .then(|| PosEmbed::new(config.sinusoid, grid, decoder_dim, init)),
            decoder: (0..config.decoder_depth).map(|_| DecoderLayer::new(config, init)).collect(),
            decoder_norm: Norm::new(config.norm, decoder_dim, 0.5, init),
            head: (!pyramid).then(|| LinearHead::new(decoder_dim, config.patch_size, channels, init)),
            pyramid: pyramid.then(|| PyramidHead::new(decoder_dim, &config.stem_dims, outputs, stem, init)),
            config: config.clone(),
            channels,
            image_size,
        }
    }

    /// Reconstructs `images`; with a mask, from the visible patches only.
    ///
    /// # Shapes
    /// `images: [B, H, W, C]`, values nominally in [0, 1] -> the same, see [`Reconstruction`]
    pub fn forward(&self, images: Tensor<4>, mask: Option<&Mask>) -> Reconstruction {
        self.forward_features(images, mask).0
    }

    /// [`forward`](Self::forward), and what the model sees on the way.
    pub fn forward_features(&self, images: Tensor<4>, mask: Option<&Mask>) -> (Reconstruction, Features) {
        let images = match mask {
            Some(mask) => blank(images, mask, self.config.patch_size),
            None => images,
        };
        let (tokens, levels) = self.embed(images.clone());
        let routes = mask.map(|mask| Routes::new(mask, &images.device()));
        let (tokens, aggregated, taps) = self.encode(tokens, routes.as_ref());
        let tokens = self.decode(tokens, aggregated);
        let (reconstruction, head) = self.reconstruct(tokens, levels.clone(), images);
        let taps = if mask.is_none() { self.as_maps(taps) } else { Vec::new() };
        (reconstruction, Features { stem: levels, taps, head })
    }

    /// What the model sees on the way through an unmasked pass, of the pyramid head the `count` coarsest maps: cheaper
    /// than [`forward_features`](Self::forward_features) by what is finer. Products are computed in `precision`.
    ///
    /// # Shapes
    /// `images: [B, H, W, C]` -> see [`Features`]
    pub fn features_in(&self, precision: Precision, images: Tensor<4>, count: usize) -> Features {
        ops::with_precision(precision, || {
            let (tokens, levels) = self.embed(images);
            let (tokens, aggregated, taps) = self.encode(tokens, None);
            let head = self.pyramid.as_ref().map(|pyramid| {
                let tokens = self.as_maps(vec![self.decode(tokens, aggregated)]).remove(0);
                pyramid.maps(tokens, levels.clone(), count)
            });
            Features { stem: levels, taps: self.as_maps(taps), head: head.unwrap_or_default() }
        })
    }

    /// Tokens of all patches as maps, `[B, N, D]` -> `[B, H/16, W/16, D]`.
    fn as_maps(&self, tokens: Vec<Tensor<3>>) -> Vec<Tensor<4>> {
        let [rows, columns] = self.grid();
        let map = |tokens: Tensor<3>| {
            let [b, _, d] = tokens.dims();
            tokens.reshape([b, rows, columns, d])
        };
        tokens.into_iter().map(map).collect()
    }

    /// The same parameters for images of another size: the positional tables are resampled, nothing is copied.
    ///
    /// # Panics
    /// If a side is no multiple of the patch.
    pub fn at_size(&self, image_size: [usize; 2]) -> Self {
        let patch = self.config.patch_size;
        assert!(image_size.iter().all(|side| side.is_multiple_of(patch)), "whole patches");
        let grid = image_size.map(|side| side / patch);
        Self {
            pos_embed: self.pos_embed.on_grid(grid),
            decoder_pos_embed: self.decoder_pos_embed.as_ref().map(|table| table.on_grid(grid)),
            image_size,
            ..self.clone()
        }
    }

    /// [`forward`](Self::forward), the products of linear layers and convolutions and those of their gradients computed
    /// in `precision` where the model is on the CPU.
    pub fn forward_in(&self, precision: Precision, images: Tensor<4>, mask: Option<&Mask>) -> Reconstruction {
        ops::with_precision(precision, || self.forward(images, mask))
    }

    /// [`forward_features`](Self::forward_features) as [`forward_in`](Self::forward_in) computes it.
    pub fn forward_features_in(
        &self,
        precision: Precision,
        images: Tensor<4>,
        mask: Option<&Mask>,
    ) -> (Reconstruction, Features) {
        ops::with_precision(precision, || self.forward_features(images, mask))
    }

    fn embed(&self, images: Tensor<4>) -> (Tensor<3>, Vec<Tensor<4>>) {
        let (tokens, levels) = match (&self.stem, &self.patch_embed) {
            (Some(stem), _) => stem.forward(images),
            (None, Some(embed)) => (embed.forward(images), Vec::new()),
            (None, None) => unreachable!("the constructor makes one of them"),
        };
        (self.pos_embed.forward(tokens), levels)
    }

    /// The decoder's tokens in image order, the aggregated features, and the taps.
    fn encode(&self, tokens: Tensor<3>, routes: Option<&Routes>) -> (Tensor<3>, Tensor<3>, Vec<Tensor<3>>) {
        let mut x = match routes {
            Some(routes) => routes.keep(tokens),
            None => tokens,
        };
        let at = self.config.taps();
        let mut taps = Vec::with_capacity(at.len());
        for (i, layer) in self.encoder.iter().enumerate() {
            x = layer.forward(x);
            if at.contains(&(i + 1)) {
                taps.push(x.clone());
            }
        }
        if let (Some(routes), AggregationKeys::Scattered) = (routes, self.config.aggregation_keys) {
            let zeros = || Tensor::zeros([self.config.embed_dim], &x.device());
            taps = taps.into_iter().map(|tap| routes.restore(tap, zeros())).collect();
        }
        let features = self.aggregation.forward(taps.clone());
        let tokens = self.decoder_embed.forward(self.encoder_norm.forward(x));
        let tokens = match routes {
            Some(routes) => routes.restore(tokens, self.mask_token.val()),
            None => tokens,
        };
        (tokens, features, taps)
    }

    fn decode(&self, tokens: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let tokens = match &self.decoder_pos_embed {
            Some(pos_embed) => pos_embed.forward(tokens),
            None => tokens,
        };
        let tokens = self.decoder.iter().fold(tokens, |x, layer| layer.forward(x, features.clone()));
        self.decoder_norm.forward(tokens)
    }

    /// The reconstruction, and the pyramid head's maps.
    fn reconstruct(
        &self,
        tokens: Tensor<3>,
        levels: Vec<Tensor<4>>,
        images: Tensor<4>,
    ) -> (Reconstruction, Vec<Tensor<4>>) {
        let (output, maps) = match (&self.pyramid, &self.head) {
            (Some(pyramid), _) => {
                let [b, _, d] = tokens.dims();
                let [rows, columns] = self.grid();
                pyramid.forward_maps(tokens.reshape([b, rows, columns, d]), levels)
            }
            (None, Some(head)) => (head.forward(tokens, self.image_size), Vec::new()),
            (None, None) => unreachable!("the constructor makes one of them"),
        };
        let (image, logit) = if self.config.defect_logit {
            let logit = output.clone().narrow(3, self.channels, 1);
            (output.narrow(3, 0, self.channels), Some(logit))
        } else {
            (output, None)
        };
        let image = match self.config.output {
            Output::Absolute => image,
            Output::Residual => image + images,
        };
        (Reconstruction { image, logit }, maps)
    }

    /// Rows and columns of patches.
    fn grid(&self) -> [usize; 2] {
        self.image_size.map(|side| side / self.config.patch_size)
    }

    /// The configuration that the model was made from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Height and width of the images it takes.
    pub fn image_size(&self) -> [usize; 2] {
        self.image_size
    }

    /// Where its parameters live.
    pub fn device(&self) -> Device {
        self.mask_token.val().device()
    }

    /// Channels of the images it takes.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

fn blank(images: Tensor<4>, mask: &Mask, patch_size: usize) -> Tensor<4> {
    let [b, h, w, _] = images.dims();
    let hidden = TensorData::new(mask.pixels(patch_size), [b, h, w, 1]);
    let hidden = Tensor::<4>::from_data(hidden, &images.device());
    images * (1.0 - hidden.clone()) + hidden * BLANK
}

/// A mask as index tensors.
struct Routes {
    keep: Tensor<1, Int>,
    restore: Tensor<1, Int>,
    batch: usize,
}

impl Routes {
    fn new(mask: &Mask, device: &Device) -> Self {
        let indices = |ids: Vec<i64>| Tensor::from_data(TensorData::from(ids.as_slice()), device);
        Self { keep: indices(mask.ids_keep()), restore: indices(mask.ids_restore()), batch: mask.batch() }
    }

    /// `[B, N, D]` -> `[B, N_visible, D]`
    fn keep(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [b, n, d] = tokens.dims();
        let kept = tokens.reshape([b * n, d]).select(0, self.keep.clone());
        let [rows, _] = kept.dims();
        kept.reshape([b, rows / b, d])
    }

    /// `[B, N_visible, D]` -> `[B, N, D]`, `filler` (`[D]`) where hidden.
    fn restore(&self, tokens: Tensor<3>, filler: Tensor<1>) -> Tensor<3> {
        let [b, visible, d] = tokens.dims();
        let rows = Tensor::cat(vec![tokens.reshape([b * visible, d]), filler.unsqueeze()], 0);
        let all = rows.select(0, self.restore.clone());
        let [total, _] = all.dims();
        all.reshape([self.batch, total / self.batch, d])
    }
}

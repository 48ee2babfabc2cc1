//! The network's shape.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::Result;

/// The network's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Side of a patch in pixels; also the stride of the tokens.
    pub patch_size: usize,
    /// How pixels become tokens.
    pub patch_embed: PatchEmbed,
    /// Channels of the stem's levels at strides 2, 4, 8 (`conv_stem` only).
    pub stem_dims: Vec<usize>,
    /// Width of the encoder's tokens.
    pub embed_dim: usize,
    /// Encoder layers.
    pub depth: usize,
    /// Encoder attention heads.
    pub num_heads: usize,
    /// Hidden width of the encoder's MLP, over `embed_dim`.
    pub mlp_ratio: f64,
    /// The normalisation layer.
    pub norm: Norm,
    /// Where DyT's `alpha` starts inside layers, above 0; in the final norms it starts at 0.5.
    pub dyt_alpha: f64,
    /// The fixed half of the positional embedding.
    pub sinusoid: Sinusoid,
    /// Width of the decoder's tokens.
    pub decoder_embed_dim: usize,
    /// Decoder layers.
    pub decoder_depth: usize,
    /// Decoder attention heads.
    pub decoder_num_heads: usize,
    /// Hidden width of the decoder's MLP, over `decoder_embed_dim`.
    pub decoder_mlp_ratio: f64,
    /// Whether the decoder has a positional embedding of its own.
    pub decoder_pos_embed: bool,
    /// What the decoder sees of hidden patches.
    pub aggregation_keys: AggregationKeys,
    /// How tokens become pixels.
    pub head: Head,
    /// What the head's output means.
    pub output: Output,
    /// Whether the pyramid head also gives a defect logit per pixel.
    pub defect_logit: bool,
}

/// How pixels become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchEmbed {
    /// One linear map per patch (ViT).
    Linear,
    /// 3 x 3 convolutions of stride 2, whose levels also feed the pyramid head.
    ConvStem,
}

/// How tokens become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// One linear map per patch.
    Linear,
    /// Pixel shuffles and convolutions from stride 16 back to 1, joined with the stem's levels.
    Pyramid,
}

/// What the head's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The reconstructed pixels.
    Absolute,
    /// A correction that is added to the input's pixels.
    Residual,
}

/// The normalisation layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Dynamic tanh (Zhu et al. 2025).
    Dyt,
    /// Layer normalisation.
    LayerNorm,
}

/// The fixed half of the hybrid positional embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sinusoid {
    /// Row and column, half the width each.
    TwoD,
    /// Row only, as published.
    Row,
}

/// What the decoder's cross-attention sees of hidden patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregationKeys {
    /// Nothing: keys and values are the visible tokens only.
    Visible,
    /// Zeros at the hidden places, as published.
    Scattered,
}

impl ModelConfig {
    /// The default: 2.8 million parameters, for two CPU cores.
    pub fn light() -> Self {
        Self {
            patch_size: 16,
            patch_embed: PatchEmbed::ConvStem,
            stem_dims: vec![24, 48, 96],
            embed_dim: 192,
            depth: 6,
            num_heads: 6,
            mlp_ratio: 2.0,
            norm: Norm::Dyt,
            dyt_alpha: 0.5,
            sinusoid: Sinusoid::TwoD,
            decoder_embed_dim: 128,
            decoder_depth: 1,
            decoder_num_heads: 4,
            decoder_mlp_ratio: 2.0,
            decoder_pos_embed: true,
            aggregation_keys: AggregationKeys::Visible,
            head: Head::Pyramid,
            output: Output::Residual,
            defect_logit: true,
        }
    }

    /// The published system: 29,784,360 parameters.
    pub fn diyt() -> Self {
        Self {
            patch_size: 16,
            patch_embed: PatchEmbed::Linear,
            stem_dims: Vec::new(),
            embed_dim: 512,
            depth: 16,
            num_heads: 8,
            mlp_ratio: 1.0,
            norm: Norm::Dyt,
            dyt_alpha: 0.1,
            sinusoid: Sinusoid::Row,
            decoder_embed_dim: 256,
            decoder_depth: 2,
            decoder_num_heads: 8,
            decoder_mlp_ratio: 2.0,
            decoder_pos_embed: false,
            aggregation_keys: AggregationKeys::Scattered,
            head: Head::Linear,
            output: Output::Absolute,
            defect_logit: false,
        }
    }

    pub(super) fn validate(&self, input_size: [usize; 2]) -> Result<()> {
        let width = |dim: usize, heads: usize, which: &str| {
            require(heads > 0 && dim > 0, &format!("model.{which}num_heads"), "must be at least 1")?;
            let ok = dim.is_multiple_of(heads) && dim.is_multiple_of(4);
            let reason = format!("{dim} must be a multiple of 4 and of the {heads} heads");
            require(ok, &format!("model.{which}embed_dim"), reason)
        };
        width(self.embed_dim, self.num_heads, "")?;
        width(self.decoder_embed_dim, self.decoder_num_heads, "decoder_")?;
        require(self.depth >= 3, "model.depth", "needs at least 3 layers, one for each tap")?;
        require(self.depth <= 64, "model.depth", "must be at most 64")?;
        require(self.embed_dim <= 4096, "model.embed_dim", "must be at most 4096")?;
        require(self.decoder_embed_dim <= 4096, "model.decoder_embed_dim", "must be at most 4096")?;
        require((1..=64).contains(&self.decoder_depth), "model.decoder_depth", "must be 1 to 64")?;
        for (ratio, field) in
            [(self.mlp_ratio, "model.mlp_ratio"), (self.decoder_mlp_ratio, "model.decoder_mlp_ratio")]
        {
            require(ratio > 0.0 && ratio <= 16.0, field, "must be above 0 and at most 16")?;
        }
        // A ratio may be valid and yet leave nothing of a narrow layer.
        require(self.mlp_dim() > 0, "model.mlp_ratio", "leaves the MLP no hidden value")?;
        require(self.decoder_mlp_dim() > 0, "model.decoder_mlp_ratio", "leaves the MLP no hidden value")?;
        let grid = input_size.map(|side| side / self.patch_size);
        require(
            grid[0] * grid[1] >= 2,
            "data.image_size",
            format!("holds one patch of {0} x {0} pixels: at least two are needed", self.patch_size),
        )?;
        let pyramid = self.head == Head::Pyramid;
        let stem = self.patch_embed == PatchEmbed::ConvStem;
        if pyramid || stem {
            require(self.patch_size == 16, "model.patch_size", "must be 16 with conv_stem or pyramid")?;
            require(self.stem_dims.len() == 3, "model.stem_dims", "needs 3 widths, for strides 2, 4, 8")?;
            let ok = self.stem_dims.iter().all(|d| (1..=1024).contains(d));
            require(ok, "model.stem_dims", "each must be 1 to 1024")?;
        }
        let ok = self.dyt_alpha > 0.0 && self.dyt_alpha.is_finite();
        require(ok, "model.dyt_alpha", "must be above 0")?;
        require(pyramid || !self.defect_logit, "model.defect_logit", "needs head = \"pyramid\"")
    }

    /// After how many layers the three taps are taken: depth/3, 2 depth/3, depth.
    pub fn taps(&self) -> [usize; 3] {
        [self.depth / 3, 2 * self.depth / 3, self.depth]
    }

    /// Hidden width of the encoder's MLP.
    pub fn mlp_dim(&self) -> usize {
        (self.embed_dim as f64 * self.mlp_ratio).round() as usize
    }

    /// Hidden width of the decoder's MLP.
    pub fn decoder_mlp_dim(&self) -> usize {
        (self.decoder_embed_dim as f64 * self.decoder_mlp_ratio).round() as usize
    }
}

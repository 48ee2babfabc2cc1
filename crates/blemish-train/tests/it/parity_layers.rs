//! Every layer against the PyTorch reference: outputs, and the gradients of inputs and weights.

use blemish::config::{ModelConfig, Norm as NormKind};
use blemish_train::model::aggregation::Aggregation;
use blemish_train::model::attention::{Attention, CrossAttention};
use blemish_train::model::decoder::DecoderLayer;
use blemish_train::model::encoder::EncoderLayer;
use blemish_train::model::head::{LinearHead, PyramidHead};
use blemish_train::model::mlp::Mlp;
use blemish_train::model::norm::Norm;
use blemish_train::model::patch_embed::{LinearEmbed, Stem};

use crate::fixture::{Layer, channels_first, channels_last};

#[test]
fn dyt() {
    norm("dyt", NormKind::Dyt);
}

#[test]
fn layer_norm() {
    norm("layer_norm", NormKind::LayerNorm);
}

fn norm(name: &str, kind: NormKind) {
    let (mut case, layer) = Layer::open(name, |init| Norm::new(kind, 12, 0.1, init));
    let x = case.input::<3>("x");
    case.output("y", layer.forward(x));
    case.gradients(&layer);
}

#[test]
fn mlp() {
    let (mut case, layer) = Layer::open("mlp", |init| Mlp::new(12, 20, init));
    let x = case.input::<3>("x");
    case.output("y", layer.forward(x));
    case.gradients(&layer);
}

#[test]
fn attention() {
    let (mut case, layer) = Layer::open("attention", |init| Attention::new(12, 3, init));
    let x = case.input::<3>("x");
    case.output("y", layer.forward(x));
    case.gradients(&layer);
}

#[test]
fn cross_attention() {
    let (mut case, layer) = Layer::open("cross_attention", |init| CrossAttention::new(12, 16, 3, init));
    let (x, context) = (case.input::<3>("x"), case.input::<3>("context"));
    case.output("y", layer.forward(x, context));
    case.gradients(&layer);
}

#[test]
fn encoder_layer() {
    for (name, norm) in [("dyt", NormKind::Dyt), ("layer_norm", NormKind::LayerNorm)] {
        let config =
            ModelConfig { embed_dim: 12, num_heads: 3, mlp_ratio: 2.0, norm, ..ModelConfig::light() };
        let name = format!("encoder_layer_{name}");
        let (mut case, layer) = Layer::open(&name, |init| EncoderLayer::new(&config, init));
        let x = case.input::<3>("x");
        case.output("y", layer.forward(x));
        case.gradients(&layer);
    }
}

#[test]
fn decoder_layer() {
    for (name, norm) in [("dyt", NormKind::Dyt), ("layer_norm", NormKind::LayerNorm)] {
        let config = ModelConfig {
            embed_dim: 16,
            decoder_embed_dim: 12,
            decoder_num_heads: 3,
            decoder_mlp_ratio: 2.0,
            norm,
            ..ModelConfig::light()
        };
        let name = format!("decoder_layer_{name}");
        let (mut case, layer) = Layer::open(&name, |init| DecoderLayer::new(&config, init));
        let (x, context) = (case.input::<3>("x"), case.input::<3>("context"));
        case.output("y", layer.forward(x, context));
        case.gradients(&layer);
    }
}

#[test]
fn aggregation() {
    let (mut case, layer) = Layer::open("aggregation", |init| Aggregation::new(12, init));
    let taps = (0..3).map(|k| case.input::<3>(&format!("tap{k}"))).collect();
    case.output("y", layer.forward(taps));
    case.gradients(&layer);
}

#[test]
fn patch_embed_linear() {
    let (mut case, layer) = Layer::open("patch_embed_linear", |init| LinearEmbed::new(16, 3, 4, init));
    let image = case.input::<4>("image");
    case.output("y", layer.forward(channels_last(image)));
    case.gradients(&layer);
}

#[test]
fn conv_stem() {
    let (mut case, layer) = Layer::open("conv_stem", |init| Stem::new(3, &[4, 6, 8], 12, init));
    let image = case.input::<4>("image");
    let (tokens, levels) = layer.forward(channels_last(image));
    case.output("tokens", tokens);
    for (k, level) in levels.into_iter().enumerate() {
        case.output(&format!("level{}", k + 1), level);
    }
    case.gradients(&layer);
}

#[test]
fn pyramid_head() {
    for (name, outputs, skips) in [("pyramid_head", 3, true), ("pyramid_head_no_skips", 1, false)] {
        let (mut case, layer) =
            Layer::open(name, |init| PyramidHead::new(12, &[4, 6, 8], outputs, skips, init));
        let grid = case.input::<4>("grid");
        let levels = if skips { 1..4 } else { 0..0 };
        let levels = levels.map(|k| case.input::<4>(&format!("level{k}"))).collect();
        case.output("y", channels_first(layer.forward(grid, levels)));
        case.gradients(&layer);
    }
}

#[test]
fn linear_head() {
    let (mut case, layer) = Layer::open("linear_head", |init| LinearHead::new(4, 16, 3, init));
    let grid = case.input::<4>("grid");
    case.output("y", channels_first(layer.forward(grid.reshape([1, 2, 4]), [32, 16])));
    case.gradients(&layer);
}

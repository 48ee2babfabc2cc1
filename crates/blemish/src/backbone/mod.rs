//! Feature networks that others have trained, read from a safetensors file by the names and shapes of its tensors: an
//! EfficientNet-Lite or a plain ViT. Only the part up to the last level that is read is kept.

mod depthwise;
mod efficientnet;
mod reader;
mod vit;

use std::path::Path;

use self::efficientnet::EfficientNet;
use self::reader::Reader;
use self::vit::Vit;
use crate::engine::{Array, FeatureMap, Weights, take_prefixed};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::read::read_whole;
use crate::tensors::read_foreign;

/// Levels that are read.
pub(crate) const LEVELS: usize = 2;
/// How the tensors of each kind begin in a model file.
const EFFICIENTNET: &str = "efficientnet_lite.";
const VIT: &str = "vit.";
/// Channels of a layer, at most: no published network of these kinds has more, and a false header must not cost memory.
const MAX_CHANNELS: usize = 8192;
/// Mean and standard deviation of ImageNet's images, what most networks were trained with.
const IMAGENET: Input = Input { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };
/// What a message says of a file that is none of them.
const KINDS: &str = "recognised are EfficientNet-Lite0 to Lite4, with the tensor names of timm or efficientnet_lite_pytorch, and \
                     plain ViTs, with those of timm or facebookresearch/mae (docs/features.md)";

/// A feature network that someone else has trained.
#[derive(Debug)]
pub struct Backbone {
    network: Network,
    input: Input,
}

#[derive(Debug)]
enum Network {
    EfficientNet(EfficientNet),
    Vit(Vit),
}

/// How a network wants its images: `(x - mean) / deviation`, by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Input {
    mean: [f32; 3],
    deviation: [f32; 3],
}

impl Input {
    /// An image's pixels, `[H, W, 3]`.
    fn pixels(&self, image: &Image) -> Vec<f32> {
        let mut pixels = image.in_three_channels().into_owned();
        for pixel in pixels.as_chunks_mut::<3>().0 {
            for ((v, mean), deviation) in pixel.iter_mut().zip(self.mean).zip(self.deviation) {
                *v = (*v - mean) / deviation;
            }
        }
        pixels
    }
}

impl Backbone {
    /// Reads a file and recognises the network in it. No code in it can run.
    ///
    /// # Errors
    /// [`Error::Model`] that says what is wrong with the file, or [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(path, &read_whole(path)?)
    }

    /// As [`load`](Self::load), of a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), without [`Error::Io`].
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        let (metadata, weights) = read_foreign(name, bytes)?;
        let heads = metadata.get("num_heads").map(|text| text.parse().unwrap_or(0));
        Self::recognised(weights, heads).map_err(|reason| Error::model(name, reason))
    }

    fn recognised(weights: Weights, heads: Option<usize>) -> Result<Self, String> {
        let has = |name: &str| weights.contains_key(name);
        let reader = Reader::new(&weights);
        if has("patch_embed.proj.weight") {
            let vit =
                Vit::of_file(reader, heads).map_err(|reason| format!("looks like a ViT, but {reason}"))?;
            return Ok(Self { network: Network::Vit(vit), input: IMAGENET });
        }
        let (network, input) = match EfficientNet::of_file(reader) {
            Some(read) => {
                read.map_err(|reason| format!("looks like an EfficientNet-Lite, but {reason}; {KINDS}"))?
            }
            None => {
                let reason = "has no tensor conv_stem.weight, _conv_stem.weight or patch_embed.proj.weight";
                return Err(format!(
                    "holds no network that can serve as feature network: it {reason}; {KINDS}"
                ));
            }
        };
        Ok(Self { network: Network::EfficientNet(network), input })
    }

    /// Adds what is needed to a model file's tensors, their names behind `prefix`.
    pub fn put(&self, tensors: &mut Weights, prefix: &str) {
        let (kind, mut own) = match &self.network {
            Network::EfficientNet(network) => (EFFICIENTNET, network.save()),
            Network::Vit(network) => (VIT, network.save()),
        };
        let Input { mean, deviation } = self.input;
        own.push(("input".to_owned(), Array { shape: vec![2, 3], values: [mean, deviation].concat() }));
        tensors.extend(own.into_iter().map(|(name, array)| (format!("{prefix}{kind}{name}"), array)));
    }

    /// Whether [`put`](Self::put) has added one.
    pub fn is_in(tensors: &Weights, prefix: &str) -> bool {
        kind_of(tensors, prefix).is_some()
    }

    /// Takes what [`put`](Self::put) has added.
    ///
    /// # Errors
    /// A sentence that names a tensor that is missing or does not fit.
    pub fn take(tensors: &mut Weights, prefix: &str) -> Result<Self, String> {
        let mut own = take_prefixed(tensors, prefix);
        let kind = kind_of(&own, "").ok_or("it holds no feature network")?;
        let weights = take_prefixed(&mut own, kind);
        if let Some(name) = own.keys().next() {
            return Err(format!("tensor {name} belongs to no feature network"));
        }
        let reader = Reader::new(&weights);
        let input = reader.values("input", &[2, 3])?;
        let three = |at: usize| [input[at], input[at + 1], input[at + 2]];
        let input = Input { mean: three(0), deviation: three(3) };
        if !input.deviation.iter().all(|&v| v > 0.0) {
            return Err("tensor input holds a deviation that is not above 0".to_owned());
        }
        let network = match kind {
            EFFICIENTNET => Network::EfficientNet(EfficientNet::of_model(reader)?),
            _ => Network::Vit(Vit::of_model(reader)?),
        };
        Ok(Self { network, input })
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        let [fine, coarse] = self.channels();
        match &self.network {
            Network::EfficientNet(_) => format!("EfficientNet-Lite, {fine} and {coarse} channels"),
            Network::Vit(vit) => format!("ViT, {fine} channels, {} heads", vit.heads()),
        }
    }

    /// Channels of each level.
    pub fn channels(&self) -> [usize; LEVELS] {
        match &self.network {
            Network::EfficientNet(network) => network.channels(),
            Network::Vit(vit) => [vit.width(); LEVELS],
        }
    }

    /// The levels of an image of any size, 1 or 3 channels, around 0.5.
    pub fn levels(&self, image: &Image) -> [FeatureMap; LEVELS] {
        match &self.network {
            Network::EfficientNet(network) => {
                network.levels(self.input.pixels(image), [image.height, image.width])
            }
            Network::Vit(vit) => {
                let image = vit.in_whole_patches(image);
                vit.levels(&self.input.pixels(&image), [image.height, image.width])
            }
        }
    }
}

/// The kind of network whose tensors are behind `prefix`.
fn kind_of(tensors: &Weights, prefix: &str) -> Option<&'static str> {
    [EFFICIENTNET, VIT].into_iter().find(|kind| {
        let start = format!("{prefix}{kind}");
        tensors.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
    })
}

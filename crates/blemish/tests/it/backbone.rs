//! Feature networks that others have trained: PyTorch's values, the way through a model file, files that are refused.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use blemish::backbone::Backbone;
use blemish::config::Use;
use blemish::engine::{FeatureMap, Weights};
use blemish::{Config, Detector, Error, Image, Images};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// The file of a fixture, which `reference/backbones.py` has written.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"))
}

/// A safetensors file in pieces.
#[derive(Clone)]
struct File {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl File {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let own = |(name, view): (String, TensorView<'_>)| {
            (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        Self { tensors: file.tensors().into_iter().map(own).collect(), metadata }
    }

    fn bytes(&self) -> Vec<u8> {
        let view = |(name, (kind, shape, data)): (&String, &(Dtype, Vec<usize>, Vec<u8>))| {
            (name.clone(), TensorView::new(*kind, shape.clone(), data).unwrap().data().to_vec())
        };
        let data: BTreeMap<String, Vec<u8>> = self.tensors.iter().map(view).collect();
        let views = self.tensors.iter().map(|(name, (kind, shape, _))| {
            (name, TensorView::new(*kind, shape.clone(), &data[name]).unwrap())
        });
        safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
    }

    /// Numbers of a tensor in 32 bits.
    fn values(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let (kind, shape, data) = &self.tensors[name];
        assert_eq!(*kind, Dtype::F32);
        (shape.clone(), data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    fn put(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), (Dtype::F32, shape.to_vec(), data));
    }

    /// Why it is refused.
    fn fault(&self) -> String {
        match Backbone::from_bytes(Path::new("own.safetensors"), &self.bytes()) {
            Err(Error::Model { path, reason }) if path == Path::new("own.safetensors") => reason,
            other => panic!("{other:?}"),
        }
    }
}

/// The view of a fixture and the levels that PyTorch made of it.
fn expected(name: &str) -> (Image, [FeatureMap; 2]) {
    let maps = File::read("backbone_maps");
    let of = |what: &str| maps.values(&format!("{name}.{what}"));
    let (shape, pixels) = of("view");
    let level = |what: &str| {
        let (shape, values) = of(what);
        FeatureMap { height: shape[0], width: shape[1], channels: shape[2], values }
    };
    let view = Image { height: shape[0], width: shape[1], channels: shape[2], pixels };
    (view, [level("level0"), level("level1")])
}

const NETWORKS: [&str; 3] = ["lite_timm", "lite_package", "vit"];

#[test]
fn levels_are_those_of_pytorch() {
    for name in NETWORKS {
        let network = Backbone::load(&fixture(name)).unwrap();
        let (view, levels) = expected(name);
        let found = network.levels(&view);
        assert_eq!(network.channels(), [levels[0].channels, levels[1].channels]);
        for (found, expected) in found.iter().zip(&levels) {
            let shape = |map: &FeatureMap| [map.height, map.width, map.channels];
            assert_eq!(shape(found), shape(expected), "{name}");
            let largest = expected.values.iter().fold(1.0f32, |most, v| most.max(v.abs()));
            let worst =
                found.values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-4 * largest, "{name}: {worst} of {largest}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for name in NETWORKS {
        let network = Backbone::load(&fixture(name)).unwrap();
        let (view, _) = expected(name);
        let levels = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| network.levels(&view))
        });
        assert_eq!(levels[0], levels[1], "{name}");
    }
}

#[test]
fn a_model_file_holds_what_is_needed() {
    for name in NETWORKS {
        let network = Backbone::load(&fixture(name)).unwrap();
        let mut tensors = Weights::new();
        network.put(&mut tensors, "features.network.");
        assert!(tensors.keys().all(|name| name.starts_with("features.network.")));
        assert!(Backbone::is_in(&tensors, "features.network.") && !Backbone::is_in(&tensors, "features."));
        let stored: usize = tensors.values().map(|array| array.values.len()).sum();
        let given: usize =
            File::read(name).tensors.values().map(|(_, shape, _)| shape.iter().product::<usize>()).sum();
        assert!(stored < given, "{name}: what lies above the last level is left out");
        let whole = tensors.clone();
        let again = Backbone::take(&mut tensors, "features.network.").unwrap();
        assert!(tensors.is_empty());
        let (view, _) = expected(name);
        assert_eq!(network.levels(&view), again.levels(&view), "{name}");
        // Without any one of them it is refused by that name, or at least refused.
        for missing in whole.keys() {
            let mut tensors = whole.clone();
            let mut array = tensors.remove(missing).unwrap();
            let own = missing.rsplit_once('.').unwrap().0;
            let refused = Backbone::take(&mut tensors.clone(), "features.network.");
            let optional = missing.ends_with("cls_token");
            assert!(refused.is_err() || optional, "{own}");
            array.shape.insert(0, 2);
            array.values = array.values.repeat(2);
            tensors.insert(missing.clone(), array);
            let refused = Backbone::take(&mut tensors, "features.network.").unwrap_err();
            assert!(missing.contains(refused.split(' ').nth(1).unwrap()), "{missing}: {refused}");
        }
    }
}

#[test]
fn a_grey_view_of_any_size_is_described() {
    for name in NETWORKS {
        let network = Backbone::load(&fixture(name)).unwrap();
        for [height, width] in [[32, 32], [16, 48], [33, 19]] {
            let pixels: Vec<f32> = (0..height * width).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
            let grey = Image { height, width, channels: 1, pixels };
            let colour = grey.clone().with_channels(3).unwrap();
            let levels = network.levels(&grey);
            assert_eq!(levels, network.levels(&colour));
            for (map, stride) in levels.iter().zip(if name == "vit" { [8, 8] } else { [8, 16] }) {
                let whole = |side: usize| {
                    if name == "vit" { (side + 4) / 8 } else { side.div_ceil(stride) }
                };
                assert_eq!([map.height, map.width], [whole(height), whole(width)], "{name}");
            }
        }
    }
}

/// A change of a file, and what is then said.
type Fault = (&'static str, fn(&mut File), &'static str);

#[test]
fn what_is_not_recognised_is_refused_by_name() {
    let faults: [Fault; 16] = [
        ("lite_timm", |f| _ = f.tensors.remove("conv_stem.weight"), "holds no network"),
        (
            "lite_timm",
            |f| _ = f.tensors.remove("blocks.3.1.bn2.running_var"),
            "blocks.3.1.bn2.running_var is missing",
        ),
        (
            "lite_timm",
            |f| _ = f.tensors.remove("blocks.4.0.conv_dw.weight"),
            "blocks.4.0.conv_dw.weight is missing",
        ),
        (
            "lite_timm",
            |f| f.put("blocks.1.0.se.conv_reduce.weight", &[1], &[1.0]),
            "blocks.1.0.se.conv_reduce.weight",
        ),
        // A MobileNetV2 has the same names, and kernels of 3 x 3 throughout.
        (
            "lite_timm",
            |f| f.put("blocks.2.0.conv_dw.weight", &[30, 1, 3, 3], &[1.0; 270]),
            "not [30, 1, 5, 5]",
        ),
        ("lite_timm", |f| f.put("blocks.0.0.bn1.running_var", &[6], &[-1.0; 6]), "variance below 0"),
        ("lite_timm", |f| f.put("conv_stem.weight", &[6, 1, 3, 3], &[1.0; 54]), "not [6, 3, 3, 3]"),
        ("lite_timm", |f| f.put("conv_stem.weight", &[1 << 40, 0, 3, 3], &[]), "conv_stem.weight is empty"),
        (
            "lite_timm",
            |f| f.put("conv_stem.weight", &[9000, 3, 3, 3], &[0.5; 243_000]),
            "more than 8192 channels",
        ),
        ("lite_timm", |f| f.put("bn1.weight", &[6], &[f32::NAN; 6]), "not finite"),
        (
            "lite_package",
            |f| _ = f.tensors.remove("_blocks.6._depthwise_conv.weight"),
            "_blocks.6._depthwise_conv.weight",
        ),
        ("vit", |f| _ = f.metadata.remove("num_heads"), "num_heads"),
        ("vit", |f| _ = f.metadata.insert("num_heads".to_owned(), "-1".to_owned()), "num_heads"),
        ("vit", |f| f.put("pos_embed", &[1, 19, 32], &[0.0; 19 * 32]), "no square grid"),
        ("vit", |f| f.put("blocks.0.ls1.gamma", &[32], &[1.0; 32]), "blocks.0.ls1.gamma"),
        ("vit", |f| f.put("reg_token", &[1, 4, 32], &[0.0; 128]), "reg_token"),
    ];
    for (name, change, part) in faults {
        let mut file = File::read(name);
        change(&mut file);
        let fault = file.fault();
        assert!(fault.contains(part), "{part}: {fault}");
    }
    // Names that say nothing: what is recognised is said.
    let mut other = File { tensors: BTreeMap::new(), metadata: HashMap::new() };
    other.put("layer1.0.conv1.weight", &[1], &[1.0]);
    for part in ["EfficientNet-Lite0 to Lite4", "ViT", "docs/features.md", "conv_stem.weight"] {
        assert!(other.fault().contains(part), "{}", other.fault());
    }
}

#[test]
fn cut_files_and_false_headers_are_refused() {
    let bytes = std::fs::read(fixture("vit")).unwrap();
    for length in [0, 7, 8, 9, 100, 2000, bytes.len() - 1] {
        let error =
            Backbone::from_bytes(Path::new("own.safetensors"), &bytes[..length]).unwrap_err().to_string();
        assert!(error.contains("own.safetensors: is not a whole safetensors file"), "{error}");
    }
    let from = "[1,17,32]";
    for to in ["[1,99,99]", "[-1,7,32]", "[1,1e9,9]"] {
        let text = String::from_utf8_lossy(&bytes[8..4000]).into_owned();
        let at = 8 + text.find(from).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        assert!(Backbone::from_bytes(Path::new("own.safetensors"), &changed).is_err(), "{to}");
    }
    let missing = Backbone::load(Path::new("missing.safetensors")).unwrap_err().to_string();
    assert!(missing.contains("missing.safetensors"), "{missing}");
}

/// Smooth waves with noise; a checkerboard where `defect`.
fn product(seed: usize, defect: bool) -> Image {
    let level = |i: usize| {
        let (y, x) = (i / 64, i % 64);
        let noise = ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0;
        let inside = defect && (20..40).contains(&y) && (24..44).contains(&x);
        let board = if (y / 4 + x / 4) % 2 == 0 { 0.4 } else { -0.4 };
        0.4 + 0.1 * ((x as f32 / 5.0).sin() + (y as f32 / 7.0).cos())
            + 0.02 * noise
            + if inside { board } else { 0.0 }
    };
    Image { height: 64, width: 64, channels: 1, pixels: (0..64 * 64).map(level).collect() }
}

fn config(weights: PathBuf) -> Config {
    let mut config = Config::default();
    config.data.image_size = [64, 64];
    (config.memory.usage, config.lines, config.texture) = (Use::Never, Use::Never, Use::Never);
    (config.features.usage, config.features.weights) = (Use::Always, Some(weights));
    config
}

#[test]
fn a_detector_is_fitted_with_one_and_its_file_holds_it() {
    let good: Vec<Image> = (0..12).map(|seed| product(seed, false)).collect();
    for name in NETWORKS {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("own.safetensors");
        std::fs::copy(fixture(name), &weights).unwrap();
        let detector = Detector::fit(&Images::from(good.clone()), &config(weights.clone())).unwrap();
        assert_eq!(detector.active_parts(), "memory of the network's features");
        let score = |detector: &Detector, image: &Image| {
            detector.predict_framed(&detector.frame(image).unwrap()).unwrap().score
        };
        let [fine, defective] = [false, true].map(|defect| score(&detector, &product(99, defect)));
        assert!(defective > 1.5 * fine, "{name}: {fine} {defective}");
        // The model is whole without the file.
        let model = folder.path().join("model.safetensors");
        detector.save(&model).unwrap();
        std::fs::remove_file(weights).unwrap();
        let loaded = Detector::load(&model).unwrap();
        assert_eq!(score(&loaded, &product(98, true)), score(&detector, &product(98, true)), "{name}");
    }
}

#[test]
fn a_fit_refuses_before_it_reads_an_image() {
    let images = Images::from(vec![product(0, false)]);
    let error = Detector::fit(&images, &config(fixture("backbone_maps"))).unwrap_err().to_string();
    assert!(error.contains("backbone_maps.safetensors: holds no network"), "{error}");
    // Values that no trained network has.
    let mut wild = File::read("lite_timm");
    wild.put("blocks.4.2.bn3.bias", &[10], &[3e38; 10]);
    wild.put("blocks.4.1.bn3.bias", &[10], &[3e38; 10]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wild.safetensors");
    std::fs::write(&path, wild.bytes()).unwrap();
    let good: Vec<Image> = (0..4).map(|seed| product(seed, false)).collect();
    let error = Detector::fit(&Images::from(good), &config(path)).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

//! The settings of a training: those of the detector, and what is beside them.

use blemish::config::{Config, Overlay, Precision, Preset, Use, require};
use blemish::image::Border;
use blemish::view::Survey;
use blemish::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::augment::{DefectConfig, Fill, GeometricConfig, PhotometricConfig};
use crate::keys::{SETTINGS, settable};
use crate::masking::{MaskConfig, MaskStrategy};

/// Epochs of the two stages where nothing is said: a little masked pre-training, then mostly repair.
const EPOCHS: [usize; 2] = [2, 28];
/// Most epochs of a stage.
pub(crate) const MOST_EPOCHS: usize = 100_000;
/// Settings at the top level that belong to training; all others are the detector's.
const KEYS: [&str; 2] = ["train", "mask"];

/// A detector's settings, and how its network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The detector.
    pub detector: Config,
    /// What is hidden while pre-training: the preset's.
    #[doc(hidden)]
    pub mask: MaskConfig,
    /// Both training stages.
    pub train: TrainConfig,
}

/// Both training stages and what they share. [`settings_table`](crate::settings_table) says what of it can be set; the rest is
/// the preset's, or found from the training images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Images per step, 1 to 4096.
    pub batch_size: usize,
    /// What a step's large products are computed in: `f32`, or `bf16`, their factors rounded to 8 significant bits and
    /// summed in 32; weights, gradients and all else are 32-bit floats. `bf16` is faster on a CPU with AVX512-BF16,
    /// slower on others, which round the factors alike; GPUs ignore it. Absent: what the machine that trains does best.
    #[doc(hidden)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub precision: Option<Precision>,
    /// Images per epoch, up to 10,000,000; 0: every training image once. Small sets are repeated.
    pub epoch_images: usize,
    /// Decoupled weight decay, 0 to 1; norms, biases and embeddings are left out.
    #[doc(hidden)]
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm; 0: never.
    #[doc(hidden)]
    pub clip_norm: f64,
    /// Share of SSIM in the loss of pre-training, 0 to 1.
    #[doc(hidden)]
    pub ssim_weight: f64,
    /// How the pose and the lighting of training images are varied.
    #[doc(hidden)]
    pub pose: Pose,
    /// First stage: filling in hidden patches.
    pub pretrain: StageConfig,
    /// Second stage: undoing synthetic defects and locating them; in preset `diyt` plain reconstruction.
    pub finetune: StageConfig,
    /// The synthetic defects.
    #[doc(hidden)]
    pub defects: DefectConfig,
}

/// One training stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Passes over `train.epoch_images` images, up to 100,000; 0 leaves the stage out. Absent in both stages: 2 and 28
    /// where the network contributes to the score and starts from random weights, else none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epochs: Option<usize>,
    /// Peak learning rate of AdamW, above 0 and at most 1.
    #[doc(hidden)]
    pub learning_rate: f64,
    /// Validate after this many epochs, and after the last; 0: never.
    #[doc(hidden)]
    pub validate_every: usize,
    /// Stop after this many epochs without a better loss (pre-training) or AUROC (fine-tuning); 0: never.
    #[doc(hidden)]
    pub patience: usize,
}

/// What a stage's loss compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Fill in hidden patches (their MSE, plus SSIM).
    Masked,
    /// Reproduce the unmasked image (whole-image MSE), as published.
    Reconstruct,
    /// Undo synthetic defects and locate them.
    Repair,
}

/// How the pose and the lighting of training images are varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pose {
    /// `fixed`, `free` or `surface`, whichever the training images show.
    Auto,
    /// Small rotations and shifts: the product's pose is fixed.
    Fixed,
    /// Any angle and mirror image: products in arbitrary orientation.
    Free,
    /// Mirrored, hardly rotated, continued beyond the edges, since a surface may have a direction; no synthetic defects that
    /// only move its texture.
    Surface,
    /// As published (diyt): up to 30 degrees, perspective, the central part; lighting is left alone.
    Published,
    /// As published for those categories of MVTec AD that are mirrored there.
    PublishedMirrored,
}

impl Pose {
    /// The geometric augmentation; none before `auto` is settled.
    pub(crate) fn geometric(self) -> GeometricConfig {
        let unchanged = GeometricConfig::default();
        match self {
            Self::Auto => unchanged,
            Self::Fixed => {
                GeometricConfig { rotation_degrees: 4.0, scale: 0.03, translate: 0.02, ..unchanged }
            }
            Self::Free => GeometricConfig {
                rotation_degrees: 180.0,
                horizontal_flip: 0.5,
                vertical_flip: 0.5,
                scale: 0.05,
                translate: 0.03,
                ..unchanged
            },
            Self::Surface => GeometricConfig {
                rotation_degrees: 10.0,
                horizontal_flip: 0.5,
                vertical_flip: 0.5,
                scale: 0.05,
                border: Border::Reflect,
                ..unchanged
            },
            // Deviation: what a rotation uncovers is filled from the edge, not with black.
            Self::Published | Self::PublishedMirrored => GeometricConfig {
                rotation_degrees: 30.0,
                perspective_distortion: 0.2,
                perspective_probability: 0.8,
                center_crop: 200.0 / 256.0,
                horizontal_flip: if self == Self::PublishedMirrored { 0.9 } else { 0.0 },
                ..unchanged
            },
        }
    }

    /// The lighting augmentation.
    pub(crate) fn photometric(self) -> PhotometricConfig {
        match self {
            Self::Published | Self::PublishedMirrored => PhotometricConfig::default(),
            _ => PhotometricConfig {
                gradient: 0.1,
                gamma: 0.15,
                blur: 0.1,
                noise: 0.01,
                ..PhotometricConfig::default()
            },
        }
    }

    /// The contents of synthetic defects, each as often as the others.
    pub(crate) fn fills(self) -> Vec<Fill> {
        Fill::ALL.into_iter().filter(|fill| self != Self::Surface || fill.shows_on_surfaces()).collect()
    }
}

impl StageConfig {
    /// Passes that the stage makes; before they are settled, 0 where nothing is said.
    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(0)
    }
}

/// What of a configuration belongs to training, as users write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Training {
    mask: MaskConfig,
    train: TrainConfig,
}

impl RunConfig {
    /// The complete configuration of a preset.
    pub fn preset(preset: Preset) -> Self {
        let stage = |learning_rate, validate_every| StageConfig {
            epochs: None,
            learning_rate,
            validate_every,
            patience: 0,
        };
        let light = Self {
            detector: Config::preset(preset),
            mask: MaskConfig {
                strategy: MaskStrategy::Block,
                mask_ratio: 0.75,
                block_min: 2,
                block_max: None,
            },
            train: TrainConfig {
                batch_size: 8,
                precision: None,
                epoch_images: 320,
                weight_decay: 1e-2,
                clip_norm: 1.0,
                ssim_weight: 0.2,
                pose: Pose::Auto,
                pretrain: stage(1e-3, 0),
                finetune: stage(1e-3, 5),
                defects: DefectConfig::default(),
            },
        };
        match preset {
            Preset::Light => light,
            Preset::Diyt => Self {
                train: TrainConfig {
                    batch_size: 32,
                    epoch_images: 0,
                    clip_norm: 0.0,
                    pose: Pose::Published,
                    pretrain: StageConfig { epochs: Some(80), patience: 20, ..stage(5e-5, 0) },
                    finetune: StageConfig { epochs: Some(40), patience: 20, ..stage(5e-5, 5) },
                    ..light.train
                },
                ..light
            },
        }
    }

    /// The same, for a category of MVTec AD: preset `diyt` mirrors images of some of them.
    #[must_use]
    pub fn for_category(mut self, category: &str) -> Self {
        let mirrored = ["carpet", "grid", "leather", "wood", "screw", "tile"].contains(&category);
        if self.train.pose == Pose::Published && mirrored {
            self.train.pose = Pose::PublishedMirrored;
        }
        self
    }

    /// The same with these settings; those under `train` and `mask` are training's, all others the detector's.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that is no setting, or a value of the wrong type.
    pub fn with(&self, overlay: &Overlay) -> Result<Self> {
        let mut of_detector = overlay.clone();
        let of_training = of_detector.take(&KEYS);
        let base = Training { mask: self.mask.clone(), train: self.train.clone() };
        let Training { mask, train } = of_training.apply(&base, SETTINGS)?;
        Ok(Self { detector: self.detector.with(&of_detector)?, mask, train })
    }

    /// Preset and settings as TOML, as [`Overlay::file`] reads them; what cannot be set follows from the preset, the training
    /// images and the machine.
    ///
    /// # Errors
    /// None in practice; serialisation can fail in principle.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&settable(&self.to_table()?)).map_err(not_written)
    }

    /// All of it, as users would write it.
    pub(crate) fn to_table(&self) -> Result<toml::Table> {
        let mut table = toml::Table::try_from(&self.detector).map_err(not_written)?;
        table.extend(toml::Table::try_from(self.training()).map_err(not_written)?);
        Ok(table)
    }

    /// All that shapes training alone, as TOML.
    pub(crate) fn training_toml(&self) -> Result<String> {
        toml::to_string(&self.training()).map_err(not_written)
    }

    fn training(&self) -> Training {
        Training { mask: self.mask.clone(), train: self.train.clone() }
    }

    /// Epochs of both stages; before they are settled, 0 where nothing is said.
    pub fn epochs(&self) -> usize {
        self.train.pretrain.epochs() + self.train.finetune.epochs()
    }

    /// Whether epochs are asked for by name.
    fn asks_for_training(&self) -> bool {
        self.epochs() > 0
    }

    /// Checks every combination that the types cannot.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first field at fault.
    pub fn validate(&self) -> Result<()> {
        self.detector.validate()?;
        self.mask.validate()?;
        self.train.validate()?;
        let ok = !self.asks_for_training() || self.detector.network.usage != Use::Never;
        require(ok, "network.use", "is never: there is no use in epochs of training")?;
        let finetuned = self.train.finetune.epochs != Some(0) || !self.asks_for_training();
        require(
            finetuned || !self.detector.model.defect_logit || !self.detector.network.init.is_none(),
            "train.finetune.epochs",
            "must not be 0 where the network starts from random weights: its defect output is trained in this stage only",
        )
    }

    /// Uses the network and trains it on the product, from whatever it starts.
    pub fn finetune(&mut self) {
        self.detector.network.usage = Use::Always;
        if !self.detector.network.init.is_none() {
            self.train.pretrain.epochs.get_or_insert(EPOCHS[0]);
            self.train.finetune.epochs.get_or_insert(EPOCHS[1]);
        }
    }

    /// Settles the network's use where it is `auto` and epochs are asked for.
    pub(crate) fn settle_use(&mut self) {
        if self.asks_for_training() && self.detector.network.usage == Use::Auto {
            self.detector.network.usage = Use::Always;
        }
    }

    /// Settles what is left to the training images and the machine: how images are varied, the number of epochs, the
    /// precision. The detector's configuration must be settled.
    pub fn settle(&mut self, survey: &Survey) {
        let rectified = self.detector.data.view.as_ref().is_some_and(|view| view.product.is_some());
        let train = &mut self.train;
        if train.pose == Pose::Auto {
            train.pose = match () {
                () if survey.has_fixed_pose() || rectified => Pose::Fixed,
                () if survey.is_surface() => Pose::Surface,
                () => Pose::Free,
            };
        }
        // Pre-trained weights are used as they are where nobody asks for training.
        let network = &self.detector.network;
        let is_trained = network.usage == Use::Always && network.init.is_none();
        let [pretrain, finetune] = if is_trained { EPOCHS } else { [0, 0] };
        train.pretrain.epochs.get_or_insert(pretrain);
        train.finetune.epochs.get_or_insert(finetune);
        train.precision.get_or_insert_with(Precision::fastest);
    }

    /// What the second stage's loss compares.
    pub(crate) fn task_of_finetuning(&self) -> Task {
        match self.detector.preset {
            Preset::Light => Task::Repair,
            Preset::Diyt => Task::Reconstruct,
        }
    }

    /// Epochs of linear warm-up before the cosine: 1, half of a shorter stage; none as published.
    pub(crate) fn warmup_epochs(&self, stage: &StageConfig) -> f64 {
        match self.detector.preset {
            Preset::Light => (0.5 * stage.epochs() as f64).min(1.0),
            Preset::Diyt => 0.0,
        }
    }
}

fn not_written(error: toml::ser::Error) -> Error {
    Error::config("settings", error.to_string())
}

impl TrainConfig {
    fn validate(&self) -> Result<()> {
        require((1..=4096).contains(&self.batch_size), "train.batch_size", "must be 1 to 4096")?;
        require(self.epoch_images <= 10_000_000, "train.epoch_images", "must be at most 10000000")?;
        require((0.0..=1.0).contains(&self.weight_decay), "train.weight_decay", "must be 0 to 1")?;
        let ok = self.clip_norm >= 0.0 && self.clip_norm.is_finite();
        require(ok, "train.clip_norm", "must not be negative")?;
        require((0.0..=1.0).contains(&self.ssim_weight), "train.ssim_weight", "must be 0 to 1")?;
        for (stage, name) in [(&self.pretrain, "pretrain"), (&self.finetune, "finetune")] {
            let ok = stage.learning_rate > 0.0 && stage.learning_rate <= 1.0;
            require(ok, &format!("train.{name}.learning_rate"), "must be above 0 and at most 1")?;
            let ok = stage.epochs() <= MOST_EPOCHS;
            require(ok, &format!("train.{name}.epochs"), "must be at most 100000")?;
        }
        self.defects.validate()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn with(preset: Preset, settings: &[&str]) -> Result<RunConfig> {
        let overlay = settings.iter().try_fold(Overlay::default(), |over, setting| over.set(setting))?;
        let config = RunConfig::preset(preset).with(&overlay)?;
        config.validate()?;
        Ok(config)
    }

    fn light(settings: &[&str]) -> RunConfig {
        with(Preset::Light, settings).unwrap()
    }

    fn survey() -> Survey {
        Survey {
            images: 3,
            pose_correlation: 0.9,
            detail_correlation: 0.8,
            rectified_correlation: None,
            product_box: None,
            product_share: 0.4,
            aspect: 1.0,
            area: 65_536.0,
            size_ratio: 1.0,
        }
    }

    #[test]
    fn presets_survive_toml_and_json_to_the_last_bit() {
        for preset in [Preset::Light, Preset::Diyt] {
            let mut config = with(preset, &["score.fpr=0.44130176930456627"]).unwrap();
            assert_eq!(config.detector.score.fpr, 0.441_301_769_304_566_27);
            config.settle_use();
            config.detector.resolve(1, &survey());
            config.settle(&survey());
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run.toml");
            std::fs::write(&path, config.to_toml().unwrap()).unwrap();
            let mut read = RunConfig::preset(preset).with(&Overlay::default().file(&path).unwrap()).unwrap();
            // What is not a setting follows again from the same images.
            read.detector.resolve(1, &survey());
            read.settle(&survey());
            assert_eq!(read, config);
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<RunConfig>(&json).unwrap(), config);
        }
    }

    #[test]
    fn settings_go_where_they_belong() {
        let config = light(&["train.batch_size=4", "train.epoch_images=16", "memory.use=never", "seed=7"]);
        assert_eq!((config.train.batch_size, config.train.epoch_images), (4, 16));
        assert_eq!((config.detector.memory.usage, config.detector.seed), (Use::Never, 7));
    }

    #[test]
    fn errors_name_the_key_that_can_be_set() {
        for (setting, key) in [
            ("train.batch_size=0", "train.batch_size"),
            ("train.batch_size=100000000000", "train.batch_size"),
            ("train.batch_size=1e11", "batch_size"),
            ("train.epoch_images=9223372036854775807", "train.epoch_images"),
            ("train.finetune.epochs=9223372036854775807", "train.finetune.epochs"),
            ("train.weight_decay=0.1", "`train.weight_decay`: is no setting"),
            ("train.finetune.learning_rate=0.1", "`train.finetune.learning_rate`: is no setting"),
            ("train.noise=0.1", "those of this group are train.pretrain.epochs"),
            ("mask.mask_ratio=0.5", "`mask.mask_ratio`: is no setting"),
            ("model.depth=4", "`model.depth`: is no setting"),
            ("score.fpr=0", "score.fpr"),
            ("train=7", "`train`: is no setting but a group"),
        ] {
            let message = with(Preset::Light, &[setting]).unwrap_err().to_string();
            assert!(message.contains(key), "{setting}: {message}");
        }
        let together = [
            (vec!["network.use=never", "train.finetune.epochs=3"], "network.use"),
            (vec!["train.pretrain.epochs=3", "train.finetune.epochs=0"], "train.finetune.epochs"),
        ];
        for (settings, key) in together {
            let message = with(Preset::Light, &settings).unwrap_err().to_string();
            assert!(message.contains(key), "{settings:?}: {message}");
        }
    }

    #[test]
    fn what_is_left_open_follows_from_the_images() {
        let settled = |config: &RunConfig, survey: &Survey| {
            let mut config = config.clone();
            config.settle_use();
            config.detector.resolve(1, survey);
            config.settle(survey);
            config
        };
        let fixed = settled(&light(&[]), &survey());
        assert_eq!((fixed.epochs(), fixed.train.pose), (0, Pose::Fixed));
        assert!(fixed.train.precision.is_some());
        let arbitrary = Survey { pose_correlation: 0.3, ..survey() };
        let free = settled(&light(&[]), &arbitrary);
        assert_eq!((free.epochs(), free.train.pose), (0, Pose::Free));
        let surface = Survey { product_share: 1.0, ..arbitrary };
        assert_eq!(settled(&light(&[]), &surface).train.pose, Pose::Surface);
        assert!(
            !Pose::Surface.fills().contains(&Fill::Foreign) && Pose::Free.fills().len() == Fill::ALL.len()
        );
        // Epochs that are asked for are no use without the network's score.
        let asked = settled(&light(&["train.finetune.epochs=3"]), &survey());
        assert_eq!((asked.epochs(), asked.detector.network.usage), (5, Use::Always));
    }

    #[test]
    fn the_published_preset_mirrors_the_published_categories() {
        let of = |category| RunConfig::preset(Preset::Diyt).for_category(category).train.pose.geometric();
        assert_eq!((of("tile").horizontal_flip, of("bottle").horizontal_flip), (0.9, 0.0));
        assert_eq!(of("bottle").rotation_degrees, 30.0);
        assert_eq!(RunConfig::preset(Preset::Light).for_category("tile"), RunConfig::preset(Preset::Light));
    }
}

//! The named starting points.

use std::collections::BTreeMap;

use super::{
    AggregationKeys, Align, Calibration, DataConfig, DefectConfig, Fit, GeometricConfig, Head, Keep, MapKind,
    MaskConfig, MaskStrategy, MemoryConfig, ModelConfig, Norm, Normalize, Output, PatchEmbed,
    PhotometricConfig, Pose, Preset, Reduce, RunConfig, ScoreConfig, Sinusoid, StageConfig, Task,
    ThresholdRule, TrainConfig,
};

impl RunConfig {
    pub(super) fn light() -> Self {
        Self {
            preset: Preset::Light,
            seed: 0,
            data: DataConfig {
                image_size: [256, 256],
                tiles: 1,
                fit: Fit::Auto,
                view: None,
                align: Align::Auto,
                channels: None,
                normalize: Normalize::Robust,
                max_pixels: 100_000_000,
            },
            model: ModelConfig {
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
            },
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
                ema_decay: 0.0,
                ssim_weight: 0.2,
                focal_gamma: 2.0,
                locate_weight: 1.0,
                noise: 0.0,
                holdout: 0.1,
                contamination: 0.1,
                pretrain: StageConfig {
                    task: Task::Masked,
                    epochs: None,
                    learning_rate: 1e-3,
                    warmup_epochs: 1.0,
                    validate_every: 0,
                    patience: 0,
                },
                finetune: StageConfig {
                    task: Task::Repair,
                    epochs: None,
                    learning_rate: 1e-3,
                    warmup_epochs: 1.0,
                    validate_every: 5,
                    patience: 0,
                },
                pose: Pose::Auto,
                geometric: GeometricConfig::default(),
                photometric: PhotometricConfig {
                    gradient: 0.1,
                    gamma: 0.15,
                    blur: 0.1,
                    noise: 0.01,
                    ..PhotometricConfig::default()
                },
                defects: DefectConfig { fills: BTreeMap::new(), ..DefectConfig::default() },
            },
            score: ScoreConfig {
                map: MapKind::Fused,
                passes: 1,
                flips: false,
                precision: None,
                smooth_sigma: 2.0,
                reduce: Reduce::Auto,
                top_fraction: 0.003,
                calibration: Calibration::Auto,
                network: Keep::Auto,
                memory: MemoryConfig {
                    keep: Keep::Auto,
                    scales: Vec::new(),
                    components: 32,
                    prototypes: 128,
                    reach: 1,
                },
                ridges: Keep::Auto,
                grain: Keep::Auto,
                threshold: ThresholdRule::Far,
                percentile: 95.0,
                sigmas: 3.0,
                far: 0.05,
            },
        }
    }

    pub(super) fn diyt() -> Self {
        let mut config = Self::light();
        config.preset = Preset::Diyt;
        config.data.channels = Some(3);
        config.data.fit = Fit::Stretch;
        config.data.align = Align::Never;
        config.data.normalize = Normalize::None;
        config.model = ModelConfig {
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
        };
        config.train.batch_size = 32;
        config.train.epoch_images = 0;
        config.train.contamination = 0.0;
        config.train.clip_norm = 0.0;
        config.train.pretrain = StageConfig {
            task: Task::Masked,
            epochs: Some(80),
            learning_rate: 5e-5,
            warmup_epochs: 0.0,
            validate_every: 0,
            patience: 20,
        };
        config.train.finetune = StageConfig {
            task: Task::Reconstruct,
            epochs: Some(40),
            learning_rate: 5e-5,
            warmup_epochs: 0.0,
            validate_every: 5,
            patience: 20,
        };
        config.train.pose = Pose::Custom;
        config.train.photometric = PhotometricConfig::default();
        config.score = ScoreConfig {
            map: MapKind::Squared,
            smooth_sigma: 0.0,
            reduce: Reduce::Max,
            calibration: Calibration::None,
            ridges: Keep::Never,
            grain: Keep::Never,
            memory: MemoryConfig { keep: Keep::Never, ..config.score.memory.clone() },
            threshold: ThresholdRule::Percentile,
            ..config.score
        };
        config
    }
}

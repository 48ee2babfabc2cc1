//! Presets, overrides, and what is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn light() -> RunConfig {
    RunConfig::preset(Preset::Light)
}

/// The message of the error that `light` with this setting gives.
fn fault(assignment: &str) -> String {
    light().set(assignment).and_then(|config| config.validate()).unwrap_err().to_string()
}

#[test]
fn presets_are_valid_and_survive_toml() {
    for preset in [Preset::Light, Preset::Diyt] {
        let config = RunConfig::preset(preset);
        config.validate().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
    }
}

#[test]
fn the_published_preset_has_the_published_sizes() {
    let ModelConfig { embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth, .. } =
        RunConfig::preset(Preset::Diyt).model;
    assert_eq!((embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth), (512, 16, 8, 256, 2));
    assert_eq!(RunConfig::preset(Preset::Diyt).model.taps(), [5, 10, 16]);
}

#[test]
fn settings_are_laid_over() {
    let config = light().set("model.depth=4").unwrap().set("score.threshold=val").unwrap();
    assert_eq!((config.model.depth, config.score.threshold), (4, ThresholdRule::Val));
    // A whole number is a fine way to write a fraction, and lists are lists.
    let config = light().set("model.mlp_ratio=3").unwrap().set("data.image_size=[128, 64]").unwrap();
    assert_eq!((config.model.mlp_ratio, config.data.image_size), (3.0, [128, 64]));
    config.validate().unwrap();
}

#[test]
fn a_file_is_laid_over_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    std::fs::write(&file, "seed = 7\n[train.finetune]\nepochs = 3\n").unwrap();
    let config = light().load(&file).unwrap();
    assert_eq!((config.seed, config.train.finetune.epochs()), (7, 3));
    assert_eq!(config.model, light().model);
    std::fs::write(&file, "sede = 7\n").unwrap();
    assert!(light().load(&file).unwrap_err().to_string().contains("sede"));
    std::fs::write(&file, "[train.finetune]\nepochs = \"many\"\n").unwrap();
    let error = light().load(&file).unwrap_err().to_string();
    assert!(error.contains("run.toml") && error.contains("epochs"), "{error}");
}

#[test]
fn what_does_not_exist_is_named() {
    assert!(fault("model.dept=4").contains("dept"));
    assert!(fault("model.depth=four").contains("`model.depth`"), "{}", fault("model.depth=four"));
    assert!(fault("model.depth=3.5").contains("`model.depth`"));
    assert!(fault("model.depth").contains("key=value"));
}

#[test]
fn combinations_that_cannot_work_name_the_field() {
    for (assignment, field) in [
        ("data.image_size=[250, 256]", "data.image_size"),
        ("data.channels=2", "data.channels"),
        ("data.view={size=[16, 20]}", "data.view.size"),
        ("data.view={size=[16, 16], product=[0.0, 1.0]}", "data.view.product"),
        ("model.depth=2", "model.depth"),
        ("model.num_heads=5", "model.embed_dim"),
        ("model.decoder_num_heads=0", "model.decoder_num_heads"),
        ("model.patch_size=8", "model.patch_size"),
        ("model.stem_dims=[8, 8]", "model.stem_dims"),
        ("model.head=linear", "model.defect_logit"),
        ("model.dyt_alpha=0", "model.dyt_alpha"),
        ("mask.mask_ratio=1.0", "mask.mask_ratio"),
        ("mask.block_max=1", "mask.block_max"),
        ("train.batch_size=0", "train.batch_size"),
        ("train.finetune.task=reconstruct", "model.defect_logit"),
        ("train.finetune.learning_rate=0", "train.finetune.learning_rate"),
        ("train.holdout=0.9", "train.holdout"),
        ("score.passes=4", "score.passes"),
        ("score.far=0", "score.far"),
    ] {
        let message = fault(assignment);
        assert!(message.contains(field), "{assignment}: {message}");
    }
}

#[test]
fn resolving_follows_the_images() {
    let still = Profile {
        images: 3,
        pose_correlation: 0.9,
        detail_correlation: 0.8,
        turned_correlation: None,
        product_box: None,
        product_share: 0.4,
        aspect: 1.0,
    };
    let mut config = light();
    config.resolve(1, &still);
    assert_eq!((config.data.channels, config.train.pose), (Some(1), Pose::Fixed));
    assert_eq!(config.input_size(), [256, 256]);

    let anyhow = Profile { pose_correlation: 0.3, ..still.clone() };
    let mut config = light();
    config.resolve(3, &anyhow);
    assert_eq!((config.train.pose, config.train.geometric.rotation_degrees), (Pose::Free, 180.0));

    let turned = Profile { turned_correlation: Some(0.9), product_box: Some([0.25, 1.0]), ..anyhow.clone() };
    let mut config = light();
    config.resolve(1, &turned);
    assert_eq!((config.input_size(), config.train.pose), ([128, 512], Pose::Fixed));
    // Where the memory looks at the pictures the network is not heard, unless it is asked for.
    assert_eq!((config.score.memory.keep, config.score.network), (Keep::Always, Keep::Never));
    // Then it is not trained either.
    assert_eq!(config.train.epochs(), 0);
    assert!(config.validate().is_ok());
    let mut config = light().set("train.finetune.epochs=5").unwrap();
    config.resolve(1, &turned);
    assert_eq!((config.train.pretrain.epochs, config.train.finetune.epochs), (Some(2), Some(5)));
    let mut config = light().set("score.memory.keep=never").unwrap();
    config.resolve(1, &turned);
    assert_eq!((config.score.network, config.train.epochs()), (Keep::Always, 30));
    config.train.pretrain.epochs = Some(0);
    config.train.finetune.epochs = Some(0);
    assert!(config.validate().is_err());
    // The network sees tiles as large as the view was; the memory looks at patches of both sizes.
    let mut config = light();
    config.data = config.data.closer(2);
    config.resolve(1, &turned);
    assert_eq!((config.view_size(), config.input_size()), ([256, 1024], [128, 512]));
    assert_eq!(config.score.memory.scales, [2, 4]);
    config.data.tiles = 3;
    assert_eq!(config.input_size(), [96, 352]);
    assert!(config.set("data.tiles=17").unwrap().validate().is_err());
    // A surface's stains may be faint but wide.
    let surface = Profile { product_share: 1.0, ..anyhow.clone() };
    for (profile, reduce) in [(&surface, Reduce::TopFraction), (&anyhow, Reduce::Max), (&turned, Reduce::Max)]
    {
        let mut config = light();
        config.resolve(1, profile);
        assert_eq!(config.score.reduce, reduce);
    }
    // What the user has set stays.
    let config = light().set("data.fit=stretch").unwrap().set("train.pose=free").unwrap();
    let mut config = config.set("score.network=always").unwrap();
    config.resolve(1, &turned);
    assert_eq!((config.input_size(), config.train.pose), ([256, 256], Pose::Free));
    assert_eq!(config.score.network, Keep::Always);
}

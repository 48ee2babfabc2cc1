//! Presets, what is refused, and what follows from the images.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

/// The message of the error that `light` with this setting gives.
fn fault(assignment: &str) -> String {
    let config = Overlay::default().set(assignment).and_then(|over| Config::default().with(&over));
    config.and_then(|config| config.validate()).unwrap_err().to_string()
}

type Change = fn(&mut ModelConfig);

/// The same with this change of the architecture.
fn fault_of(change: Change) -> String {
    let mut config = Config::default();
    change(&mut config.model);
    config.validate().unwrap_err().to_string()
}

fn light(settings: &[&str]) -> Config {
    let overlay = settings.iter().fold(Overlay::default(), |over, setting| over.set(setting).unwrap());
    Config::default().with(&overlay).unwrap()
}

#[test]
fn presets_are_valid_and_survive_toml_and_json() {
    for preset in [Preset::Light, Preset::Diyt] {
        let mut config = Config::preset(preset);
        config.validate().unwrap();
        // A float that some parsers round.
        config.score.fpr = 0.441_301_769_304_566_27;
        assert_eq!(toml::from_str::<Config>(&config.to_toml().unwrap()).unwrap(), config);
        assert_eq!(serde_json::from_str::<Config>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
}

#[test]
fn the_published_preset_has_the_published_sizes() {
    let ModelConfig { embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth, .. } =
        ModelConfig::diyt();
    assert_eq!((embed_dim, depth, num_heads, decoder_embed_dim, decoder_depth), (512, 16, 8, 256, 2));
    assert_eq!(ModelConfig::diyt().taps(), [5, 10, 16]);
}

#[test]
fn combinations_that_cannot_work_name_the_field() {
    for (assignment, field) in [
        ("data.image_size=[250, 256]", "data.image_size"),
        ("data.image_size=[16, 16]", "data.image_size"),
        ("data.channels=2", "data.channels"),
        ("fit.contamination=0.9", "fit.contamination"),
        ("network.passes=4", "network.passes"),
        ("score.fpr=0", "score.fpr"),
        ("memory.prototypes=0", "memory.prototypes"),
    ] {
        let message = fault(assignment);
        assert!(message.contains(field), "{assignment}: {message}");
    }
    // What no one can set, but a file may hold.
    let faults: [(Change, &str); 9] = [
        (|model| model.depth = 2, "model.depth"),
        (|model| model.num_heads = 5, "model.embed_dim"),
        (|model| model.decoder_num_heads = 0, "model.decoder_num_heads"),
        (|model| model.mlp_ratio = 0.001, "model.mlp_ratio"),
        (|model| model.patch_size = 8, "model.patch_size"),
        (|model| model.patch_size = 0, "model.patch_size"),
        (|model| model.stem_dims = vec![8, 8], "model.stem_dims"),
        (|model| model.head = Head::Linear, "model.defect_logit"),
        (|model| model.dyt_alpha = 0.0, "model.dyt_alpha"),
    ];
    for (change, field) in faults {
        let message = fault_of(change);
        assert!(message.contains(field), "{field}: {message}");
    }
    for (size, product, scale, field) in [
        ([16, 20], None, None, "data.view.size"),
        ([16, 16], Some([0.0, 1.0]), None, "data.view.product"),
        ([16, 16], None, Some(0.0), "data.view.scale"),
        ([16, 16], Some([1.0, 1.0]), Some(1.0), "data.view.scale"),
    ] {
        let mut config = Config::default();
        config.data.view = Some(ViewConfig { size, product, scale });
        assert!(config.validate().unwrap_err().to_string().contains(field));
    }
    let nothing =
        ["network.use=never", "features.use=never", "memory.use=never", "lines=never", "texture=never"];
    assert!(light(&nothing).validate().unwrap_err().to_string().contains("nothing is left"));
}

#[test]
fn resolving_follows_the_images() {
    let fixed = Survey {
        images: 3,
        pose_correlation: 0.9,
        detail_correlation: 0.8,
        rectified_correlation: None,
        product_box: None,
        product_share: 0.4,
        aspect: 1.0,
        area: 65_536.0,
        size_ratio: 1.0,
    };
    let resolved = |settings: &[&str], survey: &Survey| {
        let mut config = light(settings);
        config.resolve(1, survey);
        config
    };
    let config = resolved(&[], &fixed);
    assert_eq!(
        (config.data.channels, config.data.align, config.memory.usage),
        (Some(1), Align::Always, Use::Always)
    );
    assert_eq!((config.view_size(), config.network.usage), ([256, 256], Use::Never));

    let arbitrary = Survey { pose_correlation: 0.3, ..fixed };
    let config = resolved(&[], &arbitrary);
    assert_eq!((config.memory.usage, config.network.usage), (Use::Never, Use::Never));
    assert_eq!((config.lines, config.texture), (Use::Always, Use::Always));

    let rectified =
        Survey { rectified_correlation: Some(0.9), product_box: Some([0.25, 1.0]), ..arbitrary.clone() };
    let config = resolved(&[], &rectified);
    assert_eq!((config.view_size(), config.memory.usage), ([128, 512], Use::Always));

    let surface = Survey { product_share: 1.0, ..arbitrary.clone() };
    let config = resolved(&[], &surface);
    assert_eq!([config.lines, config.texture, config.memory.usage], [Use::Always, Use::Always, Use::Never]);
    assert_eq!(config.score.reduce, Reduce::TopMean);
    // What the user has set stays.
    let config = resolved(&["data.fit=stretch", "network.use=always", "score.reduce=max"], &surface);
    assert_eq!(
        (config.view_size(), config.network.usage, config.score.reduce),
        ([256, 256], Use::Always, Reduce::Max)
    );

    let pieces = Survey { size_ratio: 3.0, ..arbitrary.clone() };
    assert_eq!((resolved(&[], &pieces).one_size(), resolved(&[], &pieces).lines), (None, Use::Always));
    let sizes = Survey { size_ratio: 3.0, area: 4.0 * 65_536.0, ..surface };
    let config = resolved(&[], &sizes);
    assert_eq!((config.one_size(), config.view().scale, config.view_size()), (None, Some(0.5), [256, 256]));
    config.validate().unwrap();
    assert_eq!(
        Config { score: ScoreConfig { min_area: 40, ..config.score.clone() }, ..config.clone() }
            .least_area([9, 9]),
        10
    );
    assert!(config.size_of_masks().is_err());
    for setting in ["network.use=always", "memory.use=always", "data.align=always", "data.fit=stretch"] {
        assert_eq!(resolved(&[setting], &sizes).one_size(), Some([256, 256]), "{setting}");
    }
    let mut config = light(&["data.align=always"]);
    config.data.view = Some(ViewConfig { size: [256, 256], product: None, scale: Some(0.5) });
    let message = config.validate().unwrap_err().to_string();
    assert!(message.contains("data.view.scale") && message.contains("data.align"), "{message}");
}

//! Every fuzz target over its corpus and some hundred changes of it. Longer: `crates/blemish/examples/fuzz.rs`.

use std::path::Path;

use blemish::Image;
use blemish::backbone::Backbone;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[path = "../../../../fuzz/targets.rs"]
mod targets;

use targets::{TARGETS, Target, corpus, mutated};

use crate::backbone::fixture;

#[test]
fn corpus_and_some_changes_of_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for target in &TARGETS {
        let files = corpus(&folder, target);
        let accepted = files.iter().filter(|bytes| (target.run)(bytes)).count();
        assert!(accepted > 0, "{}: nothing of the corpus is accepted", target.name);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for _ in 0..300 {
            (target.run)(&mutated(&files, target, &mut rng));
        }
    }
}

/// A file of a feature network that someone else has trained: read, and asked for its levels.
fn weights(bytes: &[u8]) -> bool {
    let Ok(network) = Backbone::from_bytes(Path::new("fuzzed"), bytes) else { return false };
    let levels = network.levels(&Image::filled(16, 32, 1, 0.7));
    assert_eq!(levels.map(|level| level.channels), network.channels());
    true
}

#[test]
fn feature_networks_and_some_changes_of_them() {
    let files: Vec<Vec<u8>> =
        ["lite_timm", "lite_package", "vit"].map(|name| std::fs::read(fixture(name)).unwrap()).into();
    assert!(files.iter().all(|bytes| weights(bytes)));
    let model = TARGETS.iter().find(|target| target.name == "model").unwrap();
    let target = Target { name: "weights", run: weights, mend: model.mend };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..300 {
        (target.run)(&mutated(&files, &target, &mut rng));
    }
}

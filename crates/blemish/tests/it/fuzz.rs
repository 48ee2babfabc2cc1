//! Every fuzz target over its corpus and some hundred changes of it. Longer: `crates/blemish/examples/fuzz.rs`.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[path = "../../../../fuzz/targets.rs"]
mod targets;

use targets::{TARGETS, corpus, mutated};

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

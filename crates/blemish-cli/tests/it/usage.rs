//! Help, usage errors, completions.

use crate::blemish;

const COMMANDS: [&str; 12] = [
    "train",
    "extend",
    "evaluate",
    "predict",
    "benchmark",
    "inspect",
    "demo",
    "import-pytorch",
    "roi",
    "calibrate",
    "pretrain",
    "completions",
];

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = blemish(["--help"]).ok().stdout();
    for part in COMMANDS.iter().chain(&["Exit codes:", "130"]) {
        assert!(help.contains(part), "{part}");
    }
    for command in COMMANDS {
        let help = blemish([command, "--help"]).ok().stdout();
        assert!(help.contains("Example"), "{command}");
        // What every command has stands below what it alone has.
        let places: Vec<usize> = help.match_indices("\n      --").map(|(at, _)| at).collect();
        assert_eq!(places.last(), help.find("\n      --json").as_ref(), "{command}: {help}");
    }
}

#[test]
fn wrong_command_lines_end_with_2() {
    for args in [
        &["train", "data"][..],
        &["train", "data", "--out", "run", "--finetune", "0"],
        &["train", "data", "--out", "run", "--fpr", "1"],
        &["train", "data", "--out", "run", "--resume", "--seed", "1"],
        &["train", "data", "--out", "run", "--resume", "--set", "model.depth=3"],
        &["train", "data", "--out", "run", "--preset", "huge"],
        &["predict", "model"],
        &["evaluate", "model", "data", "--far", "1.5"],
        &["predict", "model", "image", "--threshold", "many"],
        &["predict", "model", "image", "--map-format", "npy"],
        &["predict", "model", "image", "--format", "xml"],
        &["pretrain", "--evaluate", "weights", "--scenes", "0"],
        // Nothing is trained there.
        &["roi", "data", "--finetune", "5"],
        &["invent"],
    ] {
        blemish(args).fails(2, &[]);
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(blemish(["completions", shell]).ok().stdout().contains("import-pytorch"), "{shell}");
    }
}

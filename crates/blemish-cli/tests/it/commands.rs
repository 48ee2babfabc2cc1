//! What every command gives when all is well.

use std::fs;
use std::path::Path;

use blemish::image::dimensions;

use crate::{TINY, blemish, make_data, names, shared, train};

#[test]
fn train_writes_a_run() {
    let run = shared().run();
    let files = ["checkpoint.safetensors", "data.json", "metrics.jsonl", "model.safetensors", "run.toml"];
    assert_eq!(names(&run), files);
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 3);
    // It does not replace itself unasked.
    train(&shared().data(), &run, &[]).fails(2, &["--resume", "--overwrite"]);
    assert_eq!(names(&run), files);
}

#[test]
fn train_says_what_it_does_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("deep/run");
    let trained = train(&shared().data(), &run, &["--json", "--split", "diyt", "--seed", "3"]).ok();
    for part in ["will take about", "good images to learn from", "pose ", "finetune 2/2", "images/s"] {
        assert!(trained.stderr().contains(part), "{part}");
    }
    let json = trained.json();
    assert!(json["split"].as_str().unwrap().contains("diyt"));
    assert!(json["thresholds"].as_array().unwrap().len() >= 4);
    assert_eq!(json["epochs"], 3);
    // The network has seen the images it learnt from: the held-out ones alone can be strange to it.
    let strangest = json["strangest"].as_array().unwrap();
    assert!(!strangest.is_empty());
    assert!(strangest.iter().all(|image| Path::new(image["path"].as_str().unwrap()).is_file()));
    let quiet = train(&shared().data(), &run, &["--overwrite", "--quiet"]).ok();
    assert_eq!(quiet.stderr(), "");
    assert!(quiet.stdout().contains("next:       blemish evaluate"));
}

#[test]
fn train_takes_a_folder_of_good_images_and_the_users_validation() {
    let folder = tempfile::tempdir().unwrap();
    let (good, val) = (shared().data().join("train/good"), shared().data().join("test"));
    let args = ["--val", val.to_str().unwrap(), "--json", "--budget", "1e-6"];
    let json = train(&good, &folder.path().join("run"), &args).ok().json();
    assert!(json["validation"]["val_auroc"].is_number());
    assert_eq!(json["epochs"], 1);
}

#[test]
fn evaluate_measures_and_reports() {
    let (run, data) = (shared().run(), shared().data());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let args = ["evaluate", run.to_str().unwrap(), data.to_str().unwrap()];
    let json = blemish(args.iter().chain(&["--json", "--out", out.to_str().unwrap()])).ok().json();
    for key in
        "image_auroc pixel_auroc aupro f1 f1_max f1_all_positive threshold threshold_rule images_per_second \
                counts shortcut_audit"
            .split_whitespace()
    {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!(json["counts"]["defective"], 5);
    assert_eq!(names(&out), ["evaluation.json", "report.html"]);
    let text = blemish(args).ok().stdout();
    assert!(text.contains("Image AUROC"));
    // Two of the thresholds have one name: only one of them decides.
    assert_eq!(text.matches("(used)").count(), 1, "{text}");
    let used = |row: &&serde_json::Value| row["used"] == true;
    let rows = json["thresholds"].as_array().unwrap();
    assert_eq!(rows.iter().filter(used).map(|row| &row["value"]).collect::<Vec<_>>(), [&json["threshold"]]);
    let sigma = blemish(args.iter().chain(&["--json", "--threshold", "sigma"])).ok().json();
    assert_eq!(sigma["threshold_rule"], "sigma");
    let rest = blemish(args.iter().chain(&["--json", "--split", "diyt"])).ok().json();
    assert_eq!(rest["counts"]["good"], 4);
    blemish(args.iter().chain(&["--far", "0.123"])).fails(2, &["far at 0.01"]);
    blemish(args.iter().chain(&["--far", "0.01", "--threshold", "val"])).fails(2, &["--far"]);
}

#[test]
fn predict_gives_a_line_per_image() {
    let (run, data) = (shared().run().join("model.safetensors"), shared().data());
    let folder = tempfile::tempdir().unwrap();
    let maps = folder.path().join("maps");
    let (run, test) = (run.to_str().unwrap(), data.join("test"));
    // Some folders have images of the same name: no heat map replaces another.
    let lines = blemish(["predict", run, test.to_str().unwrap(), "--heatmaps", maps.to_str().unwrap()])
        .ok()
        .json_lines();
    assert_eq!((lines.len(), names(&maps).len()), (10, 10));
    for line in lines {
        let (score, threshold) = (line["score"].as_f64().unwrap(), line["threshold"].as_f64().unwrap());
        let defective = score >= threshold;
        assert_eq!(line["verdict"], if defective { "defective" } else { "good" });
        let regions = line["regions"].as_array().unwrap();
        assert_eq!(!regions.is_empty(), defective);
        for region in regions {
            assert!(region["x"].as_u64().unwrap() + region["width"].as_u64().unwrap() <= 40);
        }
        // Regions and heat map side by side.
        let picture = dimensions(line["heatmap"].as_str().unwrap().as_ref()).unwrap();
        assert!(picture[0] == 32 && picture[1] > 64, "{picture:?}");
    }
    assert!(names(&maps).iter().any(|name| name.contains("-0")), "{:?}", names(&maps));
}

#[test]
fn inspect_shows_models_and_data() {
    let (run, data) = (shared().run(), shared().data());
    let json = blemish(["inspect", run.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(json["input"], serde_json::json!([32, 32, 1]));
    // Its product lies still: no network looks at it.
    assert!(json["flops"].is_null(), "{}", json["flops"]);
    assert!(json["milliseconds_per_image"].as_f64().unwrap() > 0.0);
    assert!(blemish(["inspect", run.to_str().unwrap()]).ok().stdout().contains("no network"));
    let json = blemish(["inspect", data.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!((&json["layout"], &json["channels"]), (&"mvtec".into(), &1.into()));
    assert_eq!(json["sizes"], serde_json::json!([{ "height": 40, "width": 40, "images": 22 }]));
    assert!(blemish(["inspect", data.to_str().unwrap()]).ok().stdout().contains("train/good"));
}

#[test]
fn tiles_look_closer() {
    let folder = tempfile::tempdir().unwrap();
    let (run, maps) = (folder.path().join("run"), folder.path().join("maps"));
    let network = ["--tile", "2", "--set", "score.map=defect"];
    let said = train(&shared().data(), &run, &network).ok().stderr();
    assert!(said.contains("64 x 64 pixels") && said.contains("tiles of 32 x 32"), "{said}");
    let json = blemish(["inspect", run.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(json["input"], serde_json::json!([64, 64, 1]));
    // Three by three tiles of what is one pass without them.
    let whole = folder.path().join("whole");
    train(&shared().data(), &whole, &network[2..]).ok();
    let one = blemish(["inspect", whole.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(json["flops"].as_u64().unwrap(), 9 * one["flops"].as_u64().unwrap());
    assert!(blemish(["inspect", run.to_str().unwrap()]).ok().stdout().contains("in tiles of 32 x 32"));
    let image = shared().data().join("test/good/000.png");
    let predict = ["predict", run.to_str().unwrap(), image.to_str().unwrap()];
    blemish(predict.iter().chain(&["--heatmaps", maps.to_str().unwrap()])).ok();
    let picture = dimensions(&maps.join("000.png")).unwrap();
    assert!(picture[0] == 64 && picture[1] > 128, "{picture:?}");
    train(&shared().data(), &whole, &["--tile", "0", "--overwrite"]).fails(2, &["--tile"]);
    train(&shared().data(), &whole, &["--tile", "16", "--set", "data.image_size=[512, 512]", "--overwrite"])
        .fails(5, &["data.image_size"]);
}

/// Every choice that the configuration offers, from training to verdict.
#[test]
fn every_choice_trains_and_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let image = shared().data().join("test/good/000.png");
    let plain =
        ["model.head=linear", "model.defect_logit=false", "model.patch_embed=linear", "score.map=squared"];
    let passes =
        ["score.map=squared_ssim", "score.passes=4", "train.ema_decay=0.9", "score.calibration=position"];
    for (i, settings) in [
        &["model.norm=layer_norm", "mask.strategy=random", "score.map=fused", "score.threshold=val"][..],
        &[
            "data.image_size=[32, 64]",
            "data.tiles=2",
            "data.channels=3",
            "score.reduce=top_fraction",
            "score.threshold=sigma",
        ],
        &plain,
        &passes,
        &["model.output=absolute", "score.map=ssim", "score.threshold=percentile", "model.sinusoid=row"],
    ]
    .iter()
    .enumerate()
    {
        let run = folder.path().join(i.to_string());
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        train(&shared().data(), &run, &sets).ok();
        let answer = blemish([Path::new("predict"), &run, &image]).ok().json();
        assert!(answer["score"].is_number(), "{settings:?}: {answer}");
    }
    let diyt = folder.path().join("diyt");
    train(&shared().data(), &diyt, &["--preset", "diyt", "--split", "diyt"]).ok();
    let evaluate = [Path::new("evaluate"), &diyt, &shared().data(), "--split".as_ref(), "diyt".as_ref()];
    let json = blemish(evaluate.into_iter().chain([Path::new("--json")])).ok().json();
    assert_eq!((&json["model"]["preset"], &json["counts"]["good"]), (&"diyt".into(), &4.into()));
    assert!(
        json["threshold_rule"] == "percentile" && json["split"].as_str().unwrap().contains("as published")
    );
}

#[test]
fn a_stage_without_progress_stops_early() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--set", "train.finetune.epochs=60", "--set", "train.finetune.patience=1"];
    let run = train(&shared().data(), &folder.path().join("run"), &settings).ok();
    assert!(run.stderr().contains("finetune: stopped early after epoch"), "{}", run.stderr());
}

#[test]
fn import_pytorch_gives_a_detector_once_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../blemish/tests/fixtures/diyt.pth");
    let data = shared().data().to_str().unwrap().to_owned();
    let json = blemish(["import-pytorch", weights, "--out", &at("plain"), "--json"]).ok().json();
    assert_eq!((&json["preset"], &json["thresholds"]), (&"diyt".into(), &0.into()));
    blemish(["predict", &at("plain"), &data]).fails(4, &["no threshold"]);
    blemish(["import-pytorch", weights, "--out", &at("model"), "--calibrate", &data]).ok();
    let scores = |lines: Vec<serde_json::Value>| lines.iter().filter(|l| l["verdict"] == "good").count();
    let good = blemish(["predict", &at("model"), &format!("{data}/train/good")]).ok().json_lines();
    assert!(good.len() == 12 && scores(good) >= 11);
    assert!(blemish(["evaluate", &at("model"), &data, "--json"]).ok().json()["aupro"].is_number());
    let inspected = blemish(["inspect", &at("model")]).ok().stdout();
    assert!(inspected.contains("imported from the PyTorch state dict") && inspected.contains("(used)"));
    let missing = at("missing");
    blemish(["import-pytorch", weights, "--out", &at("x"), "--calibrate", &missing]).fails(3, &["missing"]);
    assert!(!Path::new(&at("x")).exists());
}

#[test]
fn what_to_do_next_can_be_copied() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("my data");
    make_data(&root.join("part"));
    let run = folder.path().join("run");
    let trained = train(&root, &run, &["--category", "part"]).ok().stdout();
    let next = format!("blemish evaluate {} '{}' --category part\n", run.display(), root.display());
    assert!(trained.ends_with(&next), "{trained}");
}

#[test]
fn benchmark_goes_on_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("data"), folder.path().join("out"));
    for category in ["a", "b", "c"] {
        make_data(&root.join(category));
    }
    fs::write(root.join("b/train/good/000.png"), "").unwrap();
    let args = |more: &[&'static str]| {
        let paths = [root.to_str().unwrap(), "--out", out.to_str().unwrap(), "--config", TINY];
        ["benchmark"].iter().chain(&paths).chain(more).map(|s| (*s).to_owned()).collect::<Vec<String>>()
    };
    let run = blemish(args(&[]));
    assert_eq!(run.code(), 1, "{}", run.stderr());
    assert!(run.stderr().contains("b/train/good/000.png"));
    assert!(
        run.stdout().contains("| a ") && run.stdout().contains("| mean ") && !run.stdout().contains("| b ")
    );
    assert_eq!(fs::read_to_string(out.join("results.md")).unwrap(), run.stdout());
    assert_eq!(names(&out), ["a", "c", "results.json", "results.md"]);
    assert!(names(&out.join("a")).contains(&"report.html".to_owned()));
    // What is finished is not trained again, and not replaced unasked.
    blemish(args(&["--categories", "a"])).fails(2, &["--resume"]);
    let again = blemish(args(&["--categories", "a,c", "--resume", "--json"])).ok();
    assert!(again.stderr().contains("continuing after epoch 2 of 2"), "{}", again.stderr());
    assert_eq!(again.json()["rows"].as_array().unwrap().len(), 2);
    blemish(args(&["--categories", "z"])).fails(2, &["there are: a, b, c"]);
}

#[test]
fn demo_takes_no_folder_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious.txt"), "mine").unwrap();
    blemish(["demo", "--out", folder.path().to_str().unwrap()]).fails(2, &["not empty"]);
    assert_eq!(names(folder.path()), ["precious.txt"]);
}

//! What every command gives when all is well.

use std::fs;
use std::path::Path;

use crate::{TINY, blemish, make_data, names, shared, train, train_network};

#[test]
fn train_writes_a_run() {
    let run = shared().run();
    let files = ["data.json", "model.safetensors", "run.toml"];
    assert_eq!(names(&run), files);
    // It does not replace itself unasked.
    train(&shared().data(), &run, &[]).fails(2, &["--resume", "--overwrite"]);
    assert_eq!(names(&run), files);
}

#[test]
fn train_says_what_it_does_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("deep/run");
    let trained = train(&shared().data(), &run, &["--json", "--seed", "3"]).ok();
    for part in ["flange: 12 good images, grey: a product", "reading good images", "fitting"] {
        assert!(trained.stderr().contains(part), "{part}: {}", trained.stderr());
    }
    // What was measured on the way is for those who ask.
    assert!(!trained.stderr().contains("correlate"), "{}", trained.stderr());
    let json = trained.json();
    assert!(json["thresholds"].as_array().unwrap().len() >= 4);
    assert_eq!((&json["epochs"], &json["images"]), (&0.into(), &12.into()));
    let outliers = json["suspected_outliers"].as_array().unwrap();
    assert!(!outliers.is_empty());
    assert!(outliers.iter().all(|image| Path::new(image["path"].as_str().unwrap()).is_file()));
    let verbose = train(&shared().data(), &run, &["--overwrite", "--verbose"]).ok();
    assert!(verbose.stderr().contains("correlate"), "{}", verbose.stderr());
    assert!(verbose.stdout().contains("next:       blemish evaluate"));
    assert_eq!(names(&run), ["data.json", "model.safetensors", "run.toml"]);
    let quiet = train(&shared().data(), &run, &["--overwrite", "--quiet"]).ok();
    assert!(quiet.stderr().lines().all(|line| line.starts_with("warning: ")), "{}", quiet.stderr());
}

#[test]
fn a_network_is_trained_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = train_network(&shared().data(), &run, &["--split", "diyt"]).ok();
    for part in ["training the network will take about", "fine-tuning 2/2: loss", "images/s"] {
        assert!(trained.stderr().contains(part), "{part}: {}", trained.stderr());
    }
    let files = ["checkpoint.safetensors", "data.json", "metrics.jsonl", "model.safetensors", "run.toml"];
    assert_eq!(names(&run), files);
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 3);
    let shown = blemish([Path::new("inspect"), &run]).ok().stdout();
    assert!(shown.contains("part         network") && shown.contains("as published (diyt)"), "{shown}");
    let evaluate = [Path::new("evaluate"), &run, &shared().data(), "--split".as_ref(), "diyt".as_ref()];
    let json = blemish(evaluate.into_iter().chain([Path::new("--json")])).ok().json();
    assert_eq!(json["counts"]["good"], 4);
    assert!(json["split"].as_str().unwrap().contains("as published"));
    let minutes = folder.path().join("minutes");
    let short = train_network(&shared().data(), &minutes, &["--finetune", "1e-6", "--json"]).ok().json();
    assert_eq!(short["epochs"], 1);
}

#[test]
fn several_folders_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let good = shared().data().join("train/good");
    for (i, name) in names(&good).iter().enumerate() {
        let day = folder.path().join(["monday", "tuesday"][i % 2]);
        fs::create_dir_all(&day).unwrap();
        fs::copy(good.join(name), day.join(name)).unwrap();
    }
    let [monday, tuesday] = ["monday", "tuesday"].map(|day| folder.path().join(day));
    let json = train(&monday, &run, &["--json", tuesday.to_str().unwrap()]).ok().json();
    assert_eq!(json["images"], 12);
}

#[test]
fn a_mask_says_what_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let draw = |name: &str, white: fn(u32) -> bool| {
        image::GrayImage::from_fn(40, 40, |x, _| image::Luma([if white(x) { 255 } else { 0 }]))
            .save(at(name))
            .unwrap();
    };
    draw("left.png", |x| x < 20);
    draw("right.png", |x| x >= 20);
    draw("all.png", |_| true);
    let image = shared().data().join("test/good/000.png");
    let inspected =
        |run: &Path| blemish([Path::new("predict"), run, &image]).ok().json()["inspected"].as_f64().unwrap();
    let [ignored, roi] = ["ignored", "roi"].map(at);
    train(&shared().data(), &ignored, &["--ignore", at("left.png").to_str().unwrap()]).ok();
    train(&shared().data(), &roi, &["--roi", at("right.png").to_str().unwrap()]).ok();
    assert!((inspected(&ignored) - 0.5).abs() < 0.05 && inspected(&roi) == inspected(&ignored));
    let later =
        ["predict", shared().run().to_str().unwrap(), image.to_str().unwrap(), "--ignore"].map(str::to_owned);
    let later = blemish(later.iter().chain([&at("left.png").display().to_string()])).ok().json();
    assert!((later["inspected"].as_f64().unwrap() - 0.5).abs() < 0.05, "{later}");
    train(&shared().data(), &at("none"), &["--ignore", at("all.png").to_str().unwrap()])
        .fails(5, &["nothing to inspect"]);
    let page = at("roi.html");
    blemish([
        Path::new("roi"),
        &shared().data(),
        Path::new("--out"),
        &page,
        Path::new("--config"),
        Path::new(TINY),
    ])
    .ok();
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("data:image/png;base64,") && !page.contains("http"), "no network is needed");
}

#[test]
fn evaluate_measures_and_reports() {
    let (run, data) = (shared().run(), shared().data());
    let folder = tempfile::tempdir().unwrap();
    let (out, table) = (folder.path().join("report"), folder.path().join("t.csv"));
    let args = ["evaluate", run.to_str().unwrap(), data.to_str().unwrap()];
    let more = ["--json", "--out", out.to_str().unwrap(), "--csv", table.to_str().unwrap()];
    let json = blemish(args.iter().chain(&more)).ok().json();
    for key in
        "image_auroc pixel_auroc aupro f1 f1_max f1_all_positive threshold threshold_rule images_per_second \
                counts shortcut_audit"
            .split_whitespace()
    {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!(json["counts"]["defective"], 5);
    assert_eq!(json["images"].as_array().unwrap().len(), 10);
    assert_eq!(names(&out), [".blemish-output", "evaluation.json", "images.csv", "report.html"]);
    assert_eq!(fs::read_to_string(&table).unwrap().lines().count(), 11);
    let text = blemish(args).ok().stdout();
    assert!(text.contains("Image AUROC"));
    assert_eq!(text.matches("(used)").count(), 1, "{text}");
    let used = |row: &&serde_json::Value| row["used"] == true;
    let rows = json["thresholds"].as_array().unwrap();
    assert_eq!(rows.iter().filter(used).map(|row| &row["value"]).collect::<Vec<_>>(), [&json["threshold"]]);
    let sigma = blemish(args.iter().chain(&["--json", "--threshold", "sigma"])).ok().json();
    assert_eq!(sigma["threshold_rule"], "sigma");
    let number = blemish(args.iter().chain(&["--json", "--threshold", "0.75"])).ok().json();
    assert_eq!(number["threshold"], 0.75);
    let rate = blemish(args.iter().chain(&["--json", "--fpr", "0.5"])).ok().json();
    assert_ne!(rate["threshold"], json["threshold"]);
    blemish(args.iter().chain(&["--far", "0.01", "--threshold", "sigma"])).fails(2, &["--fpr"]);
}

#[test]
fn inspect_shows_models_and_data() {
    let (run, data) = (shared().run(), shared().data());
    let json = blemish(["inspect", run.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(json["input"], serde_json::json!([32, 32, 1]));
    assert!(json["milliseconds_per_image"].as_f64().unwrap() > 0.0);
    assert_eq!(json["good_scores"].as_array().unwrap().len(), 12);
    let shown = blemish(["inspect", run.to_str().unwrap()]).ok().stdout();
    assert!(shown.contains("part         ") && shown.contains("(used)"), "{shown}");
    let json = blemish(["inspect", data.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!((&json["layout"], &json["channels"]), (&"mvtec".into(), &1.into()));
    assert_eq!(json["sizes"], serde_json::json!([{ "height": 40, "width": 40, "images": 22 }]));
    assert!(blemish(["inspect", data.to_str().unwrap()]).ok().stdout().contains("train/good"));
}

/// Every choice that the configuration offers, from training to verdict.
#[test]
fn every_choice_trains_and_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let image = shared().data().join("test/good/000.png");
    for (i, settings) in [
        &["data.image_size=[32, 64]", "data.channels=3", "score.threshold=sigma", "data.align=never"][..],
        &["network.map=reconstruction", "network.passes=2", "score.threshold=percentile"],
        &["memory.use=never", "texture=always", "lines=always", "score.reduce=top_mean"],
    ]
    .iter()
    .enumerate()
    {
        let run = folder.path().join(i.to_string());
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        train_network(&shared().data(), &run, &sets).ok();
        let answer = blemish([Path::new("predict"), &run, &image]).ok().json();
        assert!(answer["score"].is_number(), "{settings:?}: {answer}");
    }
}

#[test]
fn import_pytorch_gives_a_detector_once_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../blemish-train/tests/fixtures/diyt.pth");
    let data = shared().data().to_str().unwrap().to_owned();
    let json = blemish(["import-pytorch", weights, "--out", &at("plain"), "--json"]).ok().json();
    assert_eq!((&json["preset"], &json["calibrated_on"]), (&"diyt".into(), &0.into()));
    blemish(["predict", &at("plain"), &data]).fails(4, &["calibrated"]);
    assert!(blemish(["inspect", &at("plain")]).ok().stdout().contains("cannot give a verdict"));
    blemish(["import-pytorch", weights, "--out", &at("model"), "--calibrate", &data]).ok();
    let good = blemish(["predict", &at("model"), &format!("{data}/train/good")]).ok().json_lines();
    let passed = good.iter().filter(|line| line["verdict"] == "good").count();
    assert!(good.len() == 12 && passed >= 10, "{passed}");
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
fn benchmark_keeps_a_row_for_what_fails() {
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
    let table = run.stdout();
    for part in ["| a ", "| b ", "| mean ", "- b failed: ", "b/train/good/000.png"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(fs::read_to_string(out.join("results.md")).unwrap(), table);
    let results: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("results.json")).unwrap()).unwrap();
    assert!(results["rows"][1]["error"].as_str().unwrap().contains("000.png"));
    assert_eq!(names(&out), [".blemish-output", "a", "c", "results.html", "results.json", "results.md"]);
    assert!(names(&out.join("a")).contains(&"report.html".to_owned()));
    // What is finished is not replaced unasked.
    blemish(args(&["--categories", "a"])).fails(2, &["--resume"]);
    let again = blemish(args(&["--categories", "a,c", "--resume", "--json"])).ok();
    assert_eq!(again.json()["rows"].as_array().unwrap().len(), 2);
    blemish(args(&["--categories", "z"])).fails(2, &["there are: a, b, c"]);
}

/// The weights that the program carries.
const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors");

#[test]
fn an_ablation_measures_every_part_alone_and_all_together() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("data"), folder.path().join("out"));
    make_data(&root.join("a"));
    let paths = [root.to_str().unwrap(), "--out", out.to_str().unwrap(), "--config", TINY];
    let args = |more: &[&'static str]| {
        ["benchmark"].iter().chain(&paths).chain(more).map(|s| (*s).to_owned()).collect::<Vec<String>>()
    };
    blemish(args(&["--ablation", "--finetune", "1"])).fails(2, &["--finetune"]);
    let json = blemish(args(&["--ablation", "--json"])).ok().json();
    let rows = json["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["alone"].as_str().unwrap_or("")).collect();
    assert_eq!(
        names,
        [
            "",
            "reconstruction error of the pre-trained network",
            "defect output of the pre-trained network",
            "memory of features",
            "memory of patches",
            "all of the above"
        ]
    );
    for row in rows {
        for key in ["image_auroc", "f1_max", "aupro"] {
            assert!((0.0..=1.0).contains(&row[key].as_f64().unwrap()), "{key}: {row}");
        }
    }
    // By default a product is inspected by both memories.
    let usual = blemish(["inspect", out.join("a").to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(usual["parts"].as_array().unwrap().len(), 2, "{}", usual["parts"]);
    let page = fs::read_to_string(out.join("results.html")).unwrap();
    assert!(page.contains("Each part alone") && page.contains("as configured"));
    assert!(fs::read_to_string(out.join("results.md")).unwrap().contains("| a: memory of features"));
    // Reports show what a good product looks like where a part knows it.
    let report = |name: &str| fs::read_to_string(out.join(name).join("report.html")).unwrap();
    assert!(report("a").contains(">nearest good</span>"));
    assert!(report("a/ablation/reconstruction").contains(">reconstruction</span>"));
    assert!(!report("a/ablation/features").contains("images four"));
    let alone = out.join("a/ablation/defect");
    let shown = blemish(["inspect", alone.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(shown["parts"].as_array().unwrap().len(), 1);
    // It was used as it is, whence good images of all folds calibrate it.
    assert_eq!((&shown["epochs"], shown["good_scores"].as_array().unwrap().len()), (&0.into(), 12));
    assert!(shown["provenance"]["pretrained"]["steps"].as_u64().unwrap() > 0);
}

#[test]
fn a_network_starts_from_pre_trained_weights_and_the_model_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let weights = blemish(["inspect", WEIGHTS, "--json"]).ok().json();
    assert!(
        weights["origin"]["steps"].as_u64().unwrap() > 0
            && weights["parameters"].as_u64().unwrap() > 1_000_000
    );
    let shown = blemish(["inspect", WEIGHTS]).ok().stdout();
    for part in ["made by", "commit", "seed", "steps", "generated ones"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    train(&shared().data(), &at("unused"), &["--init", "pretrained"]).fails(2, &["--finetune"]);
    let frozen = ["--init", "pretrained", "--set", "network.use=always", "--json"];
    let json = train(&shared().data(), &at("frozen"), &frozen).ok().json();
    assert_eq!(json["epochs"], 0);
    let run = at("frozen").display().to_string();
    let inspected = blemish(["inspect", &run, "--json"]).ok().json();
    assert_eq!(inspected["provenance"]["pretrained"], weights["origin"]);
    assert!(blemish(["inspect", &run]).ok().stdout().contains("pre-trained weights, from generated images"));
    // By default it is the memory of features that holds them; without it there is nothing of the kind.
    let usual = blemish(["inspect", shared().run().to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(usual["provenance"]["pretrained"], weights["origin"]);
    train(&shared().data(), &at("plain"), &["--set", "features.use=never"]).ok();
    let plain = blemish(["inspect", at("plain").to_str().unwrap(), "--json"]).ok().json();
    assert!(plain["provenance"].get("pretrained").is_none());
    // Trained on from there, by one's own file; a product's model is no such file.
    let longer = train_network(&shared().data(), &at("longer"), &["--init", WEIGHTS, "--json"]).ok().json();
    assert_eq!(longer["epochs"], 3);
    let inspected = blemish(["inspect", at("longer").to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(inspected["provenance"]["pretrained"], weights["origin"]);
    let model = shared().run().join("model.safetensors");
    let other = ["--init", model.to_str().unwrap(), "--set", "network.use=always"];
    train(&shared().data(), &at("other"), &other).fails(4, &["does not hold pre-trained weights"]);
}

#[test]
fn a_pre_training_holds_its_folder_and_what_it_replaces_stays_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    fs::create_dir(&out).unwrap();
    let weights = out.join("light.safetensors");
    fs::write(&weights, "old").unwrap();
    fs::write(out.join("pretrain.json"), "{}").unwrap();
    let args = |more: &[&str]| {
        let all = ["pretrain", "--out", out.to_str().unwrap(), "--steps", "1", "--batch-size", "1"];
        all.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<String>>()
    };
    blemish(args(&[])).fails(2, &["--overwrite"]);
    let lock = blemish_train::RunLock::acquire(&out).unwrap();
    blemish(args(&["--overwrite"])).fails(6, &["is at work in this folder"]);
    drop(lock);
    blemish(args(&["--overwrite", "--init", "nowhere.safetensors"])).fails(6, &["nowhere"]);
    assert_eq!(fs::read_to_string(&weights).unwrap(), "old");
    blemish(args(&["--overwrite"])).ok();
    assert!(blemish(["inspect", weights.to_str().unwrap()]).ok().stdout().contains("--overwrite"));
    assert_eq!(names(&out), ["checkpoint.safetensors", "light.safetensors", "pretrain.json"]);
}

#[test]
fn a_decoder_is_learnt_for_weights_and_a_run_of_it_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let light = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/light.safetensors");
    let learn = |more: &[&str]| {
        let all = ["pretrain", "--out", out.to_str().unwrap(), "--learn", "decoder", "--batch-size", "1"];
        blemish(all.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<String>>())
    };
    learn(&[]).fails(2, &["--init FILE"]);
    learn(&["--init", light, "--objective", "locate=0"])
        .fails(2, &["--objective locate=0", "--learn network"]);
    learn(&["--init", light, "--learning-rate", "2"]).fails(5, &["learning_rate"]);
    learn(&["--init", light, "--steps", "1"]).ok();
    blemish(["pretrain", "--out", out.to_str().unwrap(), "--resume", "--steps", "2"]).ok();
    let weights = out.join("light.safetensors");
    let shown = blemish(["inspect", weights.to_str().unwrap()]).ok().stdout();
    assert!(shown.contains("decoder ") && shown.matches("--learn decoder").count() == 1, "{shown}");
}

#[test]
fn demo_takes_no_folder_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious.txt"), "mine").unwrap();
    blemish(["demo", "--out", folder.path().to_str().unwrap()]).fails(2, &["not empty"]);
    assert_eq!(names(folder.path()), ["precious.txt"]);
}

#[test]
fn calibrate_sets_thresholds_anew() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.safetensors");
    let (run, test) = (shared().run(), shared().data().join("test"));
    let good = test.join("good");
    let defects: Vec<_> =
        names(&test).into_iter().filter(|name| name != "good").map(|name| test.join(name)).collect();
    let mut args =
        vec!["calibrate".into(), run.clone(), good.clone(), "--out".into(), out.clone(), "--json".into()];
    args.push("--defects".into());
    args.extend(defects);
    let before = fs::read(run.join("model.safetensors")).unwrap();
    let json = blemish(&args).ok().json();
    assert_eq!((&json["good"], &json["defective"]), (&5.into(), &5.into()));
    assert!(json["curve"].as_array().unwrap().iter().all(|point| point["found"].is_number()));
    let inspected = blemish([Path::new("inspect"), &out, Path::new("--json")]).ok().json();
    assert_eq!(inspected["good_scores"].as_array().unwrap().len(), 5);
    let shown = blemish([Path::new("calibrate"), &run, &good, Path::new("--dry-run")]).ok().stdout();
    assert!(shown.contains("false alarms %") && shown.contains("nothing was written"), "{shown}");
    assert!(fs::read(run.join("model.safetensors")).unwrap() == before);
}

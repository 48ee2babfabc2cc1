//! Outputs: what blemish did not write is not replaced, whatever an option names, and two commands on one model lose nothing.

use std::fs;
use std::path::{Path, PathBuf};

use blemish_train::RunLock;
use tempfile::TempDir;

use crate::{Run, TINY, blemish, command, names, shared, train};

const MODEL: &str = "model.safetensors";

fn good() -> PathBuf {
    shared().data().join("test/good")
}

fn image() -> PathBuf {
    good().join("000.png")
}

/// A folder with a copy of the shared run in it.
fn own_run() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    for name in [MODEL, "run.toml", "data.json"] {
        fs::copy(shared().run().join(name), run.join(name)).unwrap();
    }
    (folder, run)
}

/// `blemish COMMAND RUN PATH OPTION VALUE`.
fn with(command: &str, run: &Path, path: &Path, option: &str, value: &Path) -> Run {
    blemish([Path::new(command), run, path, Path::new(option), value])
}

/// Every command that writes a single file, writing it to `out`.
fn single_files(run: &Path, out: &Path) -> [Run; 6] {
    let weights = run.join("x.pth");
    [
        with("predict", run, &image(), "--csv", out),
        with("evaluate", run, &shared().data(), "--csv", out),
        with("calibrate", run, &good(), "--out", out),
        with("extend", run, &good(), "--out", out),
        blemish([Path::new("roi"), run, Path::new("--out"), out]),
        blemish([Path::new("import-pytorch"), &weights, Path::new("--out"), out]),
    ]
}

#[test]
fn files_that_blemish_did_not_write_stay() {
    let (folder, run) = own_run();
    let at = |name: &str| folder.path().join(name);
    let [photo, table, list] = ["photo.png", "table.csv", "list.txt"].map(at);
    fs::copy(image(), &photo).unwrap();
    fs::write(&table, "path,verdict\na.png,good\n").unwrap();
    fs::write(&list, "photo.png\n").unwrap();
    for file in [&photo, &table, &list, &run.join("run.toml")] {
        let before = fs::read(file).unwrap();
        for refused in single_files(&run, file) {
            refused.fails(2, &["exists and is not", "name another file, or remove it"]);
        }
        assert!(fs::read(file).unwrap() == before, "{}", file.display());
    }
    // Nor one that another option wrote.
    let model = run.join(MODEL);
    with("predict", &run, &image(), "--csv", &model).fails(2, &["is not a table"]);
    blemish([Path::new("roi"), &run, Path::new("--out"), &model]).fails(2, &["is not a page"]);
    for refused in single_files(&run, folder.path()) {
        refused.fails(2, &["is a folder"]);
    }
    for refused in single_files(&run, Path::new("-")) {
        refused.fails(2, &["'-' is no name of a file", "/dev/stdout"]);
    }
    for refused in single_files(&run, &at("no/such/folder/x")) {
        refused.fails(6, &["no/such/folder/x"]);
    }
}

#[test]
fn files_that_blemish_wrote_are_replaced() {
    let (folder, run) = own_run();
    let at = |name: &str| folder.path().join(name);
    let [judged, measured, model, page] = ["judged.csv", "measured.csv", "m.safetensors", "roi.html"].map(at);
    // Empty files hold nothing that could be lost.
    fs::write(&judged, "").unwrap();
    fs::write(&model, "").unwrap();
    for _ in 0..2 {
        with("predict", &run, &image(), "--csv", &judged).ok();
        with("evaluate", &run, &shared().data(), "--csv", &measured).ok();
        with("calibrate", &run, &good(), "--out", &model).ok();
        let data = shared().data();
        blemish(["roi", data.to_str().unwrap(), "--out", page.to_str().unwrap(), "--config", TINY]).ok();
    }
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    assert_eq!((lines(&judged), lines(&measured)), (2, 11));
}

#[test]
fn folders_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    for name in ["data.json", "images.csv", "report.html", "results.md", "run.toml"] {
        fs::write(mine.join(name), "mine").unwrap();
    }
    let (run, data) = (shared().run(), shared().data());
    let refused = ["did not write (data.json)", "name a new or empty folder"];
    for option in ["--overlays", "--heatmaps", "--maps", "--masks"] {
        with("predict", &run, &data, option, &mine).fails(2, &refused);
    }
    with("evaluate", &run, &data, "--out", &mine).fails(2, &refused);
    blemish([Path::new("benchmark"), &data, Path::new("--out"), &mine]).fails(2, &refused);
    // It holds what looks like a run's settings, which `--resume` would go on with and `--overwrite` replace.
    train(&data, &mine, &[]).fails(2, &refused);
    train(&data, &mine, &["--overwrite"]).fails(2, &refused);
    assert_eq!(names(&mine), ["data.json", "images.csv", "report.html", "results.md", "run.toml"]);
    assert!(names(&mine).iter().all(|name| fs::read_to_string(mine.join(name)).unwrap() == "mine"));
    // A run's folder is none of images; a file is none at all.
    with("predict", &run, &image(), "--overlays", &run).fails(2, &["is the folder of a run", "new or empty"]);
    train(&data, &mine.join("run.toml"), &[]).fails(2, &["is a file, not a folder"]);
}

#[cfg(unix)]
#[test]
fn inputs_behind_links_are_where_they_lead() {
    let folder = tempfile::tempdir().unwrap();
    let [photos, links] = ["photos", "links"].map(|name| folder.path().join(name));
    [&photos, &links].into_iter().for_each(|path| fs::create_dir(path).unwrap());
    fs::copy(image(), photos.join("0.png")).unwrap();
    std::os::unix::fs::symlink(photos.join("0.png"), links.join("0.png")).unwrap();
    with("predict", &shared().run(), &links, "--masks", &photos).fails(2, &["new or empty folder"]);
    assert_eq!(names(&photos), ["0.png"]);
}

#[test]
fn folders_of_ones_own_are_written_to_again() {
    let (folder, run) = own_run();
    let at = |name: &str| folder.path().join(name);
    let data = shared().data();
    for _ in 0..2 {
        let (outer, inner) = (at("found"), at("found/overlays"));
        let more = ["--maps".as_ref(), outer.as_path(), "--overlays".as_ref(), &inner];
        blemish([Path::new("predict"), &run, &image()].into_iter().chain(more)).ok();
        with("evaluate", &run, &data, "--out", &at("report")).ok();
        // Into the folder of the run, as 'demo' and 'benchmark' do.
        with("evaluate", &run, &data, "--out", &run).ok();
    }
    assert!(!run.join(".blemish-output").exists());
    train(&data, &run, &["--overwrite"]).ok();
}

#[test]
fn a_folder_next_that_is_somebodys_stays() {
    let (_folder, run) = own_run();
    fs::create_dir(run.join(".next")).unwrap();
    fs::write(run.join(".next/photo.png"), "mine").unwrap();
    train(&shared().data(), &run, &["--overwrite"]).fails(2, &[".next", "photo.png", "move it away"]);
    assert_eq!(fs::read_to_string(run.join(".next/photo.png")).unwrap(), "mine");
    // What a run left that was killed goes.
    fs::rename(run.join(".next/photo.png"), run.join(".next/.model.safetensors.a1B2.tmp")).unwrap();
    train(&shared().data(), &run, &["--overwrite"]).ok();
    assert!(!run.join(".next").exists());
}

#[test]
fn a_model_is_written_by_one_command_at_a_time() {
    let (folder, run) = own_run();
    let file = folder.path().join("other.safetensors");
    fs::copy(run.join(MODEL), &file).unwrap();
    for (model, lock) in
        [(&run, RunLock::acquire(&run)), (&file, RunLock::of_file(file.canonicalize().unwrap()))]
    {
        let before = fs::read(run.join(MODEL)).unwrap();
        let own = format!("process {}", std::process::id());
        for command in ["calibrate", "extend"] {
            blemish([Path::new(command), model, &good()]).fails(6, &[&own, "wait for it"]);
        }
        assert!(fs::read(run.join(MODEL)).unwrap() == before);
        blemish([Path::new("predict"), model, &image()]).ok();
        blemish([Path::new("calibrate"), model, &good(), Path::new("--dry-run")]).ok();
        drop(lock.unwrap());
        blemish([Path::new("calibrate"), model, &good()]).ok();
    }
    assert_eq!(names(folder.path()), ["other.safetensors", "run"]);
}

#[cfg(unix)]
#[test]
fn a_model_behind_a_link_is_replaced_where_it_is() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real.safetensors", "link.safetensors"].map(|name| folder.path().join(name));
    fs::copy(shared().run().join(MODEL), &real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.safetensors", &link).unwrap();
    let before = fs::read(&real).unwrap();
    blemish([Path::new("calibrate"), &link, &good()]).ok();
    assert!(fs::read(&real).unwrap() != before);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

/// It must end within half a minute.
#[cfg(target_os = "linux")]
fn in_time(args: &[&Path]) -> Run {
    let mut command = std::process::Command::new("timeout");
    Run(command.arg("30").arg(env!("CARGO_BIN_EXE_blemish")).args(args).output().unwrap())
}

#[cfg(target_os = "linux")]
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_and_standard_output_are_written_through() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path());
    let reader = std::process::Command::new("timeout")
        .arg("60")
        .arg("cat")
        .arg(&pipe)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    in_time(&["predict".as_ref(), &shared().run(), &image(), "--csv".as_ref(), &pipe]).ok();
    let written = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    assert!(written.starts_with("path,") && written.lines().count() == 2, "{written}");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    // Standard output, also where it is a file that others write to.
    let told = with("predict", &shared().run(), &image(), "--csv", Path::new("/dev/stdout")).ok().stdout();
    let of_a_file = folder.path().join("out.txt");
    let mut predict = command();
    predict.args([
        Path::new("predict"),
        &shared().run(),
        &image(),
        Path::new("--csv"),
        Path::new("/dev/stdout"),
    ]);
    assert!(predict.stdout(fs::File::create(&of_a_file).unwrap()).status().unwrap().success());
    assert_eq!(fs::read_to_string(&of_a_file).unwrap(), told);
    assert!(told.starts_with("path,") && told.lines().count() == 3, "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_are_no_files_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, run, data) = (pipe(folder.path()), shared().run(), shared().data());
    let (new, list) = (folder.path().join("new"), PathBuf::from(format!("@{}", pipe.display())));
    let p = Path::new;
    for args in [
        vec![p("predict"), &pipe, &data],
        vec![p("evaluate"), &pipe, &data],
        vec![p("calibrate"), &pipe, &data],
        vec![p("extend"), &pipe, &data],
        vec![p("inspect"), &pipe],
        vec![p("roi"), &pipe, p("--out"), &new],
        vec![p("predict"), &run, &list],
        vec![p("train"), &data, p("--out"), &new, p("--config"), &pipe],
        vec![p("train"), &data, p("--out"), &new, p("--config"), p(TINY), p("--features"), &pipe],
        vec![p("import-pytorch"), &pipe, p("--out"), &new],
    ] {
        in_time(&args).fails(6, &["pipe", "not a regular file"]);
    }
    // What a shell makes of `<(command)` is read.
    let script = "exec \"$0\" roi \"$1\" --out \"$2\" --config <(cat \"$3\")";
    let args = [data.as_path(), &folder.path().join("roi.html"), p(TINY)];
    let mut bash = std::process::Command::new("bash");
    Run(bash.args(["-c", script, env!("CARGO_BIN_EXE_blemish")]).args(args).output().unwrap()).ok();
}

#[test]
fn patterns_stand_for_folders_in_every_command() {
    let data = shared().data();
    let good = data.join("train/go*");
    let shown = blemish([Path::new("inspect"), &good]).ok().stdout();
    assert!(shown.contains("12"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("roi.html");
    blemish(["roi", good.to_str().unwrap(), "--out", page.to_str().unwrap(), "--config", TINY]).ok();
    let root = data.parent().unwrap().join("flan*");
    let unknown = ["benchmark".as_ref(), root.as_path(), "--categories".as_ref(), "z".as_ref()];
    blemish(unknown).fails(2, &["there are: flange"]);
    let run = shared().run().parent().unwrap().join("ru[n]");
    assert!(blemish([Path::new("inspect"), &run]).ok().stdout().contains("threshold"));
}

#[test]
fn the_limit_of_pixels_can_be_raised_wherever_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [run, large] = ["run", "large"].map(|name| folder.path().join(name));
    train(&shared().data(), &run, &["--max-pixels", "1600"]).ok();
    fs::create_dir(&large).unwrap();
    for n in 0..5 {
        let photo = image::open(good().join(format!("00{n}.png"))).unwrap();
        photo
            .resize(50, 50, image::imageops::FilterType::Triangle)
            .save(large.join(format!("{n}.png")))
            .unwrap();
    }
    let out = folder.path().join("m.safetensors");
    let p = Path::new;
    for args in [
        vec![p("predict"), &run, &large],
        vec![p("calibrate"), &run, &large, p("--out"), &out],
        vec![p("extend"), &run, &large, p("--out"), &out],
    ] {
        let refused = blemish(&args);
        assert_eq!(refused.code(), 3, "{}", refused.stderr());
        assert!(refused.stderr().contains("raise `--max-pixels`"), "{}", refused.stderr());
        blemish(args.into_iter().chain([p("--max-pixels"), p("2500")])).ok();
    }
    let small = ["--max-pixels", "1599"].map(p);
    let evaluate = [p("evaluate"), &run, &shared().data()];
    blemish(evaluate.into_iter().chain(small)).fails(3, &["raise `--max-pixels`"]);
    blemish(evaluate.into_iter().chain([p("--max-pixels"), p("1600")])).ok();
}

#[test]
fn files_of_standard_input_lie_in_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let masks = folder.path().join("masks");
    let mut predict = command();
    predict.args([Path::new("predict"), &shared().run(), Path::new("-"), Path::new("--masks"), &masks]);
    Run(predict.stdin(fs::File::open(image()).unwrap()).output().unwrap()).ok();
    assert_eq!(names(&masks), [".blemish-output", "stdin.mask.png"]);
}

#[test]
fn what_is_meant_is_said() {
    blemish([Path::new("inspect"), &image()]).fails(4, &["is an image, not a model"]);
    let mut evaluate = command();
    evaluate.arg("evaluate").args([shared().run(), shared().data()]).env("TMPDIR", "/no/such/folder");
    Run(evaluate.output().unwrap()).fails(6, &["/no/such/folder", "temporary files (TMPDIR)"]);
}

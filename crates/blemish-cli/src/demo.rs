//! `blemish demo`: the whole job on a synthetic product, without data and without network.

use std::fs;
use std::path::{Path, PathBuf};

use blemish::config::Preset;
use blemish::dataset::{self, Label, decode_masks};
use blemish::evaluation::Evaluation;
use blemish::image::decode;
use blemish::report::text_table;
use blemish::{Error, write_whole};
use blemish_synthetic::flange::{SyntheticConfig, generate};
use blemish_train::RunConfig;
use clap::Args;
use serde::Serialize;

use crate::answer::Judged;
use crate::args::{ErrorPolicy, MaskArgs, Split};
use crate::device::DeviceName;
use crate::evaluate::{measure, write};
use crate::failure::{Failure, Result};
use crate::inputs::parent;
use crate::out_folder::Folder;
use crate::output::{Output, quoted};
use crate::run_folder::{RunFolder, Source, Start};
use crate::session::{Session, Trained};
use crate::stop::Stop;
use crate::visuals::{Seen, Visuals};

const EXAMPLES: &str = "\
Example:
  blemish demo

Makes images of a machined part, good ones and ones with scratches, dents, stains and missing pieces, fits a detector on good
ones, and shows what it finds in the others. Open report.html in the folder afterwards.";

/// The file that marks a folder as the demo's own, to be replaced without a question.
const MARK: &str = "README.txt";
const MARK_TEXT: &str =
    "Made by `blemish demo`, which replaces everything in this folder when it runs again.\n";

/// Do the whole job on a synthetic product: no images needed
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Folder for images, model and report; is made if needed
    #[arg(long, value_name = "DIR", default_value = "blemish-demo")]
    out: PathBuf,
    /// The same seed gives the same images and the same model
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
}

/// The evaluation and where everything is, for `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    minutes: f64,
    model_file: String,
    report: String,
    overlays: String,
}

/// The images of the demo.
fn images(seed: u64) -> SyntheticConfig {
    SyntheticConfig { image_size: 128, train: 160, test_good: 40, test_defective: 40, seed, channels: 3 }
}

/// Small enough to be fitted within seconds on two processor cores.
fn config(seed: u64) -> RunConfig {
    let mut config = RunConfig::preset(Preset::Light);
    config.detector.seed = seed;
    config.detector.data.image_size = [128, 128];
    config
}

/// Runs the demo.
///
/// # Errors
/// A folder that is not its own; files that cannot be written; Ctrl-C.
pub fn run(args: &DemoArgs, output: &Output) -> Result<()> {
    let folder = claim(&args.out)?;
    let (data, overlays) = (folder.join("data/flange"), folder.join("overlays"));
    tracing::info!("drawing images of a synthetic product into {}", data.display());
    if let Err(error) = generate(&images(args.seed), &data) {
        // A part of the images is of no use; what cannot be removed goes when the demo runs again.
        let _ = fs::remove_dir_all(folder.join("data")).and_then(|()| fs::remove_file(folder.join(MARK)));
        return Err(error.into());
    }
    let set = dataset::open(&data, None)?;
    let stop = Stop::on_ctrl_c("run it again to start anew");
    let source = Source {
        data: vec![data.display().to_string()],
        category: set.category.clone(),
        split: Split::Holdout,
        on_error: ErrorPolicy::Stop,
        masks: MaskArgs::default(),
    };
    let session = Session {
        set,
        source,
        config: config(args.seed),
        budget: None,
        estimate: None,
        folder: RunFolder::open(folder.path(), Start::Overwrite)?,
        device: DeviceName::Cpu.open()?,
        stop: stop.clone(),
    };
    let trained = session.run(output).map_err(|failure| failure.with_next(|| stop.next()))?;
    let detector = &trained.detector;
    let evaluated =
        measure(detector, &trained.model, &trained.set, Split::Holdout, ErrorPolicy::Stop.into())?;
    write(folder.path(), &evaluated, detector)?;
    draw(&trained, &overlays, &data)?;
    let evaluation = &evaluated.evaluation;
    let summary = Summary {
        evaluation,
        minutes: detector.provenance().seconds / 60.0,
        model_file: trained.model.display().to_string(),
        report: folder.join("report.html").display().to_string(),
        overlays: overlays.display().to_string(),
    };
    output.result(&summary, || {
        let places =
            [("model", &summary.model_file), ("report", &summary.report), ("overlays", &summary.overlays)];
        let places: String = places.iter().map(|(name, path)| format!("{name:<11}{path}\n")).collect();
        let model = quoted(&args.out);
        format!("{}\n{places}next       blemish predict {model} IMAGES..\n", text_table(evaluation))
    })
}

/// Opens the folder, empty but for the demo's mark; refuses one that holds anything else.
fn claim(path: &Path) -> Result<Folder> {
    let is_ours = fs::read_to_string(path.join(MARK)).is_ok_and(|text| text == MARK_TEXT);
    if !is_ours && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        let path = path.display();
        return Err(Failure::Usage(format!(
            "{path} is not empty and was not made by the demo: name another folder"
        )));
    }
    let folder = Folder::open(path)?;
    for name in ["data", "overlays"] {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    write_whole(&folder.join(MARK), MARK_TEXT.as_bytes())?;
    Ok(folder)
}

/// Overlays of the defective test images, with the true outline.
fn draw(trained: &Trained, folder: &Path, data: &Path) -> Result<()> {
    let (detector, visuals) = (&trained.detector, Visuals::overlays(folder, &parent(&data.join("test/x")))?);
    let decoding = detector.config().data.decoding();
    for sample in trained.set.test.iter().filter(|sample| sample.label == Label::Defective) {
        let image = decode(&sample.path, &decoding)?;
        let framed = detector.frame(&image)?;
        let prediction = detector.predict_framed(&framed)?;
        let size = [image.height, image.width];
        let truth = decode_masks(&sample.masks, size, size, u64::MAX)?;
        let mut judged = Judged::new(sample.path.display().to_string(), &prediction);
        let seen = Seen { path: &sample.path, image: &image, framed: &framed, prediction: &prediction };
        visuals.write(detector, &seen, Some(&truth), &mut judged)?;
    }
    Ok(())
}

//! `blemish benchmark`: train and evaluate every category of a collection.

use std::path::{Path, PathBuf};

use blemish::dataset;
use blemish::report::{BenchmarkRow, markdown_table};
use blemish::{Error, write_whole};
use blemish_train::Device;
use clap::Args;
use serde::Serialize;

use crate::args::{ErrorArgs, MaskArgs, Split};
use crate::device::DeviceArgs;
use crate::evaluate::{measure, write};
use crate::failure::{Failure, Result};
use crate::out_folder::Folder;
use crate::output::{Output, json};
use crate::run_folder::{RunFolder, Source, Start, is_started};
use crate::session::Session;
use crate::settings::Settings;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish benchmark mvtec --out runs/mvtec
  blemish benchmark mvtec --categories screw,bottle --seeds 0,1,2 --finetune 20 --out runs/mvtec
  blemish benchmark mvtec --out runs/mvtec --resume

Every category gets a folder with its model and report; results.md and results.json hold the table. A category that
fails keeps its row with the reason, the others go on, and the exit code is 1.";

/// Fit and evaluate several products, and print a table
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchmarkArgs {
    /// Folder of data sets
    root: PathBuf,
    /// Products, separated by commas, or 'all'
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_value = "all")]
    categories: Vec<String>,
    /// Folder for models and results; is made if needed
    #[arg(long, value_name = "DIR", default_value = "blemish-benchmark")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Fit each product once with each of these seeds
    #[arg(long, value_delimiter = ',', value_name = "SEEDS", conflicts_with = "seed")]
    seeds: Vec<u64>,
    /// Which images a network's training is validated on
    #[arg(long, value_enum, default_value_t)]
    split: Split,
    #[command(flatten)]
    errors: ErrorArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Go on where a benchmark was interrupted; what is finished is only evaluated again
    #[arg(long)]
    resume: bool,
    /// Replace the runs that are in the folder
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
}

/// One category with one seed.
struct Job<'a> {
    category: &'a str,
    name: String,
    seed: Option<u64>,
    folder: PathBuf,
    start: Start,
}

/// The results so far, for `results.json` and `--json`.
#[derive(Default, Serialize)]
struct Results {
    rows: Vec<BenchmarkRow>,
    /// Of the whole process, MiB.
    peak_memory_mib: Option<f64>,
}

/// Runs the benchmark.
pub fn run(args: &BenchmarkArgs, output: &Output) -> Result<()> {
    let device = args.device.open()?;
    let categories = choose(&args.root, &args.categories)?;
    let jobs: Vec<Job> = categories.iter().flat_map(|category| jobs(args, category)).collect();
    // Before hours of work, not after.
    jobs.iter().try_for_each(|job| RunFolder::check(&job.folder, job.start))?;
    let folder = Folder::open(&args.out)?;
    let stop = Stop::on_ctrl_c("continue with the same command and --resume");
    let mut results = Results::default();
    for (i, job) in jobs.iter().enumerate() {
        tracing::info!("[{} of {}] {}", i + 1, jobs.len(), job.name);
        match job.run(args, &device, &stop, output) {
            Ok(row) => results.rows.push(row),
            Err(Failure::Library(Error::Interrupted)) => return Err(Failure::Interrupted(stop.next())),
            Err(failure) => {
                tracing::warn!("warning: {}: {failure}", job.name);
                let (category, error) = (job.name.clone(), Some(failure.to_string()));
                results.rows.push(BenchmarkRow { category, error, ..BenchmarkRow::default() });
            }
        }
        results.peak_memory_mib = blemish_train::peak_memory_mib();
        write_whole(&folder.join("results.md"), markdown_table(&results.rows).as_bytes())?;
        write_whole(&folder.join("results.json"), json(&results)?.as_bytes())?;
    }
    output.result(&results, || markdown_table(&results.rows))?;
    match results.rows.iter().filter(|row| row.error.is_some()).count() {
        0 => Ok(()),
        n => Err(Failure::Partial { message: format!("{n} of {} failed", jobs.len()), code: 1 }),
    }
}

/// The categories below `root` that were asked for, by their full or their last name.
fn choose(root: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let all = dataset::categories(root)?;
    if wanted == ["all"] {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|&c| c == name || c.rsplit('/').next() == Some(name));
        let unknown =
            || format!("there is no category '{name}' in {}; there are: {}", root.display(), all.join(", "));
        found.cloned().ok_or_else(|| Failure::Usage(unknown()))
    };
    wanted.iter().map(find).collect()
}

fn jobs<'a>(args: &BenchmarkArgs, category: &'a str) -> Vec<Job<'a>> {
    let job = |name: String, seed, folder: PathBuf| {
        let start = match (args.overwrite, args.resume && is_started(&folder)) {
            (true, _) => Start::Overwrite,
            (_, true) => Start::Resume,
            _ => Start::New,
        };
        Job { category, name, seed, folder, start }
    };
    let folder = args.out.join(category);
    if args.seeds.is_empty() {
        return vec![job(category.to_owned(), args.settings.seed, folder)];
    }
    let seeded =
        |&seed| job(format!("{category}, seed {seed}"), Some(seed), folder.join(format!("seed-{seed}")));
    args.seeds.iter().map(seeded).collect()
}

impl Job<'_> {
    fn run(
        &self,
        args: &BenchmarkArgs,
        device: &Device,
        stop: &Stop,
        output: &Output,
    ) -> Result<BenchmarkRow> {
        let folder = RunFolder::open(&self.folder, self.start)?;
        let set = dataset::open(&args.root, Some(self.category))?;
        let source = Source {
            data: vec![args.root.display().to_string()],
            category: set.category.clone(),
            split: args.split,
            on_error: args.errors.on_error,
            masks: MaskArgs::default(),
        };
        let mut settings = args.settings.clone();
        settings.seed = self.seed;
        let trained =
            Session::new(set, source, &settings, folder, device.clone(), stop.clone())?.run(output)?;
        let (detector, on_error) = (&trained.detector, args.errors.on_error.into());
        let evaluated = measure(detector, &trained.model, &trained.set, trained.source.split, on_error)?;
        write(&self.folder, &evaluated, detector)?;
        let evaluation = &evaluated.evaluation;
        let metrics = &evaluation.metrics;
        Ok(BenchmarkRow {
            category: self.name.clone(),
            image_auroc: metrics.image_auroc,
            f1: metrics.f1,
            f1_max: metrics.f1_max,
            aupro: metrics.aupro,
            equalised_auroc: evaluation.equalised.as_ref().and_then(|m| m.image_auroc),
            minutes: Some(detector.provenance().seconds / 60.0),
            images_per_second: evaluation.images_per_second,
            error: None,
        })
    }
}

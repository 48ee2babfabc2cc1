//! `blemish benchmark`: train and evaluate every category of a collection.

use std::path::{Path, PathBuf};

use blemish::config::{Config, NetworkInit, Reduce, Use};
use blemish::dataset;
use blemish::report::{BenchmarkRow, benchmark_page, markdown_table};
use blemish::{Error, write_whole};
use blemish_train::Device;
use clap::Args;
use serde::Serialize;

use crate::args::{ErrorArgs, MaskArgs, Split};
use crate::device::DeviceArgs;
use crate::evaluate::{measure, write};
use crate::failure::{Failure, Result};
use crate::out_folder::{Folder, mark};
use crate::output::{Output, json, quoted};
use crate::run_folder::{RunFolder, Source, Start, is_started};
use crate::session::Session;
use crate::settings::{NetworkArgs, Settings};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  blemish benchmark mvtec --out runs/mvtec
  blemish benchmark mvtec --categories screw,bottle --seeds 0,1,2 --finetune 20 --out runs/mvtec
  blemish benchmark mvtec --categories screw --ablation --out runs/mvtec
  blemish benchmark mvtec --out runs/mvtec --resume

Every category gets a folder with its model and report; results.md, results.json and results.html hold the table. A category that
fails keeps its row with the reason, the others go on, and the exit code is 1.

--ablation fits every category again with one part alone: the pre-trained network's reconstruction error under complementary masks,
its defect output, the memory of its features, then the memory of patches (products) or line filter and texture model
(surfaces), and all of these together. The network is that of network.init, else of features.weights, else the built-in one; it is
not trained on the product.";

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
    #[command(flatten)]
    network: NetworkArgs,
    /// Fit each product once with each of these seeds
    #[arg(long, value_delimiter = ',', value_name = "SEEDS", conflicts_with = "seed")]
    seeds: Vec<u64>,
    /// Also measure each part of the detector alone, and all together
    #[arg(long, conflicts_with = "finetune")]
    ablation: bool,
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
    root: &'a Path,
    category: &'a str,
    name: String,
    seed: Option<u64>,
    folder: PathBuf,
    start: Start,
    /// In an ablation, the parts that are used.
    alone: Option<Alone>,
}

/// Parts that are measured by themselves.
struct Alone {
    /// Their folder.
    name: &'static str,
    title: &'static str,
    settings: Vec<String>,
}

/// Complementary masks of the reconstruction: each shows a quarter of the patches, as in pre-training.
const PASSES: usize = 4;

impl Alone {
    /// What can be measured alone of a detector with this settled configuration.
    fn all(config: &Config) -> Vec<Self> {
        let init = match (&config.network.init, &config.features.weights) {
            (NetworkInit::None, None) => "pretrained".to_owned(),
            (NetworkInit::None, Some(path)) => path.display().to_string(),
            (init, _) => String::from(init.clone()),
        };
        let reduce = if config.score.reduce == Reduce::TopMean { "top_mean" } else { "max" };
        let network = |map: &str, passes: usize| {
            let map = [format!("network.map={map}"), format!("network.passes={passes}")];
            [&["network.use=always".to_owned(), format!("network.init={init}")], &map[..]].concat()
        };
        let features = vec!["features.use=always".to_owned()];
        let patches = config.memory.usage == Use::Always;
        let filters = [("lines", config.lines), ("texture", config.texture)];
        let filters: Vec<String> = filters
            .iter()
            .filter(|(_, u)| *u == Use::Always)
            .map(|(name, _)| format!("{name}=always"))
            .collect();
        let memory = vec!["memory.use=always".to_owned()];
        let defect = network("defect", 1);
        let own = if patches { [memory.clone(), filters.clone()].concat() } else { filters.clone() };
        let all = [defect.clone(), features.clone(), own].concat();
        let mut rows = vec![
            (
                "reconstruction",
                "reconstruction error of the pre-trained network",
                network("reconstruction", PASSES),
            ),
            ("defect", "defect output of the pre-trained network", defect),
            ("features", "memory of features", features),
        ];
        if patches {
            rows.push(("patches", "memory of patches", memory));
        }
        if !filters.is_empty() {
            rows.push(("filters", "line filter and texture model", filters));
        }
        rows.push(("all", "all of the above", all));
        // How a map becomes a score is the same for all, whatever parts there are.
        let off = ["network.use", "features.use", "memory.use", "lines", "texture"]
            .map(|key| format!("{key}=never"));
        let with =
            |settings: Vec<String>| [&off[..], &[format!("score.reduce={reduce}")], &settings].concat();
        rows.into_iter().map(|(name, title, own)| Self { name, title, settings: with(own) }).collect()
    }
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
    let root = root(&args.root)?;
    let categories = choose(&root, &args.categories)?;
    let jobs: Vec<Job> = categories.iter().flat_map(|category| jobs(args, &root, category)).collect();
    // Before hours of work, not after.
    jobs.iter().try_for_each(|job| RunFolder::check(&job.folder, job.start))?;
    let folder = Folder::open_own(&args.out, false)?;
    mark(folder.path())?;
    let stop = Stop::on_ctrl_c("continue with the same command and --resume");
    let mut results = Results::default();
    for (i, job) in jobs.iter().enumerate() {
        tracing::info!("[{} of {}] {}", i + 1, jobs.len(), job.name);
        let settled = job.row(args, &device, &stop, output, &mut results)?;
        save(&folder, &mut results)?;
        for alone in settled.filter(|_| args.ablation).iter().flat_map(Alone::all) {
            tracing::info!("[{} of {}] {}: only {}", i + 1, jobs.len(), job.name, alone.title);
            job.with(args, alone).row(args, &device, &stop, output, &mut results)?;
            save(&folder, &mut results)?;
        }
    }
    output.result(&results, || markdown_table(&results.rows))?;
    match results.rows.iter().filter(|row| row.error.is_some()).count() {
        0 => Ok(()),
        n => Err(Failure::Partial { message: format!("{n} of {} failed", results.rows.len()), code: 1 }),
    }
}

/// Writes all that there is so far.
fn save(folder: &Folder, results: &mut Results) -> Result<()> {
    results.peak_memory_mib = blemish_train::peak_memory_mib();
    write_whole(&folder.join("results.md"), markdown_table(&results.rows).as_bytes())?;
    write_whole(&folder.join("results.json"), json(results)?.as_bytes())?;
    Ok(write_whole(&folder.join("results.html"), benchmark_page(&results.rows)?.as_bytes())?)
}

/// The one folder that `path` means, which can be a pattern.
fn root(path: &Path) -> Result<PathBuf> {
    match dataset::expand(path)?.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(Failure::Usage(format!(
            "{} matches {} folders: a benchmark has one; name the folder that holds them, and --categories",
            quoted(path),
            several.len()
        ))),
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

fn jobs<'a>(args: &BenchmarkArgs, root: &'a Path, category: &'a str) -> Vec<Job<'a>> {
    let job = |name: String, seed, folder: PathBuf| {
        let start = start(args, &folder);
        Job { root, category, name, seed, folder, start, alone: None }
    };
    let folder = args.out.join(category);
    if args.seeds.is_empty() {
        return vec![job(category.to_owned(), args.settings.seed, folder)];
    }
    let seeded =
        |&seed| job(format!("{category}, seed {seed}"), Some(seed), folder.join(format!("seed-{seed}")));
    args.seeds.iter().map(seeded).collect()
}

fn start(args: &BenchmarkArgs, folder: &Path) -> Start {
    match (args.overwrite, args.resume && is_started(folder)) {
        (true, _) => Start::Overwrite,
        (_, true) => Start::Resume,
        _ => Start::New,
    }
}

impl<'a> Job<'a> {
    /// The same with these parts only.
    fn with(&self, args: &BenchmarkArgs, alone: Alone) -> Job<'a> {
        let folder = self.folder.join("ablation").join(alone.name);
        let start = start(args, &folder);
        Job {
            root: self.root,
            category: self.category,
            name: self.name.clone(),
            seed: self.seed,
            folder,
            start,
            alone: Some(alone),
        }
    }

    /// Adds its row, also where it fails; else the settled configuration.
    fn row(
        &self,
        args: &BenchmarkArgs,
        device: &Device,
        stop: &Stop,
        output: &Output,
        results: &mut Results,
    ) -> Result<Option<Config>> {
        let (category, alone) = (self.name.clone(), self.alone.as_ref().map(|alone| alone.title.to_owned()));
        match self.run(args, device, stop, output) {
            Ok((row, config)) => {
                results.rows.push(BenchmarkRow { alone, ..row });
                Ok(Some(config))
            }
            Err(Failure::Library(Error::Interrupted)) => Err(Failure::Interrupted(stop.next())),
            Err(failure) => {
                let what = alone.as_ref().map(|title| format!(", only {title}")).unwrap_or_default();
                tracing::warn!("warning: {}{what}: {failure}", self.name);
                let error = Some(failure.to_string());
                results.rows.push(BenchmarkRow { category, alone, error, ..BenchmarkRow::default() });
                Ok(None)
            }
        }
    }

    fn run(
        &self,
        args: &BenchmarkArgs,
        device: &Device,
        stop: &Stop,
        output: &Output,
    ) -> Result<(BenchmarkRow, Config)> {
        let folder = RunFolder::open(&self.folder, self.start)?;
        let set = dataset::open(self.root, Some(self.category))?;
        let source = Source {
            data: vec![self.root.display().to_string()],
            category: set.category.clone(),
            split: args.split,
            on_error: args.errors.on_error,
            masks: MaskArgs::default(),
        };
        let mut settings = args.settings.clone();
        settings.seed = self.seed;
        let mut network = args.network.clone();
        if let Some(alone) = &self.alone {
            (settings, network) = (settings.and(&alone.settings), NetworkArgs::default());
        }
        let session = Session::new(set, source, (&settings, &network), folder, device.clone(), stop.clone())?;
        let trained = session.run(output)?;
        let (detector, on_error) = (&trained.detector, args.errors.on_error.into());
        let evaluated = measure(detector, &trained.model, &trained.set, trained.source.split, on_error)?;
        write(&self.folder, &evaluated, detector)?;
        let evaluation = &evaluated.evaluation;
        let metrics = &evaluation.metrics;
        let row = BenchmarkRow {
            category: self.name.clone(),
            alone: None,
            image_auroc: metrics.image_auroc,
            f1: metrics.f1,
            f1_max: metrics.f1_max,
            aupro: metrics.aupro,
            equalised_auroc: evaluation.equalised.as_ref().and_then(|m| m.image_auroc),
            minutes: Some(detector.provenance().seconds / 60.0),
            images_per_second: evaluation.images_per_second,
            error: None,
        };
        Ok((row, detector.config().clone()))
    }
}

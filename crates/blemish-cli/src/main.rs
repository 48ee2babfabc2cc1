//! `blemish`: the program around the library. Parses the command line, runs one command, prints the error, and ends
//! with an exit code that says what kind of error it was.

mod answer;
mod args;
mod benchmark;
mod calibrate;
mod completions;
mod date;
mod demo;
mod device;
mod evaluate;
mod extend;
mod failure;
mod import_pytorch;
mod inputs;
mod inspect;
mod inspect_data;
mod inspect_model;
mod inspect_weights;
mod metrics_file;
mod model;
mod out_file;
mod out_folder;
mod output;
mod predict;
mod pretrain;
mod progress;
mod roi;
mod run_folder;
mod session;
mod settings;
mod stop;
mod train;
mod visuals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.output.start();
    let result = match &cli.command {
        Command::Train(args) => train::run(args, &output),
        Command::Evaluate(args) => evaluate::run(args, &output),
        Command::Predict(args) => predict::run(args, &output),
        Command::Benchmark(args) => benchmark::run(args, &output),
        Command::Inspect(args) => inspect::run(args, &output),
        Command::Demo(args) => demo::run(args, &output),
        Command::ImportPytorch(args) => import_pytorch::run(args, &output),
        Command::Calibrate(args) => calibrate::run(args, &output),
        Command::Extend(args) => extend::run(args, &output),
        Command::Roi(args) => roi::run(args, &output),
        Command::Pretrain(args) => pretrain::run(args, &output),
        Command::Completions(args) => completions::run(args, &output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                output::error(&failure);
            }
            ExitCode::from(failure.code())
        }
    }
}

//! `blemish`: the program around the library. Parses the command line, runs one command, prints the error, and ends
//! with an exit code that says what kind of error it was.

mod args;
mod benchmark;
mod completions;
mod date;
mod demo;
mod device;
mod evaluate;
mod failure;
mod folder;
mod heatmaps;
mod import_pytorch;
mod inspect;
mod inspect_data;
mod inspect_model;
mod output;
mod plan;
mod predict;
mod pretrain;
mod progress;
mod quote;
mod run_folder;
mod session;
mod settings;
mod stop;
mod train;

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
        Command::Pretrain(args) => pretrain::run(args, &output),
        Command::Completions(args) => completions::run(args, &output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_closed_pipe() {
                output::error(&failure);
            }
            ExitCode::from(failure.code())
        }
    }
}

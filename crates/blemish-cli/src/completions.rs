//! `blemish completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::failure::Result;
use crate::output::{Output, print};

const EXAMPLES: &str = "\
Example:
  blemish completions bash > ~/.local/share/bash-completion/completions/blemish";

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub fn run(args: &CompletionsArgs, _: &Output) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "blemish", &mut script);
    print(&String::from_utf8_lossy(&script))
}

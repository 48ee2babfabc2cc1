//! The Rust side of the benchmark: a process that stays alive, reads one command a line (JSON) from standard input,
//! and answers each with one line. `benches/run.py` drives it beside its peers; its threads are `RAYON_NUM_THREADS`.
//!
//! Without commands, as `cargo bench` starts it, it runs every command once on small inputs and checks the answers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark stops at the first thing that goes wrong"
)]

mod command;
mod inputs;
mod smoke;
mod timing;
mod work;

use std::io::{BufRead, Write, stdin, stdout};

use crate::command::Command;
use crate::work::Bench;

fn main() {
    if !std::env::args().any(|argument| argument == "--commands") {
        return smoke::run();
    }
    let mut bench = Bench::default();
    for line in stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let command: Command = serde_json::from_str(&line).expect("one command a line");
        let answer = bench.run(command);
        let mut out = stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).expect("standard output is open");
    }
}

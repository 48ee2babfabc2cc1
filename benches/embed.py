#!/usr/bin/env python3
"""What C and Python cost over Rust for one image of 256 x 256 pixels, and two Python threads beside one; ratios of one run.

    python3 benches/embed.py [--rounds 300] [--python PATH] [--smoke]

Overhead: three processes with one thread each, pinned to the same core, score the same buffer with the same model. They take
turns of a few predictions, in changing order, and each round gives a ratio to Rust: what else the machine does hits all
alike, and the median of rounds does not see a turn that was interrupted. Ratios are of the processor's time that a process had
(Linux's schedstat), which does not count what other processes take from it, and of the clock. Threads: one and two Python threads take turns, on
all cores, with a thread of its own for each call. --python names an interpreter that has the package; else the wheel
is built and installed in a fresh environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WORKER = r"""
import sys, time, threading
import numpy as np
import blemish
model, raw, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
detector = blemish.Detector.load(model)
image = np.fromfile(raw, np.uint8).reshape(256, 256, 3)

def some(count):
    for _ in range(count):
        detector.predict(image)

def measure(threads):
    workers = [threading.Thread(target=some, args=(times,)) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    return (time.perf_counter() - start) / (times * threads)

some(3)
print("ready", flush=True)
for line in sys.stdin:
    command = line.split()
    if command[0] == "threads":
        detector.threads = 1
        print(measure(int(command[1])), flush=True)
    else:
        start = time.perf_counter()
        some(times)
        print((time.perf_counter() - start) / times, flush=True)
"""


def run(*command: str | Path, **more: str) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env={**os.environ, **more})


class Worker:
    """A process that answers each line with seconds for one prediction."""

    def __init__(self, *command: str | Path, core: int | None = None) -> None:
        env = dict(os.environ) if core is None else {**os.environ, "RAYON_NUM_THREADS": "1"}
        pin = None if core is None or not hasattr(os, "sched_setaffinity") else lambda: os.sched_setaffinity(0, {core})
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, preexec_fn=pin
        )
        assert self.answer() == "ready"

    def processor_seconds(self) -> float:
        tasks = Path(f"/proc/{self.process.pid}/task")
        if not tasks.is_dir():
            return float("nan")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str = "go") -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.answer())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = (round(v, 4) for v in statistics.quantiles(values, n=4))
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--times", type=int, default=5, help="predictions of each turn")
    parser.add_argument("--core", type=int, default=0, help="the core that is measured on")
    parser.add_argument("--python", type=Path, help="an interpreter that has the package installed")
    parser.add_argument("--smoke", action="store_true", help="a few short rounds, which measure nothing")
    arguments = parser.parse_args()
    rounds, times = (6, 1) if arguments.smoke else (arguments.rounds, arguments.times)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # The selection of the tests: nothing is compiled twice.
        run("cargo", "build", "-q", "--release", "--workspace", "--examples")
        run("crates/blemish-c/install.sh", work / "prefix", BLEMISH_BUILT=str(target / "deps"))
        python: Path = arguments.python
        if python is None:
            run(sys.executable, "-m", "venv", work / "venv")
            python = work / "venv/bin/python"
            pip = (python, "-m", "pip", "-q", "--disable-pip-version-check", "install")
            run(*pip, "maturin>=1.9,<2")
            maturin = work / "venv/bin/maturin"
            run(maturin, "build", "-q", "--release", "-m", "crates/blemish-python/Cargo.toml", "-i", python, "-o", work)
            run(*pip, *work.glob("*.whl"))
        source = ROOT / "crates/blemish-c/tests/c/bench.c"
        include, lib = work / "prefix/include", work / "prefix/lib"
        run("cc", "-O2", f"-I{include}", source, f"-L{lib}", "-lblemish_c", f"-Wl,-rpath,{lib}", "-o", work / "bench")
        rust = target / "examples/bench"
        run(rust, "write", work / "model", work / "image.raw")

        model: list[str | Path] = [work / "model", work / "image.raw", str(times)]
        workers = {
            "rust": Worker(rust, *model, core=arguments.core),
            # The same program once more: how far from 1 a ratio is that ought to be 1.
            "rust_again": Worker(rust, *model, core=arguments.core),
            "c": Worker(work / "bench", *model, core=arguments.core),
            "python": Worker(python, "-c", WORKER, *model, core=arguments.core),
        }
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        busy: dict[str, list[float]] = {name: [] for name in workers}
        load_before = os.getloadavg()
        for i in range(rounds):
            # Every worker is first, second and so on equally often, forwards and backwards.
            names = list(workers)[i % 4 :] + list(workers)[: i % 4]
            for name in names if i // 4 % 2 else names[::-1]:
                before = workers[name].processor_seconds()
                seconds[name].append(workers[name].ask())
                busy[name].append(workers[name].processor_seconds() - before)
        for worker in workers.values():
            worker.end()
        ratios = {
            f"{name}_over_rust": {
                what: quartiles([a / b for a, b in zip(of[name], of["rust"])])
                for what, of in {"processor": busy, "clock": seconds}.items()
            }
            for name in list(workers)[1:]
        }
        threads, both = [], Worker(python, "-c", WORKER, *model)
        for i in range(max(rounds // 4, 3)):
            order = ("1", "2") if i % 2 else ("2", "1")
            took = {count: both.ask(f"threads {count}") for count in order}
            threads.append(took["1"] / took["2"])
        both.end()
        found = {
            "milliseconds_rust": {
                "processor": round(1000 * statistics.median(busy["rust"]) / times, 3),
                "clock": round(1000 * statistics.median(seconds["rust"]), 3),
            },
            **ratios,
            "two_python_threads_over_one": {**quartiles(threads), "best": round(max(threads), 4)},
            "rounds": rounds,
            "predictions_a_turn": times,
            "processor": f"{processor()}, {os.cpu_count()} cores",
            "load_average_before_and_after": [round(load_before[0], 2), round(os.getloadavg()[0], 2)],
        }
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

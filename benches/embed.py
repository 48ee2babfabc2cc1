#!/usr/bin/env python3
"""What C and Python cost over Rust for one image of 256 x 256 pixels, and two Python threads beside one; ratios of one run.

    python3 benches/embed.py [--rounds 40] [--smoke]

Builds the library, an example and the wheel in release, makes a virtual environment with it, fits a model on generated
images. Each measurement is of the same model, buffer and number of predictions; Rust, C and Python take turns, and the median
ratio of rounds is given, so that what else the machine does hits all alike.
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
        detector.threads = 0
        start = time.perf_counter()
        some(times)
        print((time.perf_counter() - start) / times, flush=True)
"""


def run(*command: str | Path, **kwargs: object) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, **kwargs)  # type: ignore[call-overload]


class Worker:
    """A process that answers each line with seconds for one prediction."""

    def __init__(self, *command: str | Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        assert self.answer() == "ready"

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str = "go") -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.answer())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--times", type=int, default=20, help="predictions of each round")
    parser.add_argument("--smoke", action="store_true", help="two short rounds")
    arguments = parser.parse_args()
    rounds, times = (2, 3) if arguments.smoke else (arguments.rounds, arguments.times)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run("crates/blemish-c/install.sh", work / "prefix")
        run("cargo", "build", "-q", "--release", "-p", "blemish-c", "--example", "bench")
        run(sys.executable, "-m", "venv", work / "venv")
        python = work / "venv/bin/python"
        run(python, "-m", "pip", "-q", "--disable-pip-version-check", "install", "maturin>=1.9,<2")
        run(work / "venv/bin/maturin", "build", "-q", "--release", "-m", "crates/blemish-python/Cargo.toml", "-i", python, "-o", work)
        run(python, "-m", "pip", "-q", "--disable-pip-version-check", "install", *work.glob("*.whl"))
        source = ROOT / "crates/blemish-c/tests/c/bench.c"
        include, lib = work / "prefix/include", work / "prefix/lib"
        run("cc", "-O2", f"-I{include}", source, f"-L{lib}", "-lblemish_c", f"-Wl,-rpath,{lib}", "-o", work / "bench")
        rust = target / "release/examples/bench"
        run(rust, "write", work / "model", work / "image.raw")

        model: list[str | Path] = [work / "model", work / "image.raw", str(times)]
        workers = {
            "rust": Worker(rust, *model),
            "c": Worker(work / "bench", *model),
            "python": Worker(python, "-c", WORKER, *model),
        }
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        threads: list[float] = []
        for i in range(rounds):
            # Every worker is first, second and last equally often.
            names = list(workers)[i % 3 :] + list(workers)[: i % 3]
            for name in names:
                seconds[name].append(workers[name].ask())
            one, two = workers["python"].ask("threads 1"), workers["python"].ask("threads 2")
            threads.append(one / two)

        def ratio(name: str) -> dict[str, float]:
            ratios = sorted(a / b for a, b in zip(seconds[name], seconds["rust"]))
            best = min(seconds[name]) / min(seconds["rust"])
            return {"median": statistics.median(ratios), "of_fastest_rounds": best}

        found = {
            "milliseconds_rust": 1000 * statistics.median(seconds["rust"]),
            "c_over_rust": ratio("c"),
            "python_over_rust": ratio("python"),
            "two_python_threads_over_one": {"median": statistics.median(threads), "best": max(threads)},
            "rounds": rounds,
            "predictions_a_round": times,
            "cores": os.cpu_count(),
        }
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures blemish beside its peers and writes results.md.

    python benches/run.py                     everything; the models alone take more than half an hour on 2 cores
    python benches/run.py --smoke             every part once on small inputs, in seconds; writes nothing
    python benches/run.py --only aupro,start  some sections

Peers run in `--python` (default: benches/.venv, else this interpreter); those that it lacks are left out, and named.
Set up once with

    python3 -m venv benches/.venv && benches/.venv/bin/pip install -r benches/peers/requirements.txt

This script itself needs the standard library and cargo only. See peers/ for what the peers are.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from side_by_side.child import HERE, Starter  # noqa: E402
from side_by_side.growth import growth  # noqa: E402
from side_by_side.model_rows import PRESETS, Models  # noqa: E402
from side_by_side.plan import FULL, SMOKE  # noqa: E402
from side_by_side.program_rows import Program  # noqa: E402
from side_by_side.rows import Page  # noqa: E402

SECTIONS = ["models", "predict", "start", "aupro", "growth"]


def build() -> tuple[Path, Path]:
    """The Rust side of the benchmark, and the program."""
    argv = ["cargo", "build", "--release", "--bench", "speed", "--bin", "blemish", "--message-format=json"]
    lines = subprocess.run(argv, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines if line.startswith("{")]
    paths = {item["target"]["name"]: Path(item["executable"]) for item in built if item.get("executable")}
    return paths["speed"], paths["blemish"]


def output(*argv: str) -> str:
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, cwd=HERE, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def commit() -> str:
    """What is built; documents make no difference to it."""
    changed = output("git", "status", "--porcelain", "--untracked-files=no", "..", ":!../*.md")
    return output("git", "rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def head(python: str | None, built: str, minutes: float, load: float, finished: bool) -> str:
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown") \
        if Path("/proc/cpuinfo").exists() else platform.processor()
    features = open("/proc/cpuinfo").read() if Path("/proc/cpuinfo").exists() else ""
    has = [name for name in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if f" {name} " in features + " "]
    versions = output(python, "-c", VERSIONS) if python else "none"
    # Where things lie on this machine is nothing to a reader.
    command = " ".join(["python benches/run.py", *(Path(a).name if a.startswith("/") else a for a in sys.argv[1:])])
    return "\n".join([
        "# Speed, side by side",
        "",
        f"Written by `{command}` on {datetime.date.today()}, {minutes:.0f} minutes, commit {built}."
        f"{'' if finished else ' **Not finished: sections are missing.**'}",
        "",
        f"- Machine: {cpu}, {os.cpu_count()} cores ({', '.join(has)}), load average {load:.2f} at the start; no GPU is used.",
        f"- Peers: {versions}; same weights, same inputs, outputs compared first.",
        "- Times are medians of turns taken in one run, A B A C A ...; a ratio is a turn's median over the mean of blemish's turns before",
        "  and after it, given as median and quartiles over n rounds; below 1, blemish is faster.",
    ])


VERSIONS = """
import importlib.metadata as m
def version(name):
    try: return name + " " + m.version(name)
    except m.PackageNotFoundError: return name + " not installed"
print(", ".join(version(n) for n in ("torch", "torchvision", "onnxruntime", "openvino", "anomalib")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="small inputs, one round, no file")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"sections, of {', '.join(SECTIONS)}")
    parser.add_argument("--presets", default=",".join(PRESETS), help="presets that are measured as models")
    parser.add_argument("--python", help="interpreter that has the peers; `none` for no peers")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes minutes")
    parser.add_argument("--out", type=Path, help="default: benches/results.md")
    parser.add_argument("--verbose", action="store_true", help="show what the peers print")
    arguments = parser.parse_args()

    plan, started, load = SMOKE if arguments.smoke else FULL, time.time(), os.getloadavg()[0]
    venv = HERE / ".venv/bin/python"
    python = arguments.python or (str(venv) if venv.exists() else sys.executable)
    python = None if python == "none" else python
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    built = commit()
    rust, program = build()
    counts = sorted({1, min(2, os.cpu_count() or 1)})
    out = arguments.out or (None if arguments.smoke else HERE / "results.md")

    def write(finished: bool) -> None:
        """After every table: what was measured should survive whatever stops the rest."""
        minutes = (time.time() - started) / 60
        if out:
            out.write_text(page.text(head(python, built, minutes, load, finished)))
        elif finished:
            print(page.text(head(python, built, minutes, load, finished)))

    page, starter = Page(lambda: write(False)), Starter(rust, python)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models = Models(starter, plan, folder, page, arguments.presets.split(","), not arguments.no_compile)
        models.prepare()
        outside = Program(starter, program, plan, folder, page)
        if {"predict", "start"} & set(chosen):
            outside.predict()
        if "start" in chosen:
            outside.memory()
        if "aupro" in chosen:
            outside.area()
        if "growth" in chosen:
            growth(starter, plan, folder, page, counts)
        # Last, since it takes longest.
        if "models" in chosen:
            models.measure(counts)
    write(True)
    if out:
        print(f"\n{out}: {(time.time() - started) / 60:.1f} minutes", file=sys.stderr)


main()

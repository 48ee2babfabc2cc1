"""Trains with one setting changed at a time and prints a Markdown table: what each part buys.

    python benches/ablate.py DATA/mvtec/screw DATA/kolektorsdd [--budget 2] [--seed 0] [--only NAME,..]

Figures are those of the official test images; nothing is chosen by this script.
"""

import argparse
import json
import subprocess
import tempfile
import time

VARIANTS = {
    "as shipped": [],
    "network alone (defect probability)": ["score.map=defect"],
    "network alone (squared correction)": ["score.map=squared"],
    "no masked pre-training": ["train.pretrain.epochs=0"],
    "no memory": ["score.memory.keep=never"],
    "memory alone": ["score.map=memory", "score.memory.keep=always"],
    "memory of twice the patch": ["score.memory.scales=[4]"],
    "memory of two patches": ["score.memory.scales=[2, 4]"],
    "memory of 32 prototypes": ["score.memory.prototypes=32"],
    "no ridges": ["score.ridges=never"],
    "network heard by its skill": ["score.network=always"],
    "whole image stretched": ["data.fit=stretch"],
    "views aligned": ["data.align=always"],
    "views not aligned": ["data.align=never"],
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--blemish", default="target/release/blemish")
    parser.add_argument("--budget", default="2", help="minutes of each training")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", default=",".join(VARIANTS), help="names, separated by commas")
    args = parser.parse_args()
    print("| variant | set | image AUROC, equalised | F1-max, equalised | AUPRO | minutes |\n|---|---|---|---|---|---|")
    for name in filter(None, args.only.split(",")):
        for data in args.data:
            with tempfile.TemporaryDirectory() as folder:
                settings = [part for setting in VARIANTS[name] for part in ("--set", setting)]
                common = ["--budget", args.budget, "--seed", args.seed]
                start = time.time()
                run(args.blemish, "train", data, "--out", folder + "/run", *common, *settings)
                minutes = (time.time() - start) / 60
                e = json.loads(run(args.blemish, "evaluate", folder + "/run", data, "--json"))
            q = e["equalised"]
            figures = f"{q['image_auroc']:.3f} | {q['f1_max']:.3f} | {e['aupro']:.3f}"
            print(f"| {name} | {data.rstrip('/').split('/')[-1]} | {figures} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()

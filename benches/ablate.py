"""Trains with one setting changed at a time and prints a Markdown table: what each part buys.

    python benches/ablate.py DATA/mvtec/screw DATA/kolektorsdd [--seeds 0,1,2] [--budget 3] [--only "NAME;.."]

A row is a variant on a set: mean and range over the seeds. Trainings that have a network take `--budget` minutes, or
with `--epochs` as many epochs of repair and none masked, which a busy machine does not cut short; the others take
seconds. Figures are those of the official test images; nothing is chosen by this script.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time

SHAPES = ["blob", "noise", "scratch", "rectangle", "scar", "dots"]
FILLS = ["flat", "grain", "lighting", "foreign", "misplaced", "blended", "erase", "warp", "smear"]
REPAIR = ["score.map=defect", "train.pretrain.epochs=0"]
MASKED = ["score.map=squared", "model.defect_logit=false", "train.pretrain.epochs=EPOCHS", "train.finetune.epochs=0"]


def only(what, kept):
    """The setting that draws synthetic defects of one of the `shapes` or `fills`."""
    names = SHAPES if what == "shapes" else FILLS
    return f"train.defects.{what}={{{', '.join(f'{name}={int(name == kept)}' for name in names)}}}"


VARIANTS = {
    "as shipped": [],
    "memory of 32 prototypes": ["score.memory.prototypes=32"],
    "memory of 16 components": ["score.memory.components=16"],
    "memory of half the patch": ["score.memory.scales=[1]"],
    "memory of two patches": ["score.memory.scales=[2, 4]"],
    "memory looks at its own place only": ["score.memory.reach=0"],
    "a memory in any case": ["score.memory.keep=always"],
    "lines alone": ["score.grain=never"],
    "grain alone": ["score.ridges=never"],
    "no smoothing": ["score.smooth_sigma=0"],
    "the whole image, stretched": ["data.fit=stretch"],
    "views aligned to the mean picture": ["data.align=always"],
    "score: the largest value": ["score.reduce=max"],
    "twice the resolution, in tiles (2 x 2, overlapping)": ["data.image_size=[512, 512]", "data.tiles=2"],
    "network beside the others": ["score.network=always"],
    "network alone": ["score.map=defect"],
    "network alone, no masked pre-training": REPAIR,
    "network alone, half of the epochs masked": ["score.map=defect", "train.pretrain.epochs=15", "train.finetune.epochs=15"],
    "network alone, noise that stays in the target": [*REPAIR, "train.noise=0.1"],
    "network alone, moving average of the weights": [*REPAIR, "train.ema_decay=0.99"],
    "network alone, in tiles (2 x 2, overlapping)": [*REPAIR, "data.image_size=[512, 512]", "data.tiles=2"],
    "network alone, defects anywhere, not mostly on the product": [*REPAIR, "train.defects.foreground_bias=0"],
    "network alone, no defect below 0.5 %": [*REPAIR, "train.defects.area=[0.005, 0.05]"],
    "network alone, no defect above 1 %": [*REPAIR, "train.defects.area=[0.0004, 0.01]"],
    "network alone, blobs alone": [*REPAIR, only("shapes", "blob")],
    "network alone, noise above a threshold alone (DRAEM)": [*REPAIR, only("shapes", "noise")],
    "network alone, scars alone (CutPaste)": [*REPAIR, only("shapes", "scar")],
    "network alone, scratches alone": [*REPAIR, only("shapes", "scratch")],
    "network alone, seamless patches alone (NSA)": [*REPAIR, only("fills", "blended")],
    "network alone, pasted patches alone (CutPaste)": [*REPAIR, only("fills", "misplaced")],
    "network alone, flat colours alone": [*REPAIR, only("fills", "flat")],
    "network alone, squared correction": [*REPAIR, "score.map=squared"],
    "network alone, squared correction, not relative to the place": [*REPAIR, "score.map=squared", "score.calibration=none"],
    "network alone, masked alone, 4 complementary masks": [*MASKED, "score.passes=4"],
    "network alone, masked alone, nothing hidden in scoring": MASKED,
    "network alone, SSIM of the correction": [*REPAIR, "score.map=ssim"],
    "network alone, squared correction and SSIM": [*REPAIR, "score.map=squared_ssim"],
    "network alone, gradients of the correction": [*REPAIR, "score.map=gradient"],
    "network alone, no curriculum": [*REPAIR, "train.defects.curriculum=false"],
    "network alone, mirror images too": [*REPAIR, "score.flips=true"],
    "network alone, smoothed by 1 pixel": [*REPAIR, "score.smooth_sigma=1"],
    "network alone, smoothed by 4 pixels": [*REPAIR, "score.smooth_sigma=4"],
    "network alone, in f32": [*REPAIR, "train.precision=f32"],
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def trained(args, data, seed, settings):
    """AUROC, F1-max, both equalised, AUPRO, minutes, epochs."""
    with tempfile.TemporaryDirectory() as folder:
        length = ["--budget", args.budget]
        if args.epochs:
            length, settings = [], ["train.pretrain.epochs=0", f"train.finetune.epochs={args.epochs}", *settings]
        settings = [part.replace("EPOCHS", str(args.epochs or 30)) for setting in settings for part in ("--set", setting)]
        start = time.time()
        out = run(args.blemish, "train", data, "--out", folder + "/run", "--json", *length, "--seed", seed, *settings)
        minutes = (time.time() - start) / 60
        e = json.loads(run(args.blemish, "evaluate", folder + "/run", data, "--json"))
    return e["equalised"]["image_auroc"], e["equalised"]["f1_max"], e["aupro"], minutes, json.loads(out)["epochs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--blemish", default="target/release/blemish")
    parser.add_argument("--budget", default="3", help="minutes of each training that has a network")
    parser.add_argument("--epochs", type=int, help="epochs instead of minutes")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=";".join(VARIANTS), help="names, separated by semicolons")
    args = parser.parse_args()
    print("| variant | set | image AUROC, equalised | F1-max, equalised | AUPRO | minutes | epochs |\n|---|---|---|---|---|---|---|")
    for name in filter(None, args.only.split(";")):
        for data in args.data:
            figures = list(zip(*(trained(args, data, seed, VARIANTS[name]) for seed in args.seeds.split(","))))
            shown = [f"{statistics.mean(f):.3f} ({min(f):.3f} to {max(f):.3f})" for f in figures[:3]]
            row = [name, data.rstrip("/").split("/")[-1], *shown, f"{statistics.mean(figures[3]):.1f}", str(max(figures[4]))]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

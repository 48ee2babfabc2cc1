"""How the memory that `blemish train` needs grows with the number of images.

    python3 benches/memory.py target/release/blemish 100 1000 3000 [-- --set memory.prototypes=8]

Draws so many good images of one product of 256 x 256 pixels in a fixed pose, fits a detector on them, and prints the most memory
that the process held, and by how much more each further image takes; what follows `--` goes to `blemish train` (fewer prototypes
take less time, and as much memory an image). Needs NumPy and Pillow.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 256


def draw(seed: int) -> Image.Image:
    """A ring with a hole beside it, in a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.normal(0, 0.7, (2, 1, 1))
    ring = 1 / (1 + np.exp((np.abs(np.hypot(y, x) - 80) - 15) / 2))
    hole = 1 / (1 + np.exp((np.hypot(y - 30, x) - 12) / 2))
    level = 60 + 120 * ring + 60 * hole + rng.normal(0, 3, (SIDE, SIDE))
    return Image.fromarray(level.clip(0, 255).astype(np.uint8))


def peak(program: str, count: int, more: list[str]) -> tuple[float, float]:
    """MiB and seconds of a fit on so many images."""
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder, "good")
        good.mkdir()
        for i in range(count):
            draw(i).save(good / f"{i:05}.png", compress_level=1)
        start = time.monotonic()
        pid = subprocess.Popen([program, "train", good, "--out", Path(folder, "run"), "--quiet", *more], stdout=subprocess.DEVNULL).pid
        _, status, usage = os.wait4(pid, 0)
        if status:
            sys.exit(f"blemish train failed on {count} images")
        return usage.ru_maxrss / 1024, time.monotonic() - start


def main() -> None:
    own, _, further = "\0".join(sys.argv[1:]).partition("\0--\0")
    program, *counts = own.split("\0")
    print(f"{'images':>7} {'peak, MiB':>10} {'KiB an image more':>18} {'seconds':>8}")
    before = None
    for count in map(int, counts):
        most, seconds = peak(program, count, further.split("\0") if further else [])
        more = f"{1024 * (most - before[1]) / (count - before[0]):.0f}" if before else "-"
        print(f"{count:7} {most:10.0f} {more:>18} {seconds:8.0f}", flush=True)
        before = count, most


if __name__ == "__main__":
    main()

"""Draws surfaces with known defects, in the layout of MVTec AD: what methods for surfaces are tried on before real ones.

    python benches/surfaces.py OUT [--only leather,wood] [--lamp] [--seed 0]

Six surfaces of 256 x 256 pixels: 120 good images to fit on, 40 good ones and 12 of every kind of defect to test on. With
--lamp a lamp that stands still darkens all of them towards one side. Needs numpy and Pillow.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 256
TRAINING, GOOD, DEFECTIVE = 120, 40, 12
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(float)
FREQUENCY_Y = np.fft.fftfreq(SIZE)[:, None]
FREQUENCY_X = np.fft.rfftfreq(SIZE)[None, :]


def blur(plane, down, across=None):
    """Gaussian blur by standard deviations in pixels, periodic."""
    across = down if across is None else across
    window = np.exp(-2 * np.pi**2 * ((down * FREQUENCY_Y) ** 2 + (across * FREQUENCY_X) ** 2))
    return np.fft.irfft2(np.fft.rfft2(plane) * window, s=plane.shape)


def noise(rng, down, across=None):
    """Smooth noise of standard deviation 1."""
    plane = blur(rng.standard_normal((SIZE, SIZE)), down, across)
    return (plane - plane.mean()) / plane.std()


def coloured(grey, colour, tint):
    """RGB around a colour; `tint` is the direction in which the grey values move it."""
    return np.array(colour) + grey[..., None] * np.array(tint)


def leather(rng):
    bumps = np.abs(noise(rng, 2.2)) - 0.4 * np.abs(noise(rng, 5))
    return coloured(0.05 * bumps + 0.015 * noise(rng, 0.6) + 0.02 * noise(rng, 30), (0.42, 0.27, 0.17), (1.0, 0.8, 0.6))


def wood(rng):
    bend = 6 * noise(rng, 50, 14)
    rings = np.sin((X + bend) * 2 * np.pi / rng.uniform(17, 23) + rng.uniform(0, 6.3))
    grey = 0.035 * rings + 0.03 * noise(rng, 22, 0.7) + 0.012 * noise(rng, 0.6)
    return coloured(grey, (0.62, 0.45, 0.28), (1.0, 0.9, 0.75))


def weave(rng):
    x, y = X + 0.8 * noise(rng, 20) + rng.uniform(0, 10), Y + 0.8 * noise(rng, 20) + rng.uniform(0, 10)
    over = np.where(np.sin(np.pi * x / 8) * np.sin(np.pi * y / 8) > 0, np.cos(np.pi * x / 4), np.cos(np.pi * y / 4))
    return 0.5 + 0.09 * over + 0.03 * noise(rng, 0.8) + 0.02 * noise(rng, 3)


def stone(rng):
    specks = sum(level * (noise(rng, size) > cut) for level, size, cut in ((0.22, 1.6, 1.0), (-0.2, 2.2, 1.1), (-0.12, 1.1, 1.3)))
    return coloured(specks + 0.02 * noise(rng, 0.6), (0.55, 0.52, 0.5), (1.0, 0.97, 0.93))


def metal(rng):
    streaks = 0.05 * noise(rng, 0.7, 40) + 0.02 * noise(rng, 0.6, 5)
    return 0.55 + streaks + 0.012 * noise(rng, 0.5) + 0.02 * noise(rng, 40)


def cast(rng):
    pits = 0.05 * np.minimum(noise(rng, 1.2) + 1.6, 0)
    return 0.4 + 0.03 * noise(rng, 1.5) + 0.02 * noise(rng, 0.5) + 0.02 * noise(rng, 9) + pits


def walk(rng, length, wander):
    """Points of a line that wanders, `[n, 2]`, inside the image."""
    at, angle = rng.uniform(0.2, 0.8, 2) * SIZE, rng.uniform(0, 2 * np.pi)
    points = []
    for _ in range(int(length * 2)):
        points.append(at)
        angle += wander * rng.standard_normal()
        at = np.clip(at + 0.5 * np.array([np.sin(angle), np.cos(angle)]), 4, SIZE - 5)
    return np.array(points)


def near(points, width):
    """How strongly a line covers each pixel, 0 to 1."""
    plane = np.zeros((SIZE, SIZE))
    rows, columns = np.round(points).astype(int).T
    plane[rows, columns] = 1
    plane = blur(plane, width)
    return np.clip(plane / (0.6 * plane.max()), 0, 1)


def blob(rng, radius):
    """A ragged patch, 0 to 1 with a soft edge."""
    y, x = rng.uniform(0.15, 0.85, 2) * SIZE
    stretch, angle = rng.uniform(1, 1.8), rng.uniform(0, np.pi)
    u = (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)
    v = (Y - y) * np.cos(angle) - (X - x) * np.sin(angle)
    distance = np.hypot(u / stretch, v) + 0.25 * radius * noise(rng, 0.4 * radius)
    return np.clip((radius - distance) / 2 + 0.5, 0, 1)


def shaded(image, cover, value):
    if image.ndim == 3:
        return image + cover[..., None] * np.broadcast_to(np.array(value, float), 3)
    return image + cover * float(np.mean(value))


def mixed(image, other, cover):
    return image + (cover[..., None] if image.ndim == 3 else cover) * (other - image)


def stain(rng, image, _):
    cover = blob(rng, rng.uniform(9, 20))
    sign = rng.choice([-1, 1])
    return shaded(image, cover, sign * rng.uniform(0.05, 0.09) * rng.uniform(0.4, 1.2, 3)), cover > 0.5


def hole(rng, image, _):
    cover = blob(rng, rng.uniform(3, 6))
    return shaded(image, cover, -rng.uniform(0.12, 0.25)), cover > 0.5


def cut(rng, image, _):
    cover = near(walk(rng, rng.uniform(40, 80), 0.02), 0.9)
    return shaded(image, cover, rng.choice([-1, 1]) * rng.uniform(0.1, 0.18)), cover > 0.2


def crack(rng, image, _):
    points = walk(rng, rng.uniform(50, 110), 0.09)
    # It comes and goes; who outlines it does not mind.
    strength = 0.6 + 0.4 * np.clip(noise(rng, 6), -1.5, 1)
    return shaded(image, near(points, 0.9) * strength, -rng.uniform(0.1, 0.16)), near(points, 3) > 0.25


def rubbed(rng, image, _):
    cover = blob(rng, rng.uniform(14, 24))
    planes = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
    smooth = np.array([blur(p, 2.5) for p in planes])
    smooth = smooth.transpose(1, 2, 0) if image.ndim == 3 else smooth[0]
    return mixed(image, smooth, cover), cover > 0.5


def foreign(rng, image, draw):
    """The surface's own grain, turned and enlarged."""
    cover, other = blob(rng, rng.uniform(14, 24)), np.rot90(draw(rng))
    half = np.arange(SIZE) * 5 // 8
    return mixed(image, other[np.ix_(half, half)], cover), cover > 0.5


SURFACES = {"leather": leather, "wood": wood, "weave": weave, "stone": stone, "metal": metal, "cast": cast}
DEFECTS = {f.__name__: f for f in (stain, hole, cut, crack, rubbed, foreign)}


def lamp(image):
    light = 0.55 + 0.45 * np.exp(-((X - 60) ** 2 + (Y - 90) ** 2) / 2 / 130**2)
    return image * (light[..., None] if image.ndim == 3 else light)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default=",".join(SURFACES), help=f"of {', '.join(SURFACES)}")
    parser.add_argument("--lamp", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in args.only.split(","):
        draw = SURFACES[name]
        rng = np.random.default_rng([args.seed, *name.encode()])
        light = lamp if args.lamp else lambda image: image
        for part, count in (("train", TRAINING), ("test", GOOD)):
            for i in range(count):
                save(args.out / name / part / "good" / f"{i:03}.png", light(draw(rng)))
        for kind, spoil in DEFECTS.items():
            for i in range(DEFECTIVE):
                image, mask = spoil(rng, draw(rng), draw)
                save(args.out / name / "test" / kind / f"{i:03}.png", light(image))
                save(args.out / name / "ground_truth" / kind / f"{i:03}_mask.png", mask.astype(float))


if __name__ == "__main__":
    main()

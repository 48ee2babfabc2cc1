"""What a step of pre-training draws of its scenes, in numpy: functions of seed and step alone.

Masks, places and the amounts of light are distributed as those of `blemish pretrain`; the random numbers are others.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from scenes import Record

PATCH = 16
MASK_RATIO = 0.75
# Smallest side of a hidden block in patches; the largest is half the grid's.
BLOCK_MIN = 2
# Strides of the maps that are compared.
STRIDES = (16, 8, 4)
# Largest changes of light: of view B, and of view A in one scene of two.
LIGHT_B = {"brightness": 0.1, "contrast": 0.2, "gradient": 0.15, "gamma": 0.3, "blur": 0.25, "noise": 0.03}
LIGHT_A = {"brightness": 0.0, "contrast": 0.0, "gradient": 0.15, "gamma": 0.25, "blur": 0.2, "noise": 0.02}
# Largest relative change of one channel against the others in view B.
TINT = 0.1
# What a draw is for: part of its generator's key.
LIGHT, MASK, PLACES, NOISE, WEIGHTS = range(5)


def generator(seed: int, what: int, step: int, item: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, what, step, item])


@dataclass
class Places:
    """Rows of a level's maps [S * h * w]: good places in view A, the same ones in view B, defective ones in view A."""

    a: Tensor
    b: Tensor
    defective: Tensor
    same: Tensor  # [defective, good] bool: whether both are of the same scene


@dataclass
class Step:
    """What is drawn of a step, on the CPU; `arrays` has the scenes and, by scene, how their light changes."""

    step: int
    side: int
    scenes: int
    arrays: dict[str, Tensor]
    hidden: Tensor  # [S', N], 1 = hidden: of the first S' scenes
    places: list[Places]

    def pinned(self) -> "Step":
        """In memory that a GPU copies from beside its work."""
        arrays = {name: value.pin_memory() for name, value in self.arrays.items()}
        places = [Places(*(getattr(each, f.name).pin_memory() for f in fields(each))) for each in self.places]
        return replace(self, arrays=arrays, hidden=self.hidden.pin_memory(), places=places)


def draw_step(record: Record, step: int, seed: int, masked_share: float, places: int) -> Step:
    """Draws all of a step but its noise; `places` are compared at each level."""
    scenes, side = len(record.grey), record.side
    grid = side // PATCH
    shift = record.shift.astype(np.int64)
    corner_a, corner_b = np.maximum(-shift, 0), np.maximum(shift, 0)
    rng = generator(seed, LIGHT, step)
    arrays = {
        "image": record.image, "clean": record.clean, "mask": record.mask, "grey": record.grey,
        "corner_a": corner_a, "corner_b": corner_b, "changed": rng.random(scenes) < 0.5,
        "tint": (1 + TINT * rng.uniform(-1, 1, (scenes, 3))).astype(np.float32),
    }
    for view, largest in (("a", LIGHT_A), ("b", LIGHT_B)):
        arrays |= {f"{view}.{name}": value for name, value in draw_light(largest, scenes, rng).items()}
    masked = range(int(np.ceil(scenes * masked_share)))
    hidden = np.array([block_mask(grid, generator(seed, MASK, step, i)) for i in masked], np.float32)
    defect = np.stack([mask[y : y + side, x : x + side] for mask, (y, x) in zip(record.mask, corner_a)])
    found = [draw_places(defect, shift, stride, places, generator(seed, PLACES, step, stride)) for stride in STRIDES]
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return Step(step, side, scenes, tensors, torch.from_numpy(hidden.reshape(len(masked), grid * grid)), found)


def draw_light(largest: dict[str, float], scenes: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """By scene: gain, brightness, the slope of a plane of light [S, 2], exponent, blur and deviation of the noise."""
    either = {name: rng.uniform(-1, 1, scenes) * value for name, value in largest.items()}
    angle, slope = rng.uniform(0, 2 * np.pi, scenes), np.abs(either["gradient"])
    drawn = {
        "gain": 1 + either["contrast"], "brightness": either["brightness"],
        "slope": 2 * slope[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1),
        "gamma": np.exp(either["gamma"]), "blur": np.abs(either["blur"]), "noise": np.abs(either["noise"]),
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def block_mask(grid: int, rng: np.random.Generator) -> np.ndarray:
    """[grid * grid], 1 = hidden: random rectangles, the last one cut to the exact count."""
    count = min(max(round(grid * grid * MASK_RATIO), 1), grid * grid - 1)
    largest = max(grid // 2, 1)
    hidden, taken = np.zeros((grid, grid), np.float32), 0
    while taken < count:
        height, width = rng.integers(min(BLOCK_MIN, largest), largest, 2, endpoint=True)
        top, left = rng.integers(0, grid - height, endpoint=True), rng.integers(0, grid - width, endpoint=True)
        block = hidden[top : top + height, left : left + width]
        new = np.argwhere(block == 0)[: count - taken]
        block[tuple(new.T)] = 1
        taken += len(new)
    return hidden.ravel()


def draw_places(defect: np.ndarray, shift: np.ndarray, stride: int, count: int, rng: np.random.Generator) -> Places:
    """`count` good places, as many of each scene as there are, and a quarter as many defective ones.

    A place is good where none of its pixels is defective and view B shows it too, defective where an eighth of them is.
    """
    scenes, side, _ = defect.shape
    cells = side // stride
    pixels = defect.reshape(scenes, cells, stride, cells, stride).sum((2, 4), dtype=np.int64).reshape(scenes, -1)
    moved = np.sign(shift) * ((2 * np.abs(shift) + stride) // (2 * stride))
    at = np.stack(np.divmod(np.arange(cells * cells), cells), 1)
    there = at[None] - moved[:, None]
    inside = ((there >= 0) & (there < cells)).all(2)
    each = -(-count // scenes)
    scene, place = choose((pixels == 0) & inside, each, rng)
    bad_scene, bad = choose(8 * pixels >= stride * stride, -(-each // 4), rng)
    twin = there[scene, place]
    rows = (scene * cells**2 + place, scene * cells**2 + twin[:, 0] * cells + twin[:, 1], bad_scene * cells**2 + bad)
    return Places(*map(torch.from_numpy, rows), torch.from_numpy(bad_scene[:, None] == scene[None]))


def choose(valid: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of up to `count` of the true values of every row of `valid`, any of them."""
    keys = np.where(valid, rng.random(valid.shape), 2.0)
    count = min(count, valid.shape[1])
    columns = np.argpartition(keys, count - 1, 1)[:, :count]
    rows = np.broadcast_to(np.arange(len(valid))[:, None], columns.shape)
    kept = np.take_along_axis(keys, columns, 1) < 1
    return rows[kept], columns[kept]

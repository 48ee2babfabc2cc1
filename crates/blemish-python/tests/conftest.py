"""Images of 64 x 64 pixels: a bright disc on a ramp, with noise; defective ones have a dark bar."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import blemish

SIDE = 64


def picture(seed: int, defective: bool = False) -> npt.NDArray[np.uint8]:
    """[64, 64, 3], uint8."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    level = np.where((columns - 32) ** 2 + (rows - 30) ** 2 < 18**2, 180, 60 + columns // 2)
    if defective:
        level[28:32, 26:40] = 60
    channels = np.stack([level, level // 2, 40 + rows], axis=-1)
    noise = np.random.default_rng(seed).integers(0, 8, channels.shape)
    return (channels + noise).astype(np.uint8)


def interrupted(script: str, started: str, seconds: float) -> str:
    """What a script prints after `started` if Ctrl-C comes so many seconds after that."""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None and child.stdout.readline() == f"{started}\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    return out


@pytest.fixture(scope="session")
def good() -> list[npt.NDArray[np.uint8]]:
    return [picture(seed) for seed in range(12)]


@pytest.fixture(scope="session")
def detector(good: list[npt.NDArray[np.uint8]]) -> blemish.Detector:
    return blemish.Detector.fit(good, data__image_size=[SIDE, SIDE], memory={"use": "always"})


@pytest.fixture(scope="session")
def grey_detector(good: list[npt.NDArray[np.uint8]]) -> blemish.Detector:
    return blemish.Detector.fit([image[:, :, 0] for image in good], data__image_size=[SIDE, SIDE], memory__use="always")


def write_bmp(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """A 24-bit BMP of [H, W, 3], whose rows must be a multiple of 4 bytes."""
    height, width = image.shape[:2]
    assert width * 3 % 4 == 0
    header = b"BM" + (54 + image.size).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    fields = [(40, 4), (width, 4), (height, 4), (1, 2), (24, 2), (0, 4), (image.size, 4), (0, 4), (0, 4), (0, 4), (0, 4)]
    header += b"".join(value.to_bytes(size, "little") for value, size in fields)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + image[::-1, :, ::-1].tobytes())


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the layout of MVTec AD: part/{train/good,test/good,test/bar,ground_truth/bar}."""
    root = tmp_path_factory.mktemp("data")
    part = root / "part"
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[28:32, 26:40] = 255
    for seed in range(12):
        write_bmp(part / f"train/good/{seed:02}.bmp", picture(seed))
    for seed in range(4):
        write_bmp(part / f"test/good/{seed}.bmp", picture(100 + seed))
        write_bmp(part / f"test/bar/{seed}.bmp", picture(200 + seed, defective=True))
        write_bmp(part / f"ground_truth/bar/{seed}_mask.bmp", mask)
    return root

"""As crates/blemish-c/examples/score.rs, through Python: score.py MODEL FILE..."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

import blemish


def bits(value: float) -> str:
    return struct.pack(">f", value).hex()


def main(model: str, files: list[str]) -> None:
    detector = blemish.Detector.load(model)
    for path in map(Path, files):
        if path.suffix == ".raw":
            width, height, kind, stride = map(int, path.stem.split("-"))
            channels, dtype = (1 if kind in (1, 4) else 3), np.dtype(np.uint8 if kind <= 3 else np.uint16)
            # Rows apart, words at odd addresses: NumPy knows strides.
            strides = (stride, channels * dtype.itemsize, dtype.itemsize)
            image: Any = np.ndarray((height, width, channels), dtype, path.read_bytes(), 0, strides)
            prediction = detector.predict(image, order="bgr" if kind in (3, 6) else "rgb")
        else:
            prediction = detector.predict(path)
        state = 0xCBF29CE484222325
        for byte in prediction.map.astype("<f4").tobytes():
            state = (state ^ byte) * 0x100000001B3 % 2**64
        size = "x".join(map(str, prediction.map.shape))
        found = [bits(prediction.score), bits(prediction.threshold), str(int(prediction.is_defective))]
        print(path.stem, *found, len(prediction.regions), size, f"{state:016x}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

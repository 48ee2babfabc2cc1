"""What must not be done ends in an exception, or works: never in a crash, a hang or a wrong score."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np
import numpy.typing as npt
import pytest
from conftest import interrupted, picture

import blemish
from blemish import Detector

SETTINGS: dict[str, Any] = {"data__image_size": [64, 64], "memory__use": "always"}
IMAGE = picture(800, defective=True)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def test_containers_that_hold_themselves(detector: Detector, good: list[npt.NDArray[np.uint8]]) -> None:
    images: Any = [IMAGE]
    images.append(images)
    with pytest.raises(blemish.ImageError, match="one list"):
        detector.predict(images)
    settings: Any = {"fpr": 0.01}
    settings["score"] = settings
    sizes: Any = []
    sizes.append(sizes)
    for wrong in [settings, {"data__image_size": sizes}]:
        with pytest.raises(blemish.ConfigError):
            Detector.fit(good, **wrong)


def test_more_pixels_than_are_meant(detector: Detector, good: list[npt.NDArray[np.uint8]]) -> None:
    """100 million are the limit: four bytes for each would be asked for. Nothing of these arrays is in memory yet."""
    images: list[Any] = [np.zeros((10_001, 10_000), np.uint8), np.zeros((2, 50_000_001), np.uint16)]
    for image in images:
        with pytest.raises(blemish.ImageError, match="max_pixels"):
            detector.predict(image)
    floats: Any = np.zeros((64, 64), np.float32)
    small = Detector.fit(good, data__max_pixels=64 * 64, **SETTINGS)
    small.predict(floats)
    images = [np.zeros((64, 65), np.float32), np.zeros((65, 64, 3), np.uint8)]
    for image in images:
        with pytest.raises(blemish.ImageError, match="max_pixels"):
            small.predict(image)
    with pytest.raises(blemish.ImageError, match="max_pixels"):
        Detector.fit(good, data__max_pixels=64 * 64 - 1, **SETTINGS)


def test_broadcast_and_masked_arrays(detector: Detector) -> None:
    """A view of one pixel as many, which NumPy copies; pixels that a mask hides are not to be seen."""
    flat = np.broadcast_to(np.uint8(7), (64, 64, 3))
    assert flat.strides == (0, 0, 0)
    assert detector.predict(flat).score == detector.predict(flat.copy()).score
    with pytest.raises(blemish.ImageError, match="filled"):
        detector.predict(np.ma.masked_less(IMAGE, 50))


def test_paths_that_are_none(detector: Detector) -> None:
    for path in ["", "\0", "a\0b"]:
        with pytest.raises((OSError, ValueError)):
            detector.predict(path)
        with pytest.raises((OSError, ValueError)):
            Detector.load(path)


def test_models_that_are_cut_short(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    for length in range(0, len(whole), 1000):
        with pytest.raises(blemish.ModelError):
            Detector.from_bytes(whole[:length])
    for wrong in [bytearray(whole), memoryview(whole), "text", None]:
        argument: Any = wrong
        with pytest.raises(TypeError):
            Detector.from_bytes(argument)


def test_detectors_are_neither_copied_nor_pickled(detector: Detector) -> None:
    """They are shared between threads; another process loads the model file."""
    prediction = detector.predict(IMAGE)
    doing: list[Callable[[Any], object]] = [copy.copy, copy.deepcopy, pickle.dumps]
    for do in doing:
        for value in [detector, prediction]:
            with pytest.raises(TypeError, match="pickle"):
                do(value)
    make: Any = Detector
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        type("Own", (make,), {})


def test_answers_outlive_their_detector(good: list[npt.NDArray[np.uint8]]) -> None:
    prediction = Detector.fit(good, **SETTINGS).predict(IMAGE)
    assert prediction.map.max() > 0 and prediction.pred_mask.any()
    prediction.map[:] = 0
    assert not prediction.map.any()


def test_two_fits_at_once(good: list[npt.NDArray[np.uint8]]) -> None:
    with ThreadPoolExecutor(2) as pool:
        fitted = list(pool.map(lambda _: Detector.fit(good, **SETTINGS), range(2)))
    assert len({detector.predict(IMAGE).score for detector in fitted}) == 1


def test_thresholds_change_while_others_predict(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model")
    own, expected = Detector.load(tmp_path / "model"), detector.predict(IMAGE).score
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            own.set_threshold(1.0)
            own.set_fpr(0.05)
            own.threads = (own.threads + 1) % 3

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert {p.score for p in pool.map(own.predict, [IMAGE] * 40)} == {expected}
    finally:
        done.set()
        thread.join()


def score_of(detector: Detector) -> float:
    return detector.predict(IMAGE).score


@forks
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_processes_made_by_fork(detector: Detector, good: list[npt.NDArray[np.uint8]], threads: int) -> None:
    """The child has none of the parent's threads, which the library has started by then."""
    detector.threads = threads
    try:
        expected = score_of(detector)
        context: Any = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()

        def work() -> None:
            detector.threads = threads
            grandchild = context.Process(target=lambda: queue.put(score_of(detector)))
            queue.put(score_of(detector))
            queue.put(Detector.fit(good, **SETTINGS).predict(IMAGE).score)
            grandchild.start()
            grandchild.join()

        child = context.Process(target=work)
        child.start()
        child.join(120)
        hung = child.is_alive()
        child.kill()
        assert not hung and child.exitcode == 0
        assert [queue.get() for _ in range(3)] == [expected] * 3
        assert score_of(detector) == expected
    finally:
        detector.threads = 0


# A script's good images: stripes with noise.
STRIPES = """
import signal
# A shell's background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np, blemish

def stripes(seed, side=64):
    level = np.arange(side) % 16 * 10 + 50
    return (level + np.random.default_rng(seed).integers(0, 20, (side, side))).astype(np.uint8)

good = [stripes(seed) for seed in range(12)]
"""

ENDING = STRIPES + """
import sys, threading, time
what = sys.argv[1]
detector = blemish.Detector.fit(good, data__image_size=[64, 64])
many = [stripes(seed, 256) for seed in range(100)]
busy = threading.Event()

def work():
    while True:
        busy.set()
        if what == "fit":
            blemish.Detector.fit(many, memory__use="always", progress=lambda *_: None)
        else:
            detector.predict(good)

for _ in range(1 if what == "fit" else 4):
    threading.Thread(target=work, daemon=True).start()
busy.wait()
time.sleep(0.3)
print("ending", flush=True)
"""


@pytest.mark.parametrize("what", ["predict", "fit"])
def test_the_interpreter_ends_while_threads_work(what: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING, what], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ending\n", "")


PREDICTING = STRIPES + """
detector = blemish.Detector.fit(good, data__image_size=[64, 64])
print("predicting", flush=True)
try:
    detector.predict(good * 100000)
    print("ended")
except KeyboardInterrupt:
    print("interrupted", detector.predict(good[0]).verdict)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_batch() -> None:
    assert interrupted(PREDICTING, "predicting", 1).startswith("interrupted")

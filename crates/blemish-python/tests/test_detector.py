"""Fitting, files, settings, thresholds, evaluation, errors, threads, Ctrl-C."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import interrupted, picture

import blemish
from blemish import Detector

SETTINGS: dict[str, Any] = {"data__image_size": [64, 64], "memory__use": "always"}


def test_a_model_file_gives_the_same_scores(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "part.blemish.safetensors"
    detector.save(path)
    image = picture(300, defective=True)
    expected = detector.predict(image)
    for loaded in [Detector.load(path), Detector.load(str(path)), Detector.from_bytes(path.read_bytes())]:
        found = loaded.predict(image)
        assert found.score == expected.score and np.array_equal(found.map, expected.map)
        assert loaded.threshold == detector.threshold and loaded.image_size == (64, 64)
    assert "64 x 64" in repr(detector)
    assert detector.config["data"]["image_size"] == [64, 64]
    assert {"path", "score", "left_out"} <= detector.suspected_outliers[0].keys()


def test_a_folder_paths_and_arrays_fit_the_same(dataset: Path) -> None:
    folder = dataset / "part/train/good"
    paths = sorted(folder.iterdir())
    arrays = [picture(seed) for seed in range(12)]
    image = picture(301, defective=True)
    def scores(ways: list[Any]) -> set[float]:
        return {Detector.fit(images, **SETTINGS).predict(image).score for images in ways}

    of_files = scores([str(folder), folder, paths, [str(p) for p in paths], dataset / "part"])
    of_arrays = scores([arrays, np.stack(arrays)])
    assert len(of_files) == len(of_arrays) == 1
    # Folds follow from the names of files, or from the pixels of arrays: the calibration differs a little.
    assert of_arrays.pop() == pytest.approx(of_files.pop(), rel=0.02)


def test_settings_in_every_notation(good: list[npt.NDArray[np.uint8]]) -> None:
    ways: list[dict[str, Any]] = [
        {"seed": 3, "score__fpr": 0.01, **SETTINGS},
        {"seed": np.int64(3), "score": {"fpr": np.float32(0.01)}, "data": {"image_size": (64, 64)}, "memory": {"use": "always"}},
        {"seed": 3, "score.fpr": 0.01, "data.image_size": [64, 64], "memory.use": "always"},
    ]
    configs = [Detector.fit(good, **way).config for way in ways]
    assert configs[0]["seed"] == 3 and configs[0]["score"]["fpr"] == 0.01
    assert configs[2] == configs[0] and configs[1]["score"]["fpr"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sead": 1}, "sead"),
        ({"score__fpr": 2.0}, "score.fpr"),
        ({"score": {"fpr": "much"}}, "invalid type"),
        ({"seed": object()}, "seed"),
        ({"data__image_size": [63, 64]}, "image_size"),
        ({"score": 1}, "score.fpr"),
        ({"a=b": 1}, "a=b"),
        ({"preset": "heavy"}, "heavy"),
    ],
)
def test_settings_that_do_not_exist_are_named(good: list[npt.NDArray[np.uint8]], settings: Any, said: str) -> None:
    with pytest.raises(blemish.ConfigError, match=said) as raised:
        Detector.fit(good, **settings)
    assert isinstance(raised.value, ValueError)


def test_images_that_cannot_be_fitted_on(good: list[npt.NDArray[np.uint8]], tmp_path: Path) -> None:
    images: Any
    for images, kind in [
        ([], blemish.DataError),
        (good[0], blemish.DataError),
        ([good[0], tmp_path / "a.png"], blemish.DataError),
        (tmp_path, blemish.DataError),
        ([tmp_path / "none.png"], FileNotFoundError),
        ([good[0].astype(np.int64)], blemish.ImageError),
    ]:
        with pytest.raises(kind):
            Detector.fit(images, **SETTINGS)


def test_files_that_cannot_be_used(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        Detector.load(tmp_path / "none")
    assert raised.value.filename == str(tmp_path / "none")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(blemish.ModelError, match="broken.png"):
        Detector.load(broken)
    with pytest.raises(blemish.ModelError):
        Detector.from_bytes(b"")
    with pytest.raises(blemish.ImageError, match="broken.png"):
        detector.predict(broken)
    with pytest.raises(FileNotFoundError):
        detector.predict(str(tmp_path / "none.png"))
    with pytest.raises(OSError):
        detector.save(tmp_path / "no/folder/model")
    loading: Any = Detector.load
    with pytest.raises(TypeError):
        loading(7)


def test_thresholds(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model")
    own = Detector.load(tmp_path / "model")
    first = own.threshold
    own.set_threshold(1e9)
    assert own.threshold == 1e9 and not own.predict(picture(302, defective=True)).is_defective
    own.set_fpr(0.05)
    assert own.threshold == first
    own.set_fpr(0.001)
    assert own.threshold > first
    for wrong in [0.0, 1.0, float("nan")]:
        with pytest.raises(blemish.ConfigError):
            own.set_fpr(wrong)
    with pytest.raises(blemish.ConfigError):
        own.set_threshold(float("inf"))


def test_evaluation(detector: Detector, dataset: Path) -> None:
    part = dataset / "part"
    whole = detector.evaluate(part)
    assert whole["image_auroc"] == 1.0 and whole["detections"]["count"] == 4 and whole["aupro"] > 0.5
    assert detector.evaluate(dataset, category="part")["image_auroc"] == whole["image_auroc"]
    folders = detector.evaluate(good=part / "test/good", defective=part / "test/bar", masks=part / "ground_truth/bar")
    assert (folders["image_auroc"], folders["aupro"]) == (whole["image_auroc"], whole["aupro"])
    images = [picture(100 + i) for i in range(4)] + [picture(200 + i, defective=True) for i in range(4)]
    arrays = detector.evaluate(images, labels=[0] * 4 + [True] * 4)
    for name in ["image_auroc", "f1", "f1_max", "false_alarms", "detections", "threshold"]:
        assert arrays[name] == pytest.approx(whole[name]), name
    assert detector.evaluate(images[:4], labels=[False] * 4)["image_auroc"] is None
    wrong: list[dict[str, Any]] = [{}, {"dataset": images, "labels": [1]}, {"dataset": part / "train/good"}, {"good": part}]
    for arguments in wrong:
        with pytest.raises(blemish.DataError):
            detector.evaluate(**arguments)
    with pytest.raises((blemish.DataError, FileNotFoundError)):
        detector.evaluate(dataset / "nothing")


def test_many_threads_give_what_one_gives(detector: Detector) -> None:
    images = [picture(700 + i, defective=i % 2 == 0) for i in range(8)]
    expected = [detector.predict(image) for image in images]
    try:
        for threads in [0, 1, 3]:
            detector.threads = threads
            assert detector.threads == threads
            with ThreadPoolExecutor(6) as pool:
                found = list(pool.map(detector.predict, images * 4))
            assert all(f.score == e.score and np.array_equal(f.map, e.map) for f, e in zip(found, expected * 4))
    finally:
        detector.threads = 0
    with pytest.raises(blemish.ConfigError):
        detector.threads = 10**6
    with pytest.raises(OverflowError):
        detector.threads = -1


def test_other_threads_run_while_one_predicts(detector: Detector) -> None:
    """The interpreter's lock is released: a counting thread is not held up."""
    count, done = 0, threading.Event()

    def counting() -> None:
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=counting)
    thread.start()
    big = np.zeros((3000, 3000, 3), np.uint8)
    before = count
    detector.predict(big)
    during = count - before
    done.set()
    thread.join()
    assert during > 10


def test_progress_is_told_and_may_stop_the_fit(good: list[npt.NDArray[np.uint8]]) -> None:
    told: list[tuple[str, int, int]] = []
    Detector.fit(good, progress=lambda stage, done, total: told.append((stage, done, total)), **SETTINGS)
    assert told and all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in told)

    def stop(stage: str, done: int, total: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        Detector.fit(good, progress=stop, **SETTINGS)


FITTING = """
import signal
# A shell's background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys, numpy as np, blemish
images = np.random.default_rng(0).integers(0, 255, (300, 256, 256, 3), np.uint8)
print("fitting", flush=True)
try:
    blemish.Detector.fit(images, memory__use="always", lines="always", texture="always")
    print("ended")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_fit() -> None:
    assert interrupted(FITTING, "fitting", 1.5) == "interrupted\n"


def test_version_and_docs() -> None:
    assert blemish.__version__.count(".") == 2
    assert "[N, H, W, C]" in str(Detector.fit.__doc__) and "[H, W, C]" in str(Detector.predict.__doc__)
    assert "[H, W]" in str(blemish.Prediction.map.__doc__)

"""Whatever array an image comes in gives the same score, or an exception that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import picture

import blemish
from blemish import Detector, ImageError, Prediction

IMAGE = picture(500, defective=True)


def same(a: Prediction, b: Prediction) -> bool:
    return a.score == b.score and np.array_equal(a.map, b.map)


def test_a_prediction_says_what_was_found(detector: Detector) -> None:
    good, bad = detector.predict(picture(501)), detector.predict(IMAGE)
    assert not good.is_defective and good.verdict == "good" and good.regions == [] and good.reason == "normal"
    assert bad.is_defective and bad.verdict == "defective" and bad.score >= bad.threshold > good.score
    assert bad.reason == "anomaly" and bad.inspected == 1.0 and bad.review_threshold is None
    region = bad.regions[0]
    assert region.x < 40 and region.x + region.width > 26 and region.y < 32 and region.y + region.height > 28
    assert bad.map.shape == (64, 64) and bad.map.dtype == np.float32 and bad.map.flags.owndata is False
    assert (bad.pred_score, bad.pred_label) == (bad.score, True) and bad.anomaly_map is bad.map
    assert bad.pred_mask.dtype == np.bool_ and bad.pred_mask.shape == (64, 64) and bad.pred_mask[30, 33]
    assert not good.pred_mask.any() and good.pred_label is False
    assert bad.image_path is None and "defective" in repr(bad) and "Region(x=" in repr(region)
    assert region == bad.regions[0]


def test_layouts_give_the_same(detector: Detector) -> None:
    expected = detector.predict(IMAGE)
    read_only = IMAGE.copy()
    read_only.flags.writeable = False
    padded = np.zeros((70, 80, 3), np.uint8)
    padded[3:67, 5:69] = IMAGE
    twice = np.repeat(IMAGE, 2, axis=1)
    batch = np.stack([picture(1), IMAGE])
    layouts: list[npt.NDArray[np.uint8]] = [
        read_only,
        padded[3:67, 5:69],
        np.asfortranarray(IMAGE),
        twice[:, ::2],
        IMAGE[::-1][::-1],
        IMAGE[::-1, ::-1].copy()[::-1, ::-1],
        IMAGE.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        batch[1],
        np.frombuffer(IMAGE.tobytes(), np.uint8).reshape(IMAGE.shape),
    ]
    for image in layouts:
        assert same(detector.predict(image), expected)
    assert same(detector.predict(IMAGE[:, :, ::-1], order="bgr"), expected)
    assert same(detector.predict(IMAGE[:, :, ::-1].copy(), order="bgr"), expected)


def test_fortran_order_is_not_taken_for_rows(detector: Detector) -> None:
    wide = np.concatenate([IMAGE, picture(9)], axis=1)
    assert same(detector.predict(np.asfortranarray(wide)), detector.predict(wide))


def test_depths_give_nearly_the_same(detector: Detector) -> None:
    expected = detector.predict(IMAGE)
    # 257 spreads 0..255 over 0..65535; both divide to the nearest float32.
    words = IMAGE.astype(np.uint16) * 257
    depths: list[Any] = [
        words,
        np.asfortranarray(words),
        words[::-1][::-1],
        IMAGE.astype(np.float32) / 255,
        IMAGE.astype(np.float64) / 255,
        np.asfortranarray(IMAGE.astype(np.float32) / 255),
    ]
    for image in depths:
        assert detector.predict(image).score == pytest.approx(expected.score, rel=1e-4)
    floats = IMAGE[:, :, ::-1].astype(np.float32) / 255
    assert same(detector.predict(floats, order="bgr"), detector.predict(floats[:, :, ::-1].copy()))


def test_words_at_odd_addresses(detector: Detector) -> None:
    words = IMAGE.astype(np.uint16) * 257
    odd = np.frombuffer(b"x" + words.tobytes(), np.uint16, offset=1).reshape(words.shape)
    assert not odd.flags.aligned
    assert same(detector.predict(odd), detector.predict(words))
    rows = np.ndarray(words.shape, np.uint16, np.pad(words.view(np.uint8).reshape(64, -1), ((0, 0), (0, 1))).tobytes(), 0, (385, 6, 2))
    assert same(detector.predict(rows), detector.predict(words))


def test_grey_and_colour(detector: Detector, grey_detector: Detector) -> None:
    assert (detector.channels, grey_detector.channels) == (3, 1)
    grey = np.ascontiguousarray(IMAGE[:, :, 0])
    expected = grey_detector.predict(grey)
    assert expected.is_defective
    assert same(grey_detector.predict(grey[:, :, None]), expected)
    assert same(grey_detector.predict(np.repeat(grey[:, :, None], 3, axis=2)), expected)
    assert detector.predict(grey).map.shape == (64, 64)


def test_batches_give_a_list_in_order(detector: Detector) -> None:
    images = [picture(600 + i, defective=i % 3 == 0) for i in range(20)]
    single = [detector.predict(image) for image in images]
    stacked = np.stack(images)
    batches: list[Any] = [images, tuple(images), stacked, np.asfortranarray(stacked), stacked[::-1][::-1]]
    for batch in batches:
        found: Any = detector.predict(batch)
        assert all(map(same, found, single)) and len(found) == len(images)
    assert detector.predict([]) == []
    one: Any = detector.predict(np.stack(images[:1]))
    assert same(one[0], single[0])


def test_anything_with_the_array_interface(detector: Detector) -> None:
    class Frame:
        def __init__(self, image: Any) -> None:
            self.__array_interface__ = image.__array_interface__
            self.image = image

    frame: Any = Frame(IMAGE)
    assert same(detector.predict(frame), detector.predict(IMAGE))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE.astype(np.int32), "dtype"),
        (IMAGE.astype(bool), "dtype"),
        (IMAGE.astype(np.complex64), "dtype"),
        (IMAGE.astype(">u2"), ">u2"),
        (IMAGE.astype(object), "dtype"),
        (IMAGE.astype(np.float32), "from 0 to 1"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.full((8, 8), -0.01, np.float32), "from 0 to 1"),
        (np.zeros((0, 64, 3), np.uint8), "no pixels"),
        (np.zeros((64, 0), np.uint16), "no pixels"),
        (np.zeros((64, 64, 0), np.uint8), "channels"),
        (np.zeros((64, 64, 2), np.uint8), "channels"),
        (np.zeros((64, 64, 4), np.uint8), "[..., :3]"),
        (np.zeros((3, 64, 64), np.uint8), "transpose(1, 2, 0)"),
        (np.zeros((2, 3, 64, 64), np.uint8), "channels"),
        (np.zeros(64, np.uint8), "[H, W]"),
        (np.zeros((), np.uint8), "[H, W]"),
        (np.zeros((1, 1, 1, 1, 1), np.uint8), "[H, W]"),
        (None, "NoneType"),
        (7, "int"),
        ([[IMAGE]], "one list"),
    ],
)
def test_what_is_no_image_is_refused(detector: Detector, image: Any, said: str) -> None:
    with pytest.raises(ImageError) as raised:
        detector.predict(image)
    assert said in str(raised.value)
    assert isinstance(raised.value, (blemish.BlemishError, ValueError))


def test_an_unknown_order_is_refused(detector: Detector) -> None:
    order: Any = "gbr"
    with pytest.raises(blemish.ConfigError, match="order"):
        detector.predict(IMAGE, order=order)

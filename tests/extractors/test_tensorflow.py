"""Batches, padding, normalising and checks, on a network anyone can compute: the mean colour."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.joint import NETWORK_BATCH, JointExtractor
from imgsearch_kit.extractors.tensorflow import tensorflow, traced
from imgsearch_kit.records import ExtractorSpec


@pytest.fixture
def colours():
    """Two extractors in one pass, mean and maximum of the colours, and the batch sizes they were traced for."""
    tf = tensorflow()
    batches = []

    def forward(pixels):
        batches.append(pixels.shape[0])
        values = tf.cast(pixels, tf.float32)
        return tf.reduce_mean(values, (1, 2)), tf.reduce_max(values, (1, 2))

    return JointExtractor([ExtractorSpec("mean", 3, side=2), ExtractorSpec("max", 3, side=2)], traced(forward)), batches


def plain(*rgb):
    return np.tile(np.array(rgb, np.uint8), (2, 2, 1))


def test_vectors_have_unit_norm_and_the_order_of_the_pictures(colours):
    vectors = colours[0].extract(np.stack([plain(3, 4, 0), plain(0, 0, 9)]))
    assert list(vectors) == ["mean", "max"]
    np.testing.assert_allclose(vectors["mean"], [[0.6, 0.8, 0], [0, 0, 1]], rtol=1e-6)
    assert vectors["mean"].dtype == np.float32
    assert vectors["mean"].flags.c_contiguous


@pytest.mark.parametrize("count", [0, 1, 3, NETWORK_BATCH, NETWORK_BATCH + 1, 2 * NETWORK_BATCH + 5])
def test_any_number_of_pictures(colours, count):
    pixels = np.random.default_rng(count).integers(1, 256, (count, 2, 2, 3), dtype=np.uint8)
    expected = pixels.mean((1, 2)).reshape(count, 3)
    vectors = colours[0].extract(pixels)["mean"]
    assert vectors.shape == (count, 3)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)


def test_few_batch_shapes_are_traced_and_one_picture_stays_one(colours):
    joint, batches = colours
    joint.extract(np.ones((1, 2, 2, 3), np.uint8))
    assert batches == [1]
    for count in range(1, 3 * NETWORK_BATCH):
        joint.extract(np.ones((count, 2, 2, 3), np.uint8))
    assert sorted(batches) == [1, 2, 4, 8, 16]


def test_a_black_picture_is_refused_by_row(colours):
    pixels = np.stack([plain(1, 2, 3), plain(0, 0, 0)])
    with pytest.raises(BadQuery, match=r"mean makes no valid vector of row 1 of 2: its norm is 0"):
        colours[0].extract(pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_refused_by_row(value):
    tf = tensorflow()
    joint = JointExtractor(
        [ExtractorSpec("broken", 2, side=2)],
        traced(lambda pixels: [tf.where(pixels[:, 0, 0, :2] > 9, tf.constant(value, tf.float32), 1.0)]),
    )
    with pytest.raises(BadQuery, match=r"row 2 of 3: its norm is (nan|inf)"):
        joint.extract(np.stack([plain(1, 1, 1), plain(9, 9, 9), plain(10, 10, 10)]))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((1, 2, 2, 3), np.float32), "Pixels must be a uint8 array.*these are float32"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"shape \(n, 2, 2, 3\); these have \(1, 4, 4, 3\)"),
        (np.zeros((2, 2, 3), np.uint8), r"these have \(2, 2, 3\)"),
        (np.zeros((1, 2, 2, 4), np.uint8), r"these have \(1, 2, 2, 4\)"),
        ([[1]], "these are list"),
    ],
)
def test_other_pixels_are_refused_with_both_values(colours, pixels, message):
    with pytest.raises(BadQuery, match=message):
        colours[0].extract(pixels)


def test_threads_get_their_own_answers(colours):
    pictures = [np.stack([plain(i, 255 - i, j) for j in range(1 + i % 20)]) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = [vectors["mean"] for vectors in pool.map(colours[0].extract, pictures)]
    for picture, answer in zip(pictures, answers, strict=True):
        expected = picture[:, 0, 0].astype(float)
        np.testing.assert_allclose(answer, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)


def test_tensorflow_starts_without_a_word_and_other_words_get_through():
    code = """if True:
        import os, sys
        from imgsearch_kit.extractors import tensorflow as engine
        assert "tensorflow" not in sys.modules
        with engine._without_log_lines():
            os.write(2, b"I0000 00:00:1795590785.008575 9066 port.cc:153] oneDNN is on\\nkept\\n")
        engine.tensorflow()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "kept\n")


def test_threads_that_ask_for_tensorflow_at_once_leave_standard_error_as_it_was():
    code = """if True:
        import os
        from concurrent.futures import ThreadPoolExecutor
        from imgsearch_kit.extractors import tensorflow as engine
        with ThreadPoolExecutor(4) as pool:
            modules = list(pool.map(lambda _: engine.tensorflow(), range(4)))
        assert len(set(modules)) == 1
        os.write(2, b"still here\\n")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "still here\n")

"""A whole VGG16 with random weights, as Keras saves it."""

from __future__ import annotations

import pytest

from imgsearch_kit.extractors.tensorflow import tensorflow


@pytest.fixture(scope="session")
def random_vgg16(tmp_path_factory):
    """Keras's VGG16 with its top and random weights, and the .h5 file it was saved in (553 MB, removed at the end)."""
    tensorflow()
    import keras

    keras.utils.set_random_seed(16)
    model = keras.applications.VGG16(weights=None, include_top=True)
    path = tmp_path_factory.mktemp("vgg16") / "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    model.save(path)
    yield model, path
    path.unlink()

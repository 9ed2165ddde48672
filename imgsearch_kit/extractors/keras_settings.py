"""Keras on TensorFlow and with its published settings, whatever its variables and its ``keras.json`` say."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.extractors.tensorflow import ENGINE, tensorflow
from imgsearch_kit.files import home_folder


def keras() -> ModuleType:
    """Keras, imported for TensorFlow; of its variables only ``KERAS_HOME``, its folder, has an effect.

    :raises BadQuery: when its ``keras.json`` cannot be used, or it was imported earlier for another backend.
    """
    tensorflow()
    if "keras" not in sys.modules:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("KERAS_")}
        os.environ |= {name: hidden[name] for name in ("KERAS_HOME",) if name in hidden}
        os.environ["KERAS_BACKEND"] = ENGINE
        try:
            import keras  # noqa: F401
        except Exception as error:  # of many kinds, by what the file holds
            settings = f"{os.environ.get('KERAS_HOME') or home_folder() / '.keras'}/keras.json"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadQuery(f"Keras cannot be loaded ({reason}). Correct or delete {settings}.") from error
        finally:
            del os.environ["KERAS_BACKEND"]
            os.environ |= hidden
    loaded = sys.modules["keras"]
    if (backend := loaded.config.backend()) != ENGINE:
        raise BadQuery(
            f"Keras is loaded with the backend {backend} in this program, and the kit needs {ENGINE}. Set "
            f"KERAS_BACKEND={ENGINE} before the program imports Keras."
        )
    return loaded


@contextlib.contextmanager
def published_settings() -> Iterator[ModuleType]:
    """Keras with the types and the order of axes that the weights of its networks were published for.

    A network must be built and traced within it; afterwards Keras is as before.

    :raises BadQuery: as ``keras`` does.
    """
    config = keras().config
    before = config.floatx(), config.image_data_format(), config.dtype_policy()
    _set(config, "float32", "channels_last", "float32")
    try:
        yield sys.modules["keras"]
    finally:
        _set(config, *before)


def _set(config: ModuleType, floatx: str, image_data_format: str, dtype_policy: object) -> None:
    config.set_floatx(floatx)
    config.set_image_data_format(image_data_format)
    config.set_dtype_policy(dtype_policy)

"""C++ libraries write of drivers and delegates to standard error when they start; a person need not read that."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps standard error back, from C++ too; shows it after all where what is inside fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras without their chatter; whoever imports them next has them at once."""
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Off by itself on some processors, where training is slower without it.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        with quiet():
            import keras
            import tensorflow as tf
            tf.get_logger().setLevel("ERROR")  # it takes the second fold for a mistake
            tf.config.list_physical_devices()  # drivers are looked for now, not at the first operation
            keras.ops.zeros(1)

"""An untrained digit classifier as it is exported, made once for all tests of the export."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """app, facts, model, network (features normalised, no class preferred), golden, record, and the folder of all."""
    import keras

    from apps.mnist.app import Mnist, Settings
    from apps.mnist.data import sample
    from shared.export.saved_model import write_saved_model
    from shared.facts import Facts
    folder, app = tmp_path_factory.mktemp("untrained"), Mnist()
    facts = Facts({"labels": list("0123456789"), "image_size": [28, 28], "channels": 1, "mean": 0.13, "std": 0.31,
                   "light_background": False})
    model = app.build(Settings(model="separable", width=0.25), facts)
    keras.utils.set_random_seed(0)
    network = model.network()
    digits = sample().splits["train"].take(np.arange(0, 5000, 10))
    inputs = model.preprocess(digits)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(inputs, training=True)
    logits = network.get_layer("logits")
    logits.bias.assign(-np.asarray(network(inputs, training=False)).mean(0))
    golden = app.golden(facts)
    record = write_saved_model(model, network, folder / "saved_model", app.name, facts)
    np.savez(folder / "calibration.npz", **{"serving_default/image": digits["image"]})
    return SimpleNamespace(app=app, facts=facts, model=model, network=network, golden=golden, record=record,
                           folder=folder)


def converted(untrained, variant):
    from shared.export.convert import convert
    path = untrained.folder / f"{variant}.tflite"
    assert convert(untrained.folder / "saved_model", variant, path, untrained.folder / "calibration.npz") is None
    return path


@pytest.fixture(scope="session")
def float32(untrained):
    """The untrained network's float32 file, without metadata."""
    return converted(untrained, "float32")


@pytest.fixture(scope="session")
def int8(untrained):
    return converted(untrained, "int8")


@pytest.fixture(scope="session")
def packed(untrained, float32):
    """The float32 file as it is shipped."""
    from shared.metadata import pack
    path = untrained.folder / "packed.tflite"
    path.write_bytes(pack(float32.read_bytes(), {**untrained.record, "variant": "float32"}, untrained.facts))
    return path


@pytest.fixture(scope="session")
def as_tflite(tmp_path_factory):
    """Makes a file of a TensorFlow function: `as_tflite(function, name=(shape, dtype), …)`."""
    def make(function, **inputs):
        import tensorflow as tf
        folder, module = tmp_path_factory.mktemp("function"), tf.Module()
        specs = [tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()]
        module.kept = [value for value in getattr(function, "variables", [])]
        module.run = tf.function(function, input_signature=specs)
        tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.run})
        path = folder / "function.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
        return path
    return make

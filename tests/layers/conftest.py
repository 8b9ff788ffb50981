"""Conversion of a small network to a `.tflite` of built-in operations."""

import tempfile
from collections import Counter
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def convert(network, examples=None, batch=1):
    """The file's bytes: float32, or int8 with ranges of the examples."""
    shape = (batch, *network.input_shape[1:])
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", lambda image: {"answer": network(image, training=False)},
                         input_signature=[tf.TensorSpec(shape, network.inputs[0].dtype, name="image")])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if examples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ({"image": example} for example in examples)
        return converter.convert()


def run(file, image):
    return Interpreter(model_content=file).get_signature_runner()(image=image)["answer"]


def operations(file):
    """Counts of operations, with the dtype of the first output."""
    interpreter = Interpreter(model_content=file,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    dtypes = {tensor["index"]: tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    return Counter(f"{op['op_name']}:{dtypes[op['outputs'][0]]}" for op in interpreter._get_ops_details())


@pytest.fixture
def tflite():
    return SimpleNamespace(convert=convert, run=run, operations=operations)

"""A run's pipeline as a SavedModel with named signatures."""

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from shared.facts import Facts
from shared.files import write_atomically
from shared.metadata import RECORD, describe
from shared.model import Model, Signature


def write_saved_model(model: Model, network: keras.Model, folder: Path, app: str, facts: Facts,
                      batch: str = "1") -> dict[str, Any]:
    """Writes it and gives its record.

    Args:
        model: whose `signatures` are shipped.
        network: with its weights, float32.
        folder: of the SavedModel.
        app: name of the app.
        facts: kept in `assets.extra`.
        batch: `1` for fixed shapes, as browsers and LiteRT's newer runtime want them, or `dynamic`.
    """
    # ExportArchive alone tracks the weights so that the converter can freeze them.
    archive = keras.export.ExportArchive()
    archive.track(network)
    signatures = model.signatures(network)
    outputs = {}
    for name, signature in signatures.items():
        specs = [tf.TensorSpec([1 if batch == "1" else None, *tensor.shape], tensor.dtype, name=key)
                 for key, tensor in signature.inputs.items()]
        traced = tf.function(_by_position(signature), input_signature=specs)
        archive.add_endpoint(name, traced)
        outputs[name] = {key: {"shape": list(tensor.shape), "dtype": tensor.dtype.name}
                         for key, tensor in traced.get_concrete_function().structured_outputs.items()}
    archive.write_out(str(folder), verbose=False)
    record = describe(app, "saved_model", {name: signature.inputs for name, signature in signatures.items()},
                      outputs=outputs, batch=batch)
    write_atomically(folder / "assets.extra" / RECORD, json.dumps(record, indent=1, ensure_ascii=False))
    facts.save(folder / "assets.extra")
    return record


def _by_position(signature: Signature) -> Any:
    """The function of a signature with one argument a tensor, as TensorFlow's signatures want it."""
    names = list(signature.inputs)
    return lambda *tensors: signature.function(dict(zip(names, tensors, strict=True)))

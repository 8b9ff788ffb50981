"""SavedModel to `.tflite`, one child process a variant: a conversion can die, and must not take the rest with it.

    python -m shared.export.convert SAVED_MODEL VARIANT OUT [CALIBRATION.npz]

The calibration holds raw inputs as `SIGNATURE/NAME`. Without it, int8 becomes what the graph rounds itself, see
`shared.export.fake_quant`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from shared.export.child import run_module
from shared.files import bytes_to_arrays

VARIANTS = ("float32", "float16", "dynamic", "int8")
CALIBRATION = 500  # training examples that int8 ranges are taken from
# What a file that was not frozen, or needs more than the phone's runtime, gives itself away by.
FOREIGN = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CUSTOM", "Flex")


def convert(saved_model: Path, variant: str, out: Path, calibration: Path | None) -> str | None:
    """Converts in a child process; gives the reason where no sound file came out of it, else None."""
    if reason := run_module("shared.export.convert", saved_model, variant, out, *filter(None, [calibration])):
        return f"the conversion failed: {reason}"
    foreign = [name for name in operations(out) if any(name.startswith(part) for part in FOREIGN)]
    return f"the file needs {', '.join(sorted(set(foreign)))}" if foreign else None


def operations(path: Path) -> dict[str, int]:
    """Counts of the file's operations by name, with `:int8` behind those that compute in integers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    interpreter = Interpreter(model_path=str(path),
                              experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    dtypes = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    counts: dict[str, int] = {}
    for operation in interpreter._get_ops_details():
        ends = [*operation["inputs"][:1], *operation["outputs"][:1]]
        integer = bool(ends) and all(dtypes.get(index) is np.int8 for index in ends)
        name = operation["op_name"] + (":int8" if integer else "")
        counts[name] = counts.get(name, 0) + 1
    return counts


def _convert_here(saved_model: str, variant: str, calibration: str | None = None) -> bytes:
    import tensorflow as tf

    from shared.model import FLOAT, NETWORK

    def converter() -> Any:
        made = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=_keys(saved_model))
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return made

    made = converter()
    if variant != "float32":
        made.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        made.target_spec.supported_types = [tf.float16]
    if variant != "int8" or calibration is None:
        return made.convert()

    given: dict[str, dict[str, np.ndarray]] = {}
    for name, column in bytes_to_arrays(Path(calibration).read_bytes()).items():
        key, tensor = name.split("/", 1)
        given.setdefault(key, {})[tensor] = column

    def examples() -> Any:
        for key, columns in given.items():
            for row in range(len(next(iter(columns.values())))):
                example = {name: column[row:row + 1] for name, column in columns.items()}
                yield (key, example) if len(given) > 1 else example

    made.representative_dataset = examples
    # Integers inside the network only: preprocess, softmax and decoding lose most by eight bits and gain nothing.
    from ai_edge_litert.interpreter import Interpreter
    plain = Interpreter(model_content=converter().convert())
    outside = [tensor["name"] for graph in range(plain.num_subgraphs()) for tensor in plain.get_tensor_details(graph)
               if NETWORK not in tensor["name"] or f"/{FLOAT}" in tensor["name"]]
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=outside)
    debugger = tf.lite.experimental.QuantizationDebugger(converter=made, debug_dataset=examples, debug_options=options)
    return debugger.get_nondebug_quantized_model()


def _keys(saved_model: str) -> list[str]:
    import json

    from shared.metadata import RECORD
    return list(json.loads((Path(saved_model) / "assets.extra" / RECORD).read_text(encoding="utf-8"))["signatures"])


if __name__ == "__main__":
    source, kind, target, *ranges = sys.argv[1:]
    Path(target).write_bytes(_convert_here(source, kind, *ranges))

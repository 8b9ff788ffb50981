"""One file in both LiteRT runtimes, in a child process: a bad file can end a runtime without a word.

    python -m shared.export.runtimes FILE INPUTS.npz OUT.npz

OUT holds `interpreter/NAME` and `compiled/NAME`: the answers of the classic Interpreter, and of CompiledModel, which
browsers and newer Android use. A file can be right in the one and garbage in the other.
"""

import os
import sys
from pathlib import Path

import numpy as np

from shared.export.child import run_module
from shared.files import arrays_to_bytes, bytes_to_arrays

SIGNATURE = "serving_default"
Answers = dict[str, np.ndarray]


def in_both(file: Path, inputs: dict[str, np.ndarray], beside: Path) -> tuple[Answers, Answers] | str:
    """(Interpreter's, CompiledModel's) answers to a batch of raw inputs, or why there are none.

    Args:
        file: a `.tflite` with fixed shapes and batch 1.
        inputs: raw inputs by name, with a leading axis of examples.
        beside: folder for what goes to the child and back.
    """
    given, made = beside / "inputs.npz", beside / "answers.npz"
    given.write_bytes(arrays_to_bytes(inputs))
    made.unlink(missing_ok=True)
    if reason := run_module("shared.export.runtimes", file, given, made):
        return f"LiteRT failed on this file: {reason}"
    classic: Answers = {}
    newer: Answers = {}
    for name, answer in bytes_to_arrays(made.read_bytes()).items():
        runtime, output = name.split("/", 1)
        (classic if runtime == "interpreter" else newer)[output] = answer
    return classic, newer


def _interpreter(file: str, inputs: dict[str, np.ndarray]) -> Answers:
    from ai_edge_litert.interpreter import Interpreter
    run = Interpreter(model_path=file, num_threads=1).get_signature_runner(SIGNATURE)
    count = len(next(iter(inputs.values())))
    rows = [run(**{name: array[i:i + 1] for name, array in inputs.items()}) for i in range(count)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _compiled(file: str, inputs: dict[str, np.ndarray], like: Answers) -> Answers:
    from ai_edge_litert.compiled_model import CompiledModel
    model = CompiledModel.from_file(file)
    given = {name: model.create_input_buffer_by_name(SIGNATURE, name) for name in inputs}
    made = {name: model.create_output_buffer_by_name(SIGNATURE, name) for name in like}
    answers = {name: np.zeros_like(answer) for name, answer in like.items()}
    for row in range(len(next(iter(inputs.values())))):
        for name, array in inputs.items():
            given[name].write(np.ascontiguousarray(array[row:row + 1]))
        model.run_by_name(SIGNATURE, given, made)
        for name, answer in answers.items():
            answer[row] = made[name].read(answer[row].size or 1, answer.dtype).reshape(answer[row].shape)
    return answers


if __name__ == "__main__":
    path, source, target = sys.argv[1:]
    columns = bytes_to_arrays(Path(source).read_bytes())
    first = _interpreter(path, columns)
    second = _compiled(path, columns, first)
    Path(target).write_bytes(arrays_to_bytes({f"interpreter/{name}": answer for name, answer in first.items()}
                                             | {f"compiled/{name}": answer for name, answer in second.items()}))
    sys.stdout.flush()
    os._exit(0)  # the runtime's own clean-up at exit is not what is tested

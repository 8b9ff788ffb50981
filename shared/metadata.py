"""What travels inside a `.tflite`: a zip behind the model, which LiteRT does not look at and any zip tool reads."""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.facts import Facts
from shared.files import whole
from shared.signature import Tensor

FORMAT = 1
RECORD = "pocketconv.json"
IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite


def describe(app: str, variant: str, inputs: dict[str, dict[str, Tensor]], **more: Any) -> dict[str, Any]:
    """The record of an artifact: who made it, and the inputs of each signature by name, without the batch axis."""
    return {"format": FORMAT, "app": app, "variant": variant, "signatures": {
        signature: {name: {"shape": list(tensor.shape), "dtype": tensor.dtype} for name, tensor in tensors.items()}
        for signature, tensors in inputs.items()}, **more}


def inputs_of(record: dict[str, Any], signature: str = "serving_default") -> dict[str, Tensor]:
    return {name: Tensor(tuple(spec["shape"]), spec["dtype"])
            for name, spec in record["signatures"][signature].items()}


def pack(model: bytes, record: dict[str, Any], facts: Facts) -> bytes:
    """The model with its record, facts and `labels.txt` behind it; equal bytes for equal contents."""
    record = {**record, "model_bytes": len(model), "model_sha256": hashlib.sha256(model).hexdigest()}
    files = {RECORD: json.dumps(record, ensure_ascii=False).encode(), **facts.files()}
    if facts.get("labels"):
        files["labels.txt"] = "\n".join(map(str, facts["labels"])).encode()
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


def unpack(path: str | os.PathLike) -> tuple[bytes, dict[str, Any], Facts]:
    """(model, record, facts) of a file that `pack` made.

    Raises:
        UserError: the file is missing, truncated, damaged, or was not exported by this project. A runtime given such
            a file can die without a word, so it is never given one.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a .tflite, a SavedModel or a run.") from error
    if content[4:8] != IDENTIFIER:
        raise UserError(f"{path} is no .tflite file: name one that `export` made.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            whole(content, archive.namelist())
            files = {name: archive.read(name) for name in archive.namelist()}
        record = json.loads(files[RECORD])
        model = content[:record["model_bytes"]]
        facts = Facts.from_files(files)
    except Exception as error:
        raise UserError(f"{path} is truncated, or was not exported by pocketconv: export the run again.") from error
    if record["format"] != FORMAT:
        raise UserError(f"{path} was made in format {record['format']}; this version reads {FORMAT}.")
    if hashlib.sha256(model).hexdigest() != record["model_sha256"]:
        raise UserError(f"{path} is damaged: export the run again.")
    return model, record, facts

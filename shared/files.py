"""Files that are whole or not there, and names that nothing has yet."""

import hashlib
import io
import itertools
import os
from pathlib import Path

import numpy as np

from shared.errors import UserError


def make_folder(path: str | os.PathLike) -> Path:
    """A folder with its parents. Raises UserError where none can be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made a folder ({error.strerror}): choose another.") from error
    return Path(path)


def unused(path: str | os.PathLike, *endings: str) -> Path:
    """`path`, or the first of PATH-2, PATH-3, … where nothing stands yet, neither there nor with any of `endings`."""
    path = Path(path)
    names = itertools.chain([path.name], (f"{path.name}-{number}" for number in itertools.count(2)))
    return next(path.with_name(name) for name in names
                if not any(path.with_name(name + ending).exists() for ending in ("", *endings)))


def write_atomically(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes beside `path`, syncs, renames: a reader, or a crash, never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    if isinstance(content, str):
        content = content.encode(errors="backslashreplace")  # names of files may hold bytes that are no UTF-8
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def arrays_to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Named arrays as the content of an `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def bytes_to_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The inverse of `arrays_to_bytes`; nothing pickled is loaded. Raises ValueError or BadZipFile."""
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        whole(content, data.files)
        return {name: data[name] for name in data.files}


def whole(content: bytes, names: list[str]) -> None:
    """Raises ValueError where a zip lists other than so many files: damage in its directory can hide some."""
    if int.from_bytes(content[-12:-10], "little") != len(names):
        raise ValueError("the directory of the zip is damaged")


def sha256(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

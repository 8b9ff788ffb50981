"""What a pipeline needs from data: labels, sizes, tables, thresholds."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UserError
from shared.files import arrays_to_bytes, bytes_to_arrays, write_atomically


@dataclass
class Facts:
    """JSON values and named arrays, learned from training data and shipped with every artifact.

    Args:
        values: what JSON can hold, by name (`labels`, `image_size`, …). `facts["labels"]` reads them.
        arrays: larger tables by name (vocabularies, embeddings), kept beside as `facts.npz`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name] if name in self.values else self.arrays[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, self.arrays.get(name, default))

    def files(self) -> dict[str, bytes]:
        """The facts as files by name, for a folder or for the zip inside a `.tflite`."""
        found = {"facts.json": json.dumps(self.values, ensure_ascii=False).encode()}
        if self.arrays:
            found["facts.npz"] = arrays_to_bytes(self.arrays)
        return found

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> "Facts":
        """The inverse of `files`. Arrays load without pickle."""
        arrays = bytes_to_arrays(files["facts.npz"]) if "facts.npz" in files else {}
        return cls(json.loads(files["facts.json"]), arrays)

    def save(self, folder: str | os.PathLike) -> None:
        files = self.files()
        for name, content in files.items():
            write_atomically(Path(folder) / name, content)
        if "facts.npz" not in files:
            (Path(folder) / "facts.npz").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Facts":
        """Raises UserError where `facts.json` is missing or is no JSON."""
        path = Path(folder) / "facts.json"
        try:
            names = [name for name in ("facts.json", "facts.npz") if (Path(folder) / name).exists()]
            return cls.from_files({name: (Path(folder) / name).read_bytes() for name in names})
        except Exception as error:
            raise UserError(f"{path} is missing or damaged, so this is no complete run or model.") from error

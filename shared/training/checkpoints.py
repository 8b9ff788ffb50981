"""Checkpoints: atomic, two generations, verified when read."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UserError
from shared.files import arrays_to_bytes, bytes_to_arrays, sha256, write_atomically

KEEP = 2


class Checkpoints:
    """The last two states of a training in a folder, with `index.json` naming them and their SHA-256."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.index = self.folder / "index.json"

    def entries(self) -> list[dict[str, Any]]:
        try:
            return json.loads(self.index.read_text())
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise UserError(f"{self.index} is damaged: this run cannot be resumed; start anew by --from.") from error

    def save(self, arrays: list[np.ndarray], state: dict[str, Any]) -> None:
        """Writes a new generation, then names it, then drops the oldest."""
        entries = self.entries()
        number = entries[-1]["number"] + 1 if entries else 1
        path = self.folder / f"{number:06d}.npz"
        write_atomically(path, arrays_to_bytes({str(i): array for i, array in enumerate(arrays)}))
        entries = [*entries, {"number": number, "file": path.name, "sha256": sha256(path), "state": state}][-KEEP:]
        write_atomically(self.index, json.dumps(entries, indent=1))
        for old in set(self.folder.glob("*.npz")) - {self.folder / entry["file"] for entry in entries}:
            old.unlink()

    def load(self) -> tuple[list[np.ndarray], dict[str, Any]] | None:
        """The newest state that is whole; None before the first. Raises UserError where all are damaged."""
        entries = self.entries()
        for entry in reversed(entries):
            path = self.folder / entry["file"]
            if path.exists() and sha256(path) == entry["sha256"]:
                arrays = bytes_to_arrays(path.read_bytes())
                return [arrays[str(i)] for i in range(len(arrays))], entry["state"]
        if entries:
            raise UserError(f"No checkpoint in {self.folder} is whole: start anew, by --from for its best weights.")
        return None

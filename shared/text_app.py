"""What all apps share whose raw input is a text."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shared.app import App, Raw
from shared.data.tables import lines_of, read_text
from shared.errors import UserError
from shared.facts import Facts

GOLDEN = ("What a wonderful film!", "The battery died after two days, and nobody answers my letters.", "", "  \t ",
          "Größe, élan, naïve", "我很喜欢这部电影，演员很好。", "ужасно скучно",
          "😀👍🏽 100 %", "\u200fשלום", "a\u0301 b\u0300")


class TextApp(App):
    """The raw input is `text`, UTF-8 bytes."""

    raw = ("text",)
    argument = "texts, files whose lines are texts, folders of text files"
    file_types = frozenset({".txt"})

    def check(self, settings: Any) -> None:
        """Settings of word vectors: `embeddings`, a file, and `vectors`, what becomes of them."""
        if settings.vectors != "tuned" and not settings.embeddings:
            raise UserError(f"--vectors {settings.vectors} needs word vectors: name a file of them by --embeddings.")
        if settings.embeddings and not Path(settings.embeddings).is_file():
            raise UserError(f"--embeddings {settings.embeddings}: there is no such file.")

    def inputs(self, argument: str) -> Iterable[str | Path]:
        """A text as it is; of a file each line; of a folder each text file, whole."""
        if os.path.isdir(argument):
            return list(map(Path, super().inputs(argument)))
        if os.path.isfile(argument):
            return lines_of(read_text(Path(argument))[0])
        return [argument]

    def read_input(self, argument: str | Path, facts: Facts) -> Raw:
        if isinstance(argument, Path):
            argument = read_text(argument)[0]
        try:
            plain = argument.encode("utf-8", "surrogateescape")  # bytes that were no UTF-8 stay what they were
        except UnicodeEncodeError:
            plain = argument.encode("utf-8", "replace")
        return {"text": np.frombuffer(plain.replace(b"\0", b" "), np.uint8)}

    def golden(self, facts: Facts) -> Raw:
        rows = [next(iter(self.cut(self.read_input(text, facts), {}, facts)))["text"] for text in GOLDEN]
        return {"text": np.stack(rows)}

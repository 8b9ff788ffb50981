"""Files that may lie in memory as well (rows of a data set, members of an archive)."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stored:
    """The bytes of a file that lies in memory, named for messages."""

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


Source = str | os.PathLike | Stored

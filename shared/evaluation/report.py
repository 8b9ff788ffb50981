"""The record that `score` makes; terminal, JSON, TensorBoard, figures and model card only show it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.files import write_atomically


@dataclass(frozen=True)
class Headline:
    """The one figure an app is judged by.

    Args:
        key: its name in `Report.metrics`.
        higher_is_better: direction.
        unit: `%` for shares (shown times 100, drops counted in points), else a word or nothing.
    """

    key: str
    higher_is_better: bool = True
    unit: str = "%"

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`; NaN never does, and always loses."""
        if np.isnan(a):
            return False
        return np.isnan(b) or (a > b if self.higher_is_better else a < b)

    def show(self, value: float) -> str:
        return f"{100 * value:.2f} %" if self.unit == "%" else f"{value:.4f} {self.unit}".strip()


@dataclass(frozen=True)
class Matrix:
    """Counts or shares by row and column, drawn as a heat map (confusions)."""

    title: str
    rows: list[str]
    columns: list[str]
    values: list[list[float]]
    row_title: str = ""
    column_title: str = ""


@dataclass(frozen=True)
class Curve:
    """Lines over one axis, with an optional diagonal (reliability) and bars below (counts)."""

    title: str
    x_title: str
    y_title: str
    x: list[float]
    lines: dict[str, list[float]]
    diagonal: bool = False
    bars: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    """Pictures with captions (worst mistakes, overlays); pictures stay out of the JSON."""

    title: str
    pictures: list[np.ndarray]  # uint8 [height, width] or [height, width, 3]
    captions: list[str]
    legend: dict[str, list[int]] = field(default_factory=dict)  # what a colour means: red, green, blue by name


@dataclass(frozen=True)
class Sounds:
    """Clips to be listened to, with captions; clips stay out of the JSON. The same ones at every scoring of a run."""

    title: str
    clips: list[np.ndarray]  # int16 [samples]
    rate: int  # samples a second
    captions: list[str]


Drawn = Matrix | Curve | Gallery
Figure = Drawn | Sounds


@dataclass
class Report:
    """One scoring of one artifact on one split.

    Args:
        metrics: single figures by the field's names (`accuracy`, `f1`, `mean_iou`).
        tables: rows by name, each a dict by column (`classes`: label, precision, recall, f1, support).
        figures: what is drawn or played, by file stem (`confusion`, `reliability`, `mistakes`, `sounds`).
        examples: how many were scored.
        about: artifact, data, split, date: filled in by who ran it.
    """

    metrics: dict[str, float]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    examples: int = 0
    about: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record without its pictures and clips; what is no finite number becomes null."""
        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items() if key not in ("pictures", "clips")}
            if isinstance(value, list | tuple):
                return [plain(item) for item in value]
            if isinstance(value, np.ndarray | np.generic):
                return plain(value.tolist())
            return None if isinstance(value, float) and not np.isfinite(value) else value
        figures = {name: plain(vars(figure)) for name, figure in self.figures.items()}
        return {**plain(self.about), "examples": self.examples, "metrics": plain(self.metrics),
                "tables": plain(self.tables), "figures": figures}

    def save(self, folder: Path, name: str = "report") -> None:
        """Writes NAME.json, NAME/*.png, and NAME/*/*.wav of what is played."""
        from shared.evaluation.figures import save_figures
        write_atomically(folder / f"{name}.json", json.dumps(self.to_json(), indent=1, ensure_ascii=False))
        save_figures(self, folder / name)

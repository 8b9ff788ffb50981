"""The figures of a report, drawn."""

import io
import logging
import warnings
import wave
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Patch

from shared.evaluation.report import Curve, Drawn, Gallery, Matrix, Report, Sounds
from shared.files import write_atomically

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
BLUE, GREY = "#2a6f97", "#adb5bd"
NAME = 1.5  # inches of a name in a legend
WIDE = 700  # pixels of a picture that has a row to itself, or its writing could not be read


def draw(figure: Drawn) -> Drawing:
    """A matplotlib figure of any figure of a report that is no sound."""
    if isinstance(figure, Matrix):
        return _matrix(figure)
    return _curve(figure) if isinstance(figure, Curve) else _gallery(figure)


def save_figures(report: Report, folder: Path) -> None:
    """Writes each figure as NAME.png; sounds as NAME/01.wav and so on."""
    for name, figure in report.figures.items():
        if isinstance(figure, Sounds):
            for number, clip in enumerate(figure.clips, 1):
                write_atomically(folder / name / f"{number:02}.wav", wav(clip, figure.rate))
            continue
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label in a script that the font lacks is shown as boxes
            draw(figure).savefig(buffer, format="png", dpi=130)
        write_atomically(folder / f"{name}.png", buffer.getvalue())


def to_image(figure: Drawn, dpi: int = 90) -> np.ndarray:
    """The figure as uint8 `[height, width, 3]`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawing = draw(figure)
        drawing.set_dpi(dpi)
        canvas = FigureCanvasAgg(drawing)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def wav(clip: np.ndarray, rate: int) -> bytes:
    """The content of a WAV file of int16 `[samples]`, `rate` of them a second."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(clip.astype("<i2").tobytes())
    return buffer.getvalue()


def short(label: str, most: int = 16) -> str:
    label = label if len(label) <= most else label[:most - 1] + "…"
    return label.replace("$", r"\$")  # a label is no formula


def _matrix(figure: Matrix) -> Drawing:
    counts = np.asarray(figure.values, float)
    side = min(max(4.2, 1.8 + 0.42 * len(counts)), 13)
    drawing = Drawing((side + 0.6, side), layout="constrained")
    axes = drawing.subplots()
    # Shares of a row colour the field: rare classes are as readable as frequent ones.
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares ** 0.5, cmap="Blues", vmin=0, vmax=1)
    axes.set_title(figure.title)
    turn = 90 if max(map(len, figure.columns), default=0) > 3 and len(counts) > 6 else 0
    axes.set_xticks(range(counts.shape[1]), [short(name) for name in figure.columns], rotation=turn)
    axes.set_yticks(range(counts.shape[0]), [short(name) for name in figure.rows])
    axes.set_xlabel(figure.column_title)
    axes.set_ylabel(figure.row_title)
    axes.tick_params(length=0)
    size = 9 if len(counts) <= 12 else 6
    for row, column in np.argwhere(counts > 0):
        value = counts[row, column]
        axes.text(column, row, f"{value:g}" if value < 1e5 else f"{value:.0e}", ha="center", va="center",
                  fontsize=size, color="white" if shares[row, column] > 0.4 else "#333333")
    for edge in axes.spines.values():
        edge.set_visible(False)
    return drawing


def _curve(figure: Curve) -> Drawing:
    drawing = Drawing((5.2, 5.2 if figure.bars else 4.2), layout="constrained")
    if figure.bars:
        axes, below = drawing.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        width = 0.9 / len(figure.bars)
        below.bar((np.arange(len(figure.bars)) + 0.5) / len(figure.bars), figure.bars, width=width, color=GREY)
        below.set_yscale("symlog")
        below.set_ylabel("examples")
        below.set_xlabel(figure.x_title)
    else:
        axes = drawing.subplots()
        axes.set_xlabel(figure.x_title)
    if figure.diagonal:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    for name, values in figure.lines.items():
        known = np.isfinite(np.asarray(values, float))
        axes.plot(np.asarray(figure.x)[known], np.asarray(values)[known], marker="o", markersize=4, label=name,
                  color=BLUE if len(figure.lines) == 1 else None)
    axes.set_title(figure.title)
    axes.set_ylabel(figure.y_title)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return drawing


def _gallery(figure: Gallery) -> Drawing:
    aspect = max(1.0, float(np.median([picture.shape[1] / picture.shape[0] for picture in figure.pictures] or [1])))
    whole = max((picture.shape[1] for picture in figure.pictures), default=0) > WIDE
    columns = 1 if whole or aspect >= 5 else 6 if aspect < 1.4 else 3 if aspect < 1.8 else 2
    width, size = 9.3 / columns, 7 if columns == 6 else 8
    columns = min(columns, max(1, len(figure.pictures)))
    rows = max(1, -(-len(figure.pictures) // columns))
    heights = [width / aspect] * rows
    if whole:  # pictures of unlike height get their own
        heights = [width * picture.shape[0] / picture.shape[1] for picture in figure.pictures]
    for row in range(rows):
        above = figure.captions[row * columns:(row + 1) * columns]
        heights[row] += 0.3 + 0.15 * max((caption.count("\n") for caption in above), default=0)
    named = max(1, int(width * columns / NAME))
    drawing = Drawing((width * columns, sum(heights) + 0.4 - 0.2 * (-len(figure.legend) // named)),
                      layout="constrained")
    drawing.suptitle(figure.title)
    if figure.legend:
        handles = [Patch(color=(red / 255, green / 255, blue / 255), label=short(name, 20))
                   for name, (red, green, blue) in figure.legend.items()]
        drawing.legend(handles=handles, loc="outside lower center", ncols=named, fontsize=8, frameon=False)
    for axes in drawing.subplots(rows, columns, squeeze=False, height_ratios=heights).flat:
        axes.set_axis_off()
    for axes, picture, caption in zip(drawing.axes, figure.pictures, figure.captions, strict=False):
        axes.imshow(picture, cmap="gray" if picture.ndim == 2 else None, vmin=0, vmax=255)
        axes.set_title("\n".join(short(line, int(118 * width / size)) for line in caption.split("\n")), fontsize=size)
    return drawing

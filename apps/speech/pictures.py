"""Clips as pictures: spectrograms, and what was heard below the time at which it was heard."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from apps.speech.frames import MARGIN

LONGEST = 30  # seconds of a clip that are shown and played
WINDOW, BANDS = 256, 128  # samples; pixels
WIDTH, LINE = 900, 6  # pixels of a line, and the most seconds in it
LEAD, TEXT = 9, 16  # pixels below a line: from a time to its symbol, and the symbol
RIGHT, WRONG = (40, 40, 40), (200, 20, 30)


def begin_of(example: dict[str, Any], rate: int) -> np.ndarray:
    """The first 30 seconds of an example's clip: a copy, int16 `[samples]`."""
    return np.array(example["samples"][:min(int(example["length"]), LONGEST * rate)])


def spectrogram(clip: np.ndarray, columns: int) -> np.ndarray:
    """Loudness by time and frequency, the low ones below.

    Args:
        clip: int16 `[samples]`.
        columns: how many pixels the clip's time takes.

    Returns:
        uint8 `[128, columns]`, 255 for silence.
    """
    samples = np.pad(clip.astype(np.float32) / 32768, WINDOW // 2)  # a window's middle is its column's time
    starts = np.arange(columns) * len(clip) // columns
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[starts] * np.hanning(WINDOW)
    loud = 10 * np.log10(np.abs(np.fft.rfft(windows)[:, :BANDS].T[::-1]) ** 2 + 1e-5)
    return np.asarray(255 * (1 - ((loud + 40) / 80).clip(0, 1)), np.uint8)


def written(clip: np.ndarray, rate: int, symbols: Sequence[str], seconds: Sequence[float],
            right: Sequence[bool]) -> np.ndarray:
    """A spectrogram in as many lines as it takes, and below each what was heard in it.

    A stroke leads from the time at which a symbol was heard to the symbol, which stands aside where another one takes
    the room; of spaces there is the stroke alone. Only where a line is too narrow for all of its symbols do they
    overlap.

    Args:
        clip: int16 `[samples]`.
        rate: samples a second.
        symbols: characters or words, in order; those heard later than the clip and its margin last are left out.
        seconds: when each was heard.
        right: whether each is as it should be; others are red.

    Returns:
        uint8 `[height, 900, 3]`.
    """
    times, lasts = np.asarray(seconds, float), max(len(clip), 1) / rate
    lines = max(1, -(-len(clip) // (LINE * rate)))
    height = BANDS + LEAD + TEXT
    picture = Image.new("RGB", (WIDTH, lines * height), "white")
    draw = ImageDraw.Draw(picture)
    for number, part in enumerate(np.split(spectrogram(clip, lines * WIDTH), lines, 1)):
        picture.paste(Image.fromarray(part), (0, number * height))
    line, at = np.divmod(np.minimum(times / lasts * lines * WIDTH, lines * WIDTH - 1), WIDTH)
    line[times > lasts + MARGIN] = -1
    for number in range(lines):
        here, below = np.flatnonzero(line == number).tolist(), number * height + BANDS
        widths = np.array([font().getlength(symbols[place]) + 1 for place in here])
        for place, middle in zip(here, spread(at[here], widths, WIDTH), strict=True):
            colour = RIGHT if right[place] else WRONG
            draw.line([(at[place], below - LEAD), (at[place], below), (middle, below + LEAD)], colour)
            draw.text((middle, below + LEAD), symbols[place], colour, font(), "ma")
    return np.array(picture)


def spread(at: np.ndarray, widths: np.ndarray, room: float) -> np.ndarray:
    """Middles of things in a row, as near to their places as they can stand without overlap.

    Args:
        at: where each belongs, ascending.
        widths: of each; all are taken for narrower where the room is too small.
        room: they stand between 0 and this.
    """
    widths = widths * min(1.0, room / max(widths.sum(), 1e-9))
    before = widths.cumsum() - widths
    return before + widths / 2 + np.maximum.accumulate(at - widths / 2 - before).clip(0, room - widths.sum())


@cache
def font() -> ImageFont.FreeTypeFont:
    """Matplotlib's own: Pillow's has no letters but those of English. What it lacks is shown as a box."""
    import matplotlib
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 12)

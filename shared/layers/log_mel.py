"""Sound samples to log-mel features, or to mel-frequency cepstral coefficients."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.fft import dct
from scipy.signal import get_window

LARGE = 1024  # numbers of a constant from which on TFLite's dynamic range stores it in eight bits


@keras.saving.register_keras_serializable("pocketconv")
class LogMel(keras.layers.Layer):
    """The logarithm of the power in bands that are as wide as the ear's, for windows that follow on each other.

    Each window is weighed by a periodic Hann window; the power of its spectrum is summed under triangles of equal
    width on the mel scale, `2595 log10(1 + hertz / 700)`, whose peaks are 1; `floor` is added before the logarithm.
    With `coefficients` the first of the orthonormal cosine transform (DCT-II) of these are given: MFCC.

    Args:
        rate: samples a second.
        mels: bands.
        window: seconds of a window.
        hop: seconds from one window to the next.
        low: hertz where the first band begins.
        high: hertz where the last one ends; None: half the rate.
        floor: power that is taken for silence; samples are from -1 to 1.
        coefficients: cepstral coefficients, at most `mels`; 0: the bands themselves.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: float32 `[batch, samples]`.

    Output shape: float32 `[batch, frames, mels]`, or `[batch, frames, coefficients]`; windows lie wholly inside the
    samples, see `frames`.

    Raises:
        ValueError: the sizes do not fit each other.

    Example:

    >>> LogMel(8000, mels=40)(np.zeros((2, 8000), np.float32)).shape
    TensorShape([2, 98, 40])

    References:
        - [Stevens et al. 1937](https://doi.org/10.1121/1.1915893), the mel scale; its formula: O'Shaughnessy 1987
        - [Davis and Mermelstein 1980](https://doi.org/10.1109/TASSP.1980.1163420), MFCC
    """

    def __init__(self, rate: int, mels: int = 64, window: float = 0.025, hop: float = 0.010, low: float = 20.0,
                 high: float | None = None, floor: float = 1e-5, coefficients: int = 0, **kwargs: Any):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.rate, self.mels, self.window, self.hop, self.low = rate, mels, window, hop, low
        self.high, self.floor, self.coefficients = high, floor, coefficients
        self.window_size, self.hop_size = round(window * rate), round(hop * rate)
        top = rate / 2 if high is None else high
        if not (self.window_size >= 2 and self.hop_size >= 1 and mels >= 1 and 0 <= low < top <= rate / 2
                and floor > 0 and 0 <= coefficients <= mels):
            raise ValueError(f"rate {rate}, window {window}, hop {hop}, {mels} mels from {low} to {top} Hz, floor "
                             f"{floor}, {coefficients} coefficients: these do not fit each other.")
        self.fft_size = 1 << (self.window_size - 1).bit_length()
        # TensorFlow's own is not periodic where its length is odd.
        self.hann = get_window("hann", self.window_size)
        self.bands = mel_bands(rate, self.fft_size, mels, low, top)
        self.cosines = dct(np.eye(mels), norm="ortho")[:, :coefficients].astype(np.float32)

    def call(self, samples: Any) -> Any:
        spectrum = tf.signal.stft(samples, self.window_size, self.hop_size, self.fft_size,
                                  lambda size, dtype: tf.constant(self.hann, dtype))
        power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
        features = tf.math.log(product(power, self.bands) + self.floor)
        return product(features, self.cosines) if self.coefficients else features

    def frames(self, samples: Any) -> Any:
        """How many windows lie wholly inside so many samples: an integer, or int32 values of any shape."""
        windows = (samples - self.window_size) // self.hop_size + 1
        return max(0, windows) if isinstance(windows, int) else tf.maximum(windows, 0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        samples = input_shape[1]
        return input_shape[0], samples and self.frames(samples), self.coefficients or self.mels

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "rate": self.rate, "mels": self.mels, "window": self.window, "hop": self.hop, "low": self.low,
            "high": self.high, "floor": self.floor, "coefficients": self.coefficients}


def product(values: Any, table: np.ndarray) -> Any:
    """`values @ table`, in parts so small that no converter makes them integers: of sums over powers of ten the small
    ones would be lost. Most of a table of bands is 0 and left out.

    Args:
        values: float32 `[batch, frames, rows]`.
        table: float32 `[rows, columns]`.
    """
    made, column = [], 0
    while column < table.shape[1]:
        for count in range(table.shape[1] - column, 0, -1):
            rows = np.flatnonzero(table[:, column:column + count].any(1))
            first, end = (rows[0], rows[-1] + 1) if len(rows) else (0, 1)
            if (end - first) * count < LARGE or count == 1:
                break
        made.append(tf.matmul(values[:, :, first:end], table[first:end, column:column + count]))
        column += count
    return tf.concat(made, -1)


def mel_bands(rate: int, fft_size: int, mels: int, low: float, high: float) -> np.ndarray:
    """How much of each bin of a spectrum counts in each band; float32 `[fft_size // 2 + 1, mels]`."""
    def mel(hertz: Any) -> Any:
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)
    edges = np.linspace(mel(low), mel(high), mels + 2)
    place = mel(np.arange(fft_size // 2 + 1) * rate / fft_size)[:, None]
    rising = (place - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - place) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)

"""The system's microphone, by the optional package sounddevice, as windows of samples."""

import queue
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import soxr

from shared.app import Raw
from shared.errors import UserError

BLOCK = 0.1  # seconds that the device gives at once
MUTE = 5.0  # seconds without samples after which it is taken for unplugged
BEHIND = 30.0  # seconds that may wait to be answered: the first answer of a run is slow


@contextmanager
def microphone(rate: int, size: int) -> Iterator[Iterator[tuple[str, Raw]]]:
    """Opens the microphone that the system has chosen, and closes it in the end.

    Args:
        rate: samples a second that are wanted; a device that has no such rate is resampled.
        size: samples of a window.

    Returns:
        For each window when it began, as `1.50 s`, and the raw input: `samples` int16 `[size]` and `length`. A new
        window begins every half.

    Raises:
        UserError: there is no sounddevice or no microphone, it falls silent, or is not listened to fast enough.
    """
    sound = _sounddevice()
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def take(samples: Any, count: int, time: Any, status: Any) -> None:  # in a thread of the device
        waiting.put(bytes(samples))

    with ExitStack() as stack:
        try:
            own = _rate(sound, rate)
            stack.enter_context(sound.RawInputStream(samplerate=own, blocksize=round(BLOCK * own), channels=1,
                                                     dtype="int16", callback=take))
        except (sound.PortAudioError, ValueError) as error:
            raise UserError(f"No microphone can be opened ({' '.join(str(error).split())}): plug one in, or choose "
                            f"one in the system's settings.") from error
        yield windows(_arriving(waiting, own, rate), rate, size)


def windows(blocks: Iterable[np.ndarray], rate: int, size: int) -> Iterator[tuple[str, Raw]]:
    """Windows of `size` samples of int16 `blocks`, a new one every half, as `microphone` gives them."""
    held, start, half = np.empty(0, np.int16), 0, -(-size // 2)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= size:
            yield f"{start / rate:.2f} s", {"samples": held[:size], "length": np.array(size, np.int32)}
            held, start = held[half:], start + half


def _arriving(waiting: "queue.SimpleQueue[bytes]", own: int, rate: int) -> Iterator[np.ndarray]:
    stream = None if own == rate else soxr.ResampleStream(own, rate, 1, dtype="int16")
    while True:
        try:
            block = np.frombuffer(waiting.get(timeout=MUTE), np.int16)
        except queue.Empty:
            raise UserError(f"The microphone has given nothing for {MUTE:g} s: look whether it is still plugged "
                            f"in.") from None
        if waiting.qsize() * BLOCK > BEHIND:
            raise UserError(f"The answers are {BEHIND:g} s behind what is said: answer by a faster model, e.g. "
                            f"--artifact FILE-int8.tflite.")
        yield stream.resample_chunk(block) if stream else block


def _rate(sound: Any, rate: int) -> int:
    """The wanted rate if the device has it, else its own."""
    try:
        sound.check_input_settings(samplerate=rate, channels=1, dtype="int16")
        return rate
    except sound.PortAudioError:
        return round(sound.query_devices(kind="input")["default_samplerate"])


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise UserError("Listening needs the package sounddevice: pip install 'pocketconv[microphone]', or "
                        "pip install sounddevice.") from error
    except OSError as error:
        raise UserError(f"sounddevice does not find its library ({error}): install PortAudio, e.g. by "
                        f"apt install libportaudio2.") from error
    return sounddevice

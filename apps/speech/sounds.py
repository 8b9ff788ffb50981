"""Audio files as mono samples of one rate: read safely, whatever their format, rate, channels and length."""

import codecs
import contextlib
import io
import math
import mmap
import os
import re
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

from apps.speech.checks import Checks
from shared.data.dataset import Ragged
from shared.data.stored import Source, Stored
from shared.errors import UserError
from shared.quiet import quiet

EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
FORMATS = frozenset({"WAV", "WAVEX", "RF64", "NIST", "FLAC", "OGG", "MP3"})  # NIST: what TIMIT calls .wav
LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000
LONGEST = 60.0  # seconds of a clip among many
LARGEST = 1 << 28  # samples of a recording to be answered: half a gigabyte, 4.7 hours at 16 kHz
RESAMPLING = 0.01  # seconds by which another rate may shorten a clip
BLOCK = 1 << 14  # values read at once, of all channels
UNKNOWN = (1 << 63) - 1  # frames of a FLAC whose header says 0: it was written to a pipe
ENDLESS = 0x7FFF_0000  # bytes of a WAV from which on its header means the same


class _Sound(sf.SoundFile):
    """Read straight on. Where soundfile can seek, it does so after every read: MP3 does not take up exactly there,
    and it believes the header's number of frames."""

    done = 0  # frames read
    short = False  # the header of a WAV says more bytes than there are

    def seekable(self) -> bool:
        return False

    def lacks(self, read: float) -> bool:
        """Whether there should be more than the frames that were read, by the header."""
        return self.short or read < self.frames < UNKNOWN

    def take(self, room: np.ndarray) -> tuple[np.ndarray, bool]:
        """The next frames, in `room`, and whether the file ends here; of a damaged one, those before the damage."""
        try:
            frames = self.read(out=room)
            ended = not len(frames)
        except sf.SoundFileError:
            frames, ended = room[:self.tell() - self.done], True
        self.done += len(frames)
        return frames, ended


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[_Sound]:
    try:
        file: BinaryIO = io.BytesIO(source.content) if isinstance(source, Stored) else io.FileIO(source)
    except OSError as error:
        raise UserError(f"{source} cannot be read ({error.strerror}): check the name.") from error
    with file:
        if not file.seekable():
            raise UserError(f"{source} is a pipe: give what comes out of it to standard input, and name -.")
        short = _ends_early(file)
        try:
            sound = _Sound(_closed(file))
        except (sf.SoundFileError, TypeError) as error:  # TypeError: soundfile asks for the rate of a .raw
            raise _unreadable(source) from error
        with sound:
            if sound.format not in FORMATS:
                raise _unreadable(source)
            if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
                raise UserError(f"{source} has a rate of {sound.samplerate} Hz: bring it to between {LOWEST_RATE} and "
                                f"{HIGHEST_RATE}, or take it out.")
            sound.short = short
            yield sound


def _unreadable(source: Source) -> UserError:
    return UserError(f"{source} is no readable WAV, FLAC, OGG or MP3 file (empty, cut off, text or another format): "
                     f"replace it or take it out.")


def _closed(file: BinaryIO) -> BinaryIO:
    """The file; of a WAV that was never closed, whose header says 0 bytes, a copy on demand that says: to the end."""
    head = file.read(4096)
    file.seek(0)
    at = head.find(b"data\0\0\0\0") + 4
    if head[:4] != b"RIFF" or at < 4 or re.match(rb"[\w ]{4}", head[at + 4:]):
        return file  # sound of another kind, or the name of another chunk follows: there are truly no samples
    size = file.seek(0, os.SEEK_END) - at - 4
    view = file if isinstance(file, io.BytesIO) else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    view.seek(at)
    view.write(min(size, 0xFFFF_FFFF).to_bytes(4, "little"))
    view.seek(0)
    return view  # type: ignore[return-value]  # a map reads and seeks, which is all that is asked of it


def _ends_early(file: BinaryIO) -> bool:
    """Whether the header of a WAV says more bytes of samples than there are. (Of other formats, frames tell.)"""
    size, at = file.seek(0, os.SEEK_END), 12
    file.seek(0)
    order = {b"RIFF": "<", b"RIFX": ">"}.get(file.read(4))
    for _ in range(100 if order else 0):  # chunks; a hostile file may have millions
        file.seek(at)
        if len(head := file.read(8)) < 8:
            break
        name, count = struct.unpack(f"{order}4sI", head)
        at += 8 + count + count % 2
        if name == b"data":
            file.seek(0)
            return count < ENDLESS and at - count % 2 > size
    file.seek(0)
    return False


def _pieces(sound: _Sound, source: Source, rate: int) -> Iterator[np.ndarray]:
    """int16 samples at `rate` as they come, until the file ends or breaks off."""
    stream = None if sound.samplerate == rate else soxr.ResampleStream(sound.samplerate, rate, 1)
    room = np.empty((max(1, BLOCK // sound.channels), sound.channels), np.float32)
    ended, empty = False, True
    while not ended:
        frames, ended = sound.take(room)
        if not np.isfinite(frames).all():
            raise UserError(f"{source} has samples that are NaN or infinite: write it anew or take it out.")
        samples = frames.clip(-1, 1).mean(axis=1)
        if stream:
            samples = stream.resample_chunk(samples, last=ended)
        if len(samples):
            empty = False
            yield np.rint(samples * 32_768).clip(-32_768, 32_767).astype(np.int16)
    if empty:
        raise UserError(f"{source} holds no samples: replace it or take it out.")


def _first(sound: _Sound, source: Source, rate: int, most: float) -> np.ndarray:
    """The first `most` samples, or all where there are fewer; no more is read than they need."""
    values = bytearray()  # grows in place: pieces to be joined would take twice the memory
    for piece in _pieces(sound, source, rate):
        values += piece.tobytes()
        if len(values) >= 2 * most:
            break
    return np.frombuffer(values, np.int16)[:int(min(most, len(values) // 2))]


def read_sound(source: Source, rate: int, most_seconds: float = math.inf) -> np.ndarray:
    """An audio file (WAV, FLAC, OGG Vorbis or Opus, MP3) as int16 `[samples]`.

    Channels become one by their mean, values beyond full scale are clipped, and another rate is changed by soxr's
    HQ filter. Of a file that is cut off or damaged, what comes before that is given.

    Args:
        source: the file, or its bytes.
        rate: samples a second of the answer.
        most_seconds: how much of a longer file is read; memory is in proportion to it.

    Raises:
        UserError: the file cannot be read, is none of these formats or empty, has a rate outside of 4 to 768 kHz, or
            samples that are NaN or infinite.
    """
    with _opened(source) as sound:
        return _first(sound, source, rate, round(most_seconds * rate) if most_seconds < math.inf else math.inf)


# What `predict` is given

BEGINS = (b"RIFF", b"RIFX", b"RF64", b"NIST", b"fLaC", b"OggS", b"ID3",  # those that are read, and others that people
          b"FORM", b".snd", b"caff", b"#!AMR", b"\x1aE\xdf\xa3")  # have: AIFF, AU, CAF, AMR, WebM
# Three frames of layer III, of at most 1441 bytes each: the sample -1025 alone begins as one does.
MP3 = re.compile(rb"(\xff[\xe2\xe3\xf2\xf3\xfa\xfb])[\x10-\xef](?:.{21,1439}?\1[\x10-\xef]){2}", re.DOTALL)


def read_recording(source: Source, rate: int) -> np.ndarray:
    """A recording to be answered, as int16 `[samples]`.

    Args:
        source: a file; or what standard input gave: the bytes of a file if they begin as one, else samples, signed
            16-bit little-endian, one channel, at `rate`.
        rate: samples a second of the answer.

    Raises:
        UserError: as `read_sound`; there are more than `LARGEST` samples; or bytes that are no samples.
    """
    if isinstance(source, Stored):
        if len(source.content) > 2 * LARGEST:
            raise _too_long(source, f"gives more than {2 * LARGEST >> 20} MB")
        if not is_file(source.content):
            return _raw(source, rate)
    samples = read_sound(source, rate, (LARGEST + 1) / rate)
    if len(samples) > LARGEST:
        raise _too_long(source, f"is longer than {LARGEST / rate / 3600:.1f} hours")
    return samples


def is_broken(source: Source, rate: int, count: int) -> bool:
    """Whether a recording of which `read_recording` gave `count` samples at `rate` should have more, by its header."""
    if isinstance(source, Stored) and not is_file(source.content):
        return False
    with _opened(source) as sound:
        return sound.lacks((count / rate + RESAMPLING) * sound.samplerate)


def _too_long(source: Source, what: str) -> UserError:
    return UserError(f"{source} {what}: cut it into parts, e.g. by "
                     f"ffmpeg -i FILE -f segment -segment_time 3600 part%d.wav.")


def _raw(source: Stored, rate: int) -> np.ndarray:
    """int16 samples as they are; what is surely none is refused."""
    content = source.content
    what = ("is empty" if not content else "is text" if _is_text(content[:4096]) else
            f"has {len(content)} bytes, an odd number, where each raw sample takes two" if len(content) % 2 else "")
    if what:
        raise UserError(f"{source} {what}: pipe a WAV, FLAC, OGG or MP3 file into it, or raw samples as "
                        f"arecord -t raw -f S16_LE -c 1 -r {rate} gives them; names of files are arguments.")
    return np.frombuffer(content, "<i2").astype(np.int16, copy=False)


def _is_text(head: bytes) -> bool:
    """Names of files, say, which other apps take from standard input; silence has NUL bytes, noise is no UTF-8."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return len(head) >= 8 and "".join(text.split()).isprintable()


def is_file(content: bytes) -> bool:
    """Whether bytes begin as a sound file does, rather than with raw samples."""
    return content.startswith(BEGINS) or content[4:8] == b"ftyp" or bool(MP3.match(content))  # ftyp: MP4


# Many clips

def read_all(sources: Sequence[Source], rate: int, max_bad: float,
             most_seconds: float = LONGEST) -> tuple[Ragged, np.ndarray, list[str]]:
    """Many clips, several read at once.

    Args:
        sources: the files, or their bytes.
        rate: samples a second to which they are brought.
        max_bad: share of unreadable files above which it stops.
        most_seconds: longer clips are left out, since their words would be of more than was read.

    Returns:
        int16 samples by row, the index in `sources` of each row (int64 `[rows]`), and notes.

    Raises:
        UserError: too many bad files, or no clip is left.
    """
    most = round(most_seconds * rate)

    def one(source: Source) -> tuple[np.ndarray, int, int, bool] | UserError:
        try:
            with _opened(source) as sound:
                samples = _first(sound, source, rate, most + 1)
                return samples, sound.samplerate, sound.channels, sound.lacks(sound.done)
        except UserError as error:
            return error

    checks = Checks(rate)
    values, offsets, kept = bytearray(), [0], []  # grows in place: arrays to be joined would take twice the memory
    bad: list[UserError] = []
    long: list[Source] = []
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:  # the MP3 decoder speaks to standard error by itself
        for index, (source, clip) in enumerate(zip(sources, pool.map(one, sources), strict=True)):
            if isinstance(clip, UserError):
                bad.append(clip)
            elif len(clip[0]) > most:
                long.append(source)
            else:
                checks.add(str(source), *clip)
                values += clip[0].tobytes()
                offsets.append(offsets[-1] + len(clip[0]))
                kept.append(index)
    if len(bad) > max_bad * len(sources):
        raise UserError(f"{len(bad)} of {len(sources)} sounds cannot be read (--max-bad allows {max_bad:.0%}); the "
                        f"first: {bad[0]}")
    notes = [f"{len(bad)} unreadable sound(s) left out; the first: {bad[0]}"] if bad else []
    if long:
        notes.append(f"{len(long)} clip(s) longer than {most_seconds:g} s left out; the first: {long[0]}.")
    if not kept:
        raise UserError(f"No clip is left of {len(sources)}: {' '.join(notes) or 'there are none.'}")
    return Ragged(np.frombuffer(values, np.int16), np.array(offsets)), np.array(kept), notes + checks.notes()


def to_float(samples: np.ndarray) -> np.ndarray:
    """float32 from -1 to 1, of int16."""
    return samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples

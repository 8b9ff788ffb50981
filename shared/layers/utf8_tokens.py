"""A tokenizer that is part of the graph: UTF-8 bytes in, token ids out."""

import base64
import random
import zlib
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.layers.unicode_classes import IGNORED, NUMBER, SIGN, SPACE, WORD, unicode_tables

# Odd factors that spread bits: 2**32 over the golden ratio, and Knuth's other one.
FIRST_FACTOR, SECOND_FACTOR = -1640531527, 668265263
REPLACEMENT = 0xFFFD
JOINER = (0xE2, 0x80, 0x8D)  # zero width joiner in UTF-8
PAGES = 0x110000 // 128
BASES = 20  # hash bases tried before two words of a vocabulary may share one id


@keras.saving.register_keras_serializable("pocketconv")
class Utf8Tokens(keras.layers.Layer):
    """Splits text into tokens and looks them up, by operations that TFLite has built in.

    Bytes are decoded (what is no UTF-8 becomes U+FFFD, one for each maximal subpart) and lower-cased (simple
    mapping). A token is a run of letters, a run of digits, or one character of any other kind: a sign, an ideograph,
    a letter of a script without spaces (see `unicode_classes`). Accents and other marks stay with the character
    before them, so do the parts of joined emoji. A text that holds `separator` brings its own tokens: they are what
    stands between those characters, whatever it is. A token in the vocabulary has an id of its own; any other falls
    into one of `buckets` by its hash, and so do pairs of neighbours. The same numbers come out eager, compiled by XLA,
    from a SavedModel and from a `.tflite`.

    Args:
        words: the vocabulary, lower-cased tokens; of two with one hash the first stays.
        buckets: ids for unknown tokens.
        pair_buckets: ids for pairs of neighbours.
        max_bytes: longest input.
        max_tokens: tokens given; the text behind them is left out. None: as many as there are bytes.
        max_characters: characters given of each token.
        separator: code point that alone separates the tokens of a text in which it stands (U+001F: 31), or None.
        base: odd factor of the hash; found for these words where None.
        unicode: the Unicode tables as `get_config` gives them; those of the running Python where None. Saved with a
            model, so that no other version of Unicode can change its answers.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape:
        int32 (or uint8) `[batch, bytes]`, values 0 to 255, padded with 0; at least 4 and at most `max_bytes` of them.

    Output: a dict of int32 tensors; what stands behind the last token is 0.
        ids: `[batch, tokens]`: 1 to `buckets` for unknown tokens, then one number a word.
        pairs: `[batch, tokens]`: 1 to `pair_buckets` for a token and the next one, 0 for the last token.
        offsets, lengths: `[batch, tokens]`: where each token lies in the input, in bytes.
        characters: `[batch, tokens, max_characters]`: the lower-cased code points of each token.
        capitals: of the same shape, 1 where lower-casing changed the character.
        text: `[batch, bytes]`: all lower-cased code points, runs of spaces as one space, packed to the left.
        count: `[batch]`: how many tokens the text has, those left out too.

    Example:

    >>> tokens = Utf8Tokens(["hello", "world"], buckets=10)
    >>> text = np.frombuffer("Hello, 世界!".encode(), np.uint8)[None]
    >>> made = tokens(text)
    >>> made["offsets"][0, :5].numpy(), made["lengths"][0, :5].numpy()
    (array([ 0,  5,  7, 10, 13], dtype=int32), array([5, 1, 3, 3, 1], dtype=int32))

    Reference:
        The Unicode Standard, 3.9 (U+FFFD substitution of maximal subparts); Unicode Standard Annex 29 (words).
    """

    def __init__(self, words: list[str], buckets: int = 1000, pair_buckets: int = 1, max_bytes: int = 4096,
                 max_tokens: int | None = None, max_characters: int = 16, separator: int | None = None,
                 base: int | None = None, unicode: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if buckets < 1 or pair_buckets < 1 or max_bytes < 4:
            raise ValueError(f"buckets {buckets}, pair_buckets {pair_buckets}: at least 1; max_bytes {max_bytes}: at "
                             f"least 4.")
        self.buckets, self.pair_buckets, self.max_bytes = buckets, pair_buckets, max_bytes
        self.max_tokens, self.max_characters, self.separator = max_tokens, max_characters, separator
        self.unicode = unicode or pack_tables()
        self.pages, self.properties, self.meaning = unpack_tables(self.unicode)
        self.lead = lead_bytes()
        hashes, self.base = distinct_hashes(words, base)
        order = np.unique(hashes, return_index=True)[1]
        self.words = [words[i] for i in order]  # in the order of their ids
        self._make_table(hashes[order], np.array([check_sum(word) for word in self.words], np.int32))
        self.power, self.inverse = (powers(factor, max_bytes) for factor in (self.base, pow(self.base, -1, 2**32)))

    @property
    def size(self) -> int:
        """The number of ids, 0 included: what an embedding needs."""
        return 1 + self.buckets + len(self.words)

    def _make_table(self, hashes: np.ndarray, checks: np.ndarray) -> None:
        """Sorted hashes; their top bits say where to begin, so that few steps find a word."""
        self.shift = 32 - max(1, len(hashes).bit_length())
        edges = (np.arange(2 ** (32 - self.shift) + 1, dtype=np.int64) << self.shift) - 2**31
        first = np.searchsorted(hashes.astype(np.int64), edges)
        self.first, self.steps = first[:-1].astype(np.int32), int(np.diff(first).max()).bit_length()
        beyond = 2**self.steps  # so that no step looks behind the end
        self.hashes = np.concatenate([hashes, np.full(beyond, 2**31 - 1)]).astype(np.int32)
        self.checks = np.concatenate([checks, np.zeros(beyond)]).astype(np.int32)

    def call(self, inputs: Any) -> dict[str, Any]:
        given = tf.clip_by_value(tf.cast(inputs, tf.int32), 0, 255)
        rows, length = (known if known is not None else tf.shape(given)[axis]
                        for axis, known in enumerate(given.shape))
        tokens = length if self.max_tokens is None else self.max_tokens
        row = tf.expand_dims(tf.range(rows), 1)
        first, code = self._decode(given)
        kind, lower = self._classify(code)
        seen, kind = kind < IGNORED, self._by_separator(kind, code)

        # Every byte gets the kind of the last base character: numbered by a running sum, looked up by that number.
        is_base = first & (kind <= SIGN)
        number = tf.cumsum(tf.cast(is_base, tf.int32), axis=1) + row * (length + 1)
        of_base = tf.gather(_sum_at(number, tf.where(is_base, kind, 0), rows * (length + 1)), number)
        before = tf.pad(of_base[:, :-1], [[0, 0], [1, 0]])
        same_run = tf.equal(kind, before) & ((kind <= NUMBER) | (tf.equal(kind, SIGN) & self._after_joiner(given)))
        starts = tf.cast(is_base & (kind > SPACE) & ~same_run, tf.int32)
        inside = tf.cast(of_base > SPACE, tf.int32)
        kept = first & (of_base > SPACE) & seen
        is_kept = tf.cast(kept, tf.int32)
        place = tf.cumsum(is_kept, axis=1, exclusive=True)  # of each kept character among them

        # One sum for each token and property. Slot 0 takes what is in no token, the last one the tokens too many.
        ordinal = tf.cumsum(starts, axis=1)
        gaps = starts * tf.cast(tf.equal(before, SPACE) & (ordinal > 1), tf.int32)
        slot = tf.minimum(ordinal, tokens + 1) * inside + row * (tokens + 2)
        parts = [tf.range(length) * starts, inside, is_kept, place * starts,
                 lower * tf.gather(self.power, place) * is_kept, _mix(lower, SECOND_FACTOR) * is_kept]
        offsets, lengths, sizes, begins, hashes, checks = (
            tf.reshape(_sum_at(slot, part, rows * (tokens + 2)), [rows, tokens + 2])[:, 1:-1] for part in parts)
        used = tf.cast(lengths > 0, tf.int32)
        # Powers count from the row's first character; times the inverse power they count from the token's first.
        hashes = _mix(_mix(hashes * tf.gather(self.inverse, begins), FIRST_FACTOR), SECOND_FACTOR)
        after = tf.pad(hashes[:, 1:], [[0, 0], [0, 1]])
        pairs = 1 + tf.math.floormod(_mix(hashes * FIRST_FACTOR + after, SECOND_FACTOR), self.pair_buckets)

        line = tf.where(kept, place, length) + row * (length + 1)
        packed = _sum_at(line, (2 * lower + tf.cast(tf.not_equal(lower, code), tf.int32)) * is_kept,
                         rows * (length + 1))
        within = tf.range(self.max_characters)
        at = tf.minimum(tf.expand_dims(begins, -1) + within, length) + tf.expand_dims(row, -1) * (length + 1)
        characters = tf.where(within < tf.expand_dims(sizes, -1), tf.gather(packed, at), 0)
        lowered = tf.bitwise.right_shift(characters, 1)
        return {"ids": self._look_up(hashes, checks) * used, "offsets": offsets, "lengths": lengths,
                "pairs": pairs * tf.pad(used[:, 1:], [[0, 0], [0, 1]]), "characters": lowered,
                "capitals": characters - 2 * lowered,
                "text": self._text(is_kept, gaps, lower, row, length), "count": tf.reduce_sum(starts, 1)}

    def _decode(self, given: Any) -> tuple[Any, Any]:
        """Whether each byte is a character's first, and the code point that begins there."""
        size, code, low, high = (tf.gather(column, given) for column in self.lead)
        following = tf.pad(given, [[0, 0], [0, 3]])
        second, third, fourth = following[:, 1:-2], following[:, 2:-1], following[:, 3:]
        good_second = (second >= low) & (second <= high)  # the lead byte narrows it: no surrogates, nothing overlong
        good_third = good_second & (size >= 3) & (third >= 0x80) & (third <= 0xBF)
        good_fourth = good_third & (size >= 4) & (fourth >= 0x80) & (fourth <= 0xBF)
        taken, covered = 1, 0
        for ahead, (good, value) in enumerate([(good_second, second), (good_third, third), (good_fourth, fourth)], 1):
            code = tf.where(good, code * 64 + value - 0x80, code)
            taken += tf.cast(good, tf.int32)
            covered += tf.pad(tf.cast(good, tf.int32)[:, :-ahead], [[0, 0], [ahead, 0]])
        return tf.equal(covered, 0), tf.where(tf.equal(taken, size), code, REPLACEMENT)

    def _classify(self, code: Any) -> tuple[Any, Any]:
        """Class and lower case of code points."""
        page = tf.bitwise.right_shift(code, 7)
        place = (tf.cast(tf.gather(self.pages, page), tf.int32) - page) * 128 + code
        kind, change = (tf.gather(column, tf.cast(tf.gather(self.properties, place), tf.int32))
                        for column in self.meaning.T)
        return kind, code + change

    def _by_separator(self, kind: Any, code: Any) -> Any:
        """In texts with own tokens: the separator and padding are spaces, and all else is of one kind."""
        if self.separator is None:
            return kind
        between = tf.equal(code, self.separator)
        own = tf.reduce_any(between, axis=1, keepdims=True)
        return tf.where(own, tf.where(between | tf.equal(code, 0), SPACE, WORD), kind)

    @staticmethod
    def _after_joiner(given: Any) -> Any:
        """Whether a zero width joiner stands right before each byte."""
        earlier = tf.pad(given, [[0, 0], [3, 0]])
        return (tf.equal(earlier[:, :-3], JOINER[0]) & tf.equal(earlier[:, 1:-2], JOINER[1])
                & tf.equal(earlier[:, 2:-1], JOINER[2]))

    def _look_up(self, hashes: Any, checks: Any) -> Any:
        """Ids by the first hash that is not smaller; a second sum guards against words of one hash."""
        at = tf.gather(self.first, tf.bitwise.right_shift(hashes, self.shift) + 2 ** (31 - self.shift))
        for step in (2**power for power in reversed(range(self.steps))):
            at = tf.where(tf.gather(self.hashes, at + step - 1) < hashes, at + step, at)
        known = tf.equal(tf.gather(self.hashes, at), hashes) & tf.equal(tf.gather(self.checks, at), checks)
        return tf.where(known, at + 1 + self.buckets, 1 + tf.math.floormod(hashes, self.buckets))

    @staticmethod
    def _text(is_kept: Any, gaps: Any, lower: Any, row: Any, length: Any) -> Any:
        """All kept characters, with one space where there is a gap before a token, packed to the left."""
        end = tf.cumsum(is_kept + gaps, axis=1)
        rows = tf.shape(row)[0]

        def placed(chosen: Any, back: Any, values: Any) -> Any:
            return _sum_at(tf.where(chosen > 0, end - back, length) + row * (length + 1), values,
                           rows * (length + 1))
        packed = placed(is_kept, 1, lower * is_kept) + placed(gaps, 1 + is_kept, ord(" ") * gaps)
        return tf.reshape(packed, [rows, length + 1])[:, :-1]

    def compute_output_spec(self, inputs: Any) -> dict[str, Any]:
        batch, length = inputs.shape
        tokens = length if self.max_tokens is None else self.max_tokens
        shapes = {name: (batch, tokens) for name in ("ids", "offsets", "lengths", "pairs")} | {
            "characters": (batch, tokens, self.max_characters), "capitals": (batch, tokens, self.max_characters),
            "text": (batch, length), "count": (batch,)}
        return {name: keras.KerasTensor(shape, "int32") for name, shape in shapes.items()}

    def get_config(self) -> dict[str, Any]:
        """All of it can be written as JSON; the words come in the order of their ids."""
        own = ("words", "buckets", "pair_buckets", "max_bytes", "max_tokens", "max_characters", "separator", "base",
               "unicode")
        return super().get_config() | {name: getattr(self, name) for name in own}


def _sum_at(places: Any, values: Any, size: Any) -> Any:
    """A vector of `size` in which each value was added at its place."""
    return tf.scatter_nd(tf.reshape(places, [-1, 1]), tf.reshape(values, [-1]), tf.reshape(size, [1]))


def _mix(values: Any, factor: int) -> Any:
    """Spreads the bits of int32 values, tensors or NumPy arrays; one to one but for the highest bits."""
    spread = values * np.int32(factor)
    # Plus, not xor: the shift keeps the sign, and a number xor its sign bits has always the same sign.
    return spread + (spread >> np.int32(15) if isinstance(spread, np.ndarray) else tf.bitwise.right_shift(spread, 15))


def lead_bytes() -> np.ndarray:
    """For each first byte: length of the sequence (0: none begins so), its own bits, least and greatest second byte.

    int32 `[4, 256]`, after table 3-7 of the Unicode Standard.
    """
    table = np.zeros((4, 256), np.int32)
    table[2] = 256  # no second byte fits
    for byte in [*range(0x80), *range(0xC2, 0xF5)]:
        size = 1 if byte < 0x80 else 2 + (byte >= 0xE0) + (byte >= 0xF0)
        table[:2, byte] = size, byte & (0xFF >> size + (size > 1))
        if size > 1:
            table[2:, byte] = {0xE0: 0xA0, 0xF0: 0x90}.get(byte, 0x80), {0xED: 0x9F, 0xF4: 0x8F}.get(byte, 0xBF)
    return table


def powers(factor: int, count: int) -> np.ndarray:
    """1, factor, its square, … modulo 2**32; int32 `[count + 1]`."""
    steps = np.full(count + 1, factor % 2**32, np.uint32)
    steps[0] = 1
    return np.cumprod(steps, dtype=np.uint32).astype(np.int32)


def hash_words(words: list[str], base: int) -> np.ndarray:
    """The hash that the graph gives each word, int32 `[words]`."""
    sizes = np.array([len(word) for word in words], np.int64)
    codes = np.array([ord(character) for word in words for character in word], np.int64)
    within = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    terms = codes.astype(np.int32) * powers(base, int(sizes.max(initial=0)))[within]
    sums = np.zeros(len(words), np.int32)
    np.add.at(sums, np.repeat(np.arange(len(words)), sizes), terms)
    return _mix(_mix(sums, FIRST_FACTOR), SECOND_FACTOR)


def check_sum(word: str) -> int:
    """A second, independent sum of a word's characters, int32."""
    return int(_mix(np.array([ord(character) for character in word], np.int32), SECOND_FACTOR).sum(dtype=np.int32))


def distinct_hashes(words: list[str], base: int | None) -> tuple[np.ndarray, int]:
    """Hashes of all words, and the base by which no two of them are alike, where one of `BASES` is such."""
    draw = random.Random(1)
    for _ in range(BASES):
        # 5 modulo 8: the powers then run through the longest cycle.
        tried = base if base is not None else draw.getrandbits(32) & ~7 | 5
        hashes = hash_words(words, tried)
        if base is not None or len(np.unique(hashes)) == len(words):
            break
    return hashes, tried


@cache
def pack_tables() -> str:
    """The Unicode tables of the running Python as text of some 4 KB."""
    pages, properties, meaning = unicode_tables()
    plain = len(properties).to_bytes(4, "little") + pages.tobytes() + properties.tobytes() + meaning.astype(
        "<i4").tobytes()
    return base64.b85encode(zlib.compress(plain, 9)).decode()


def unpack_tables(packed: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of `pack_tables`."""
    plain = zlib.decompressobj().decompress(base64.b85decode(packed), 1 << 20)
    middle, end = 4 + PAGES, 4 + PAGES + int.from_bytes(plain[:4], "little")
    return (np.frombuffer(plain[4:middle], np.uint8), np.frombuffer(plain[middle:end], np.uint8),
            np.frombuffer(plain[end:], "<i4").reshape(-1, 2).astype(np.int32))

"""The tokenizer in the graph against regular expressions over `bytes.decode`, eager, compiled, saved and in LiteRT."""

import codecs
import itertools
import random
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data import plain_tokens
from shared.layers.unicode_classes import IGNORED, simple_lower, unicode_class
from shared.layers.utf8_tokens import Utf8Tokens, distinct_hashes, hash_words, powers

WIDTH = 96
SAMPLES = [
    "The quick brown fox can't jump 3.14 times, isn't it? Zażółć gęślą jaźń İstanbul ẞ STRASSE x2y",
    "Ἐν ἀρχῇ ἦν ὁ ΛΌΓΟΣ Съешь ещё этих мягких булок ١٢٣ שָׁלוֹם हिन्दी में क्षत्रिय ไทยแลนด์ ქართული ᲥᲐᲠᲗᲣᲚᲘ",
    "吾輩は猫である。カタカナ か゚ 漢字仮名 한국어 텍스트 中文字符，𠮷野家 ㄅㄆㄇ ﬁ ½ Ⅷ ꭰᏣ 𐐀𐐨 ភាសាខ្មែរ မြန်မာ ລາວ",
    "👩‍👩‍👧‍👦 👍🏽 🇫🇷🇩🇪 ❤️ 1️⃣ ☎︎ e\u0301\u0328 co\u00adop \ufeffx\u200bz \u200fعربي\u200e $€£ a@c.de #tag \0 nul \t tab"]
# First and last bytes of every range that the standard's table of well-formed sequences has.
EDGES = bytes.fromhex("007f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff")
WORDS = sorted({word for text in SAMPLES for word in plain_tokens.words(text)})[::2]


def layer(**options):
    return Utf8Tokens(WORDS, **{"buckets": 50, "pair_buckets": 64, "max_bytes": 4096, "max_characters": 8,
                                 "separator": 0x1F, **options})


TOKENS = layer()


def decoded(data):
    """The text, and where each of its characters begins; U+FFFD for what is malformed."""
    starts, text, at = [], "", 0

    def replace(error):
        return "\ufffd", error.end

    codecs.register_error("tests.replace", replace)
    while at < len(data):
        for size in (1, 2, 3, 4):
            try:
                character = data[at:at + size].decode()
            except UnicodeDecodeError as error:
                if error.reason == "unexpected end of data" and at + size < len(data) and size < 4:
                    continue
                character, size = "\ufffd", error.end
            break
        starts.append(at)
        text, at = text + character, at + size
    assert text == data.decode(errors="tests.replace")
    return text, [*starts, len(data)]


def signed(value):
    return (value + 2**31) % 2**32 - 2**31


def mixed(value, factor):
    return signed(signed(value * factor) + (signed(value * factor) >> 15))


def hashed(word, base):
    """The hash by Python's whole numbers."""
    total = signed(sum(ord(character) * pow(base, place, 2**32) for place, character in enumerate(word)))
    return mixed(mixed(total, -1640531527), 668265263)


def expected(data, tokens, width, most=None):
    """What the layer must give for one text."""
    text, starts = decoded(data)
    separator = chr(tokens.separator) if tokens.separator else None
    found = list(plain_tokens.spans(text, separator))
    words = plain_tokens.words(text, separator)
    ids = {word: 1 + tokens.buckets + i for i, word in enumerate(tokens.words)}
    hashes = [hashed(word, tokens.base) for word in words]
    line = ""
    for i, word in enumerate(words):
        line += (" " if i and found[i][0] != found[i - 1][1] else "") + word
    most = most or width
    rows = {"ids": [ids.get(word, 1 + h % tokens.buckets) for word, h in zip(words, hashes, strict=True)],
            "pairs": [1 + mixed(signed(a * -1640531527 + b), 668265263) % tokens.pair_buckets
                      for a, b in itertools.pairwise(hashes[:most])],
            "offsets": [starts[start] for start, _ in found],
            "lengths": [starts[end] - starts[start] for start, end in found]}
    made = {name: np.array((row + [0] * most)[:most]) for name, row in rows.items()}
    size = tokens.max_characters
    characters = [([ord(c) for c in word] + [0] * size)[:size] for word in (words + [""] * most)[:most]]
    whole = [[(c, simple_lower(c)) for c in text[start:end] if unicode_class(c) != IGNORED] for start, end in found]
    capitals = [([c != lower for c, lower in word] + [0] * size)[:size] for word in (whole + [[]] * most)[:most]]
    return made | {"characters": np.array(characters), "capitals": np.array(capitals),
                   "text": np.array(([*map(ord, line)] + [0] * width)[:width]),
                   "count": np.array(len(words))}


def padded(rows, width=WIDTH):
    array = np.zeros((len(rows), width), np.int32)
    for i, data in enumerate(rows):
        array[i, :len(data[:width])] = list(data[:width])
    return array


def check(made, rows, tokens=TOKENS, width=WIDTH, most=None):
    for i, data in enumerate(rows):
        want = expected(data[:width], tokens, width, most)
        for name, array in want.items():
            np.testing.assert_array_equal(np.asarray(made[name])[i], array, f"{name} of {data!r}")


def drawn(count, width=WIDTH, seed=0):
    """Texts of all scripts, whole and damaged, random code points, and bytes at the edges of the standard's table."""
    dice, rows = random.Random(seed), []
    for _ in range(count):
        data, way = b"", dice.randrange(6)
        while len(data) < width:
            text = dice.choice(SAMPLES)
            at = dice.randrange(len(text))
            piece = bytearray(text[at:at + dice.randrange(1, 20)].encode())
            if way == 2:
                piece[dice.randrange(len(piece))] = dice.randrange(256)
            if way == 3:
                piece = bytearray("".join(chr(dice.choice([dice.randrange(0xD800), dice.randrange(
                    0xE000, 0x110000)])) for _ in range(4)).encode())
            if way == 4:
                piece = bytearray(dice.choices(EDGES, k=6))
            data += piece + (b"\x1f" if way == 5 else b" ") * dice.randrange(2)
        rows.append(data[:dice.randrange(width + 1)])
    return rows


ROWS = drawn(600)


@pytest.fixture(scope="module")
def want():
    return {name: array.numpy() for name, array in TOKENS(padded(ROWS)).items()}


def test_drawn_texts_are_cut_as_by_the_reference(want):
    check(want, ROWS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=WIDTH // 4), min_size=1, max_size=30))
def test_any_text_is_cut_as_by_the_reference(texts):
    rows = [text.encode() for text in texts]
    check(TOKENS(padded(rows)), rows)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=WIDTH), min_size=1, max_size=30))
def test_any_bytes_are_cut_as_by_the_reference(rows):
    check(TOKENS(padded(rows)), rows)


def test_every_character_has_the_class_and_the_lower_case_of_the_standard():
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    given = np.frombuffer("".join(every).encode(), np.uint8).astype(np.int32)[None]
    first, code = TOKENS._decode(given)
    kinds, lower = (array[first].numpy() for array in TOKENS._classify(code))
    assert kinds.tolist() == [unicode_class(character) for character in every]
    assert lower.tolist() == [ord(simple_lower(character)) for character in every]


def test_four_edge_bytes_are_decoded_as_python_does():
    quads = np.array(list(itertools.product(EDGES[::2], repeat=4)), np.int32)
    first, code = (array.numpy() for array in TOKENS._decode(quads))
    for row, starts, codes in zip(quads, first, code, strict=True):
        assert "".join(map(chr, codes[starts])) == bytes(row.tolist()).decode(errors="replace")


@pytest.mark.parametrize("text,words", [
    ("Don't stop, it's 3.14!", "don ' t stop , it ' s 3 . 14 !"), ("ΣΑΣ Straße", "σασ straße"),
    ("我爱NLP2024", "我 爱 nlp 2024"), ("สวัสดี", "ส วั ส ดี"), ("カタカナとひらがな", "カタカナ と ひ ら が な"),
    ("안녕 하세요", "안녕 하세요"), ("👩‍👩‍👧 👍🏽!", "👩👩👧 👍🏽 !"), ("naïve nai\u0308ve", "naïve nai\u0308ve"),
    ("co\u00adop\u200b", "coop"), ("a\0b", "a b"), ("", ""), (" \t\n", ""), ("\u0301", "")])
def test_words_are_those_a_reader_expects(text, words):
    data = text.encode()
    assert plain_tokens.words(text) == words.split(" " if words else None)
    made = TOKENS(padded([data]))
    assert int(made["count"][0]) == len(words.split())
    check(made, [data])


@pytest.mark.parametrize("text,words", [
    ("U.S.\x1f3.14\x1f\u200b\x1f", ["u.s.", "3.14", ""]), ("\x1f\x1fNew York\x1fist schön", ["new york", "ist schön"]),
    ("\u0301\x1f我们", ["\u0301", "我们"]), ("\x1f", []), ("U.S.", ["u", ".", "s", "."])])
def test_a_text_may_bring_its_own_tokens(text, words):
    data = text.encode()
    made = TOKENS(padded([data]))
    assert plain_tokens.words(text, "\x1f") == words and int(made["count"][0]) == len(words)
    check(made, [data])
    plain = layer(separator=None)
    check(plain(padded([data])), [data], plain)


def test_all_ways_of_running_it_agree(want, tmp_path):
    from ai_edge_litert.interpreter import Interpreter
    module = tf.Module()
    module.tokens = TOKENS
    specs = [tf.TensorSpec([None, None], tf.int32, name="text")]
    traced = tf.function(TOKENS.__call__, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path), signatures=traced.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.resize_tensor_input(0, [len(ROWS), WIDTH])
    rows = padded(ROWS)
    ways = {"graph": traced(tf.constant(rows)), "XLA": tf.function(TOKENS.__call__, jit_compile=True)(rows),
            "SavedModel": tf.saved_model.load(str(tmp_path)).signatures["serving_default"](tf.constant(rows)),
            "LiteRT": interpreter.get_signature_runner()(text=rows)}
    for way, made in ways.items():
        for name, array in want.items():
            np.testing.assert_array_equal(made[name], array, f"{name} by {way}")


def test_tokens_too_many_are_left_out_and_counted():
    short = layer(max_tokens=5)
    check(short(padded(ROWS[:100])), ROWS[:100], short, most=5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_bytes_come_in_either_type(dtype, want):
    made = TOKENS(padded(ROWS).astype(dtype))
    np.testing.assert_array_equal(made["ids"], want["ids"])


def test_numbers_that_are_no_bytes_do_no_harm():
    made = TOKENS(np.array([[-5, 300, 97, 98, 2**31 - 1, 0]], np.int32))
    assert made["offsets"][0, :2].numpy().tolist() == [1, 2] and int(made["count"][0]) == 3


def test_padding_changes_nothing(want):
    wider = TOKENS(padded(ROWS, 2 * WIDTH))
    for name in ("ids", "pairs", "offsets", "lengths"):
        np.testing.assert_array_equal(wider[name][:, :WIDTH], want[name])


def test_words_of_equal_hash_are_told_apart_by_the_base():
    words = [f"word{i}" for i in range(60_000)]
    hashes, base = distinct_hashes(words, None)
    assert len(np.unique(hashes)) == len(words)
    assert hash_words(words[:50], base).tolist() == [hashed(word, base) for word in words[:50]]
    assert powers(base, 9).tolist() == [signed(pow(base, i, 2**32)) for i in range(10)]


def test_a_large_vocabulary_is_found_whole():
    words = [f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(15_000)]
    large = Utf8Tokens(words, buckets=7, max_tokens=1, max_bytes=8)
    ids = large(padded([word.encode() for word in large.words], 8))["ids"][:, 0].numpy()
    assert ids.tolist() == list(range(8, 8 + len(words)))
    strange = large(padded([b"zzzz", b"qqqqq"], 8))["ids"][:, 0].numpy()
    assert (strange <= 7).all() and (strange >= 1).all()


def test_the_same_layer_comes_from_its_configuration(want):
    config = keras.layers.serialize(TOKENS)
    again = keras.layers.deserialize(config)
    assert again.get_config() == TOKENS.get_config()
    np.testing.assert_array_equal(again(padded(ROWS))["ids"], want["ids"])


def test_unicode_of_another_version_travels_with_the_model(monkeypatch):
    config = TOKENS.get_config()
    monkeypatch.setattr("shared.layers.utf8_tokens.unicode_tables", None)
    monkeypatch.setattr(unicodedata, "category", None)
    assert Utf8Tokens.from_config(config).unicode == TOKENS.unicode


def test_symbolic_shapes_are_those_made():
    inputs = keras.Input([WIDTH], dtype="int32")
    for name, made in TOKENS(inputs).items():
        assert made.shape[1:] == TOKENS(padded(ROWS[:2]))[name].shape[1:] and made.dtype == "int32"


@pytest.mark.parametrize("wrong", [{"buckets": 0}, {"pair_buckets": 0}, {"max_bytes": 2}])
def test_senseless_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        layer(**wrong)


def test_an_empty_vocabulary_has_buckets_only():
    made = Utf8Tokens([], buckets=3)(padded([b"one two three"]))
    assert set(made["ids"][0, :3].numpy().tolist()) <= {1, 2, 3} and not made["ids"][0, 3:].numpy().any()

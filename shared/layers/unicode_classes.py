"""What the tokenizer asks of Unicode about each character. Plain Python: no Keras here."""

import unicodedata
from functools import cache

import numpy as np

# Bases open a token or belong to one: a space to none, a run of word characters or of digits is one token, each single
# character and each sign is one. Marks and ignored characters stay with the base before them.
SPACE, WORD, NUMBER, SINGLE, SIGN, MARK, IGNORED = range(7)
LAST = 0x10FFFF  # code point
# Letters of scripts that put no spaces between words: Unicode Standard Annex 29 breaks at each. Katakana and Hangul
# stay together there, and here.
SPACELESS = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HIRAGANA", "HENTAIGANA", "TANGUT",
             "NUSHU", "KHITAN", "THAI", "LAO", "KHMER", "MYANMAR", "TAI ", "NEW TAI LUE", "AHOM")


def unicode_class(character: str) -> int:
    """The class of one character, by its general category and its name."""
    code, category = ord(character), unicodedata.category(character)
    if category == "Cf" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:  # joiners, variation selectors
        return IGNORED
    if category[0] == "M" or 0x1F3FB <= code <= 0x1F3FF:  # accents, vowel signs; skin tones of emoji
        return MARK
    if category[0] in "LN" and unicodedata.name(character, "").startswith(SPACELESS):
        return SINGLE
    return {"L": WORD, "N": NUMBER, "P": SIGN, "S": SIGN}.get(category[0], SPACE)


def simple_lower(character: str) -> str:
    """Unicode's simple lower-case mapping: one character to one."""
    lower = character.lower()
    return lower if len(lower) == 1 else lower[0]  # U+0130 alone: its full mapping is an i and a dot


@cache
def unicode_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class and lower case of all code points in three steps, as small tables.

    Returns:
        pages: uint8 [8704], the page of each 128 code points.
        properties: uint8 [pages * 128], by page and low bits.
        meaning: int32 [properties, 2]: class, and what is added to a code point to lower it.
    """
    found: dict[tuple[int, int], int] = {}
    every = np.array([found.setdefault((unicode_class(chr(code)), ord(simple_lower(chr(code))) - code), len(found))
                      for code in range(LAST + 1)])
    pages, which = np.unique(every.reshape(-1, 128), axis=0, return_inverse=True)
    assert len(found) <= 256 and len(pages) <= 256
    return which.ravel().astype(np.uint8), pages.ravel().astype(np.uint8), np.array(list(found), np.int32)

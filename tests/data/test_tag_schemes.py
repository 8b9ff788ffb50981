"""Schemes of tags: read as conlleval does, found, written; the steps that a CRF may take."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.tag_schemes import (
    PREFIXES,
    TagError,
    allowed_steps,
    entities,
    is_tag,
    misplaced,
    parts,
    scheme_named,
    scheme_of,
    tag_names,
    to_bioes,
)

WRITTEN = {  # one sentence in each scheme: entities of one, two and three tokens, two of them touching
    "IOB1": "O I-PER I-PER B-PER O I-LOC I-LOC I-LOC I-ORG O",
    "IOB2": "O B-PER I-PER B-PER O B-LOC I-LOC I-LOC B-ORG O",
    "BIOES": "O B-PER E-PER S-PER O B-LOC I-LOC E-LOC S-ORG O",
    "BMES": "O B-PER E-PER S-PER O B-LOC M-LOC E-LOC S-ORG O",
    "BILOU": "O B-PER L-PER U-PER O B-LOC I-LOC L-LOC U-ORG O"}
SPANS = [(1, 3, "PER"), (3, 4, "PER"), (5, 8, "LOC"), (8, 9, "ORG")]

# conlleval's two subroutines as tables, "previous tag, tag" of one type; types that differ end and begin in any case.
# E and S are those of its later versions (and of seqeval): the first knew I, O and B alone.
ENDS = {"BB", "BS", "BO", "IB", "IS", "IO", "EB", "EI", "EE", "ES", "EO", "SB", "SI", "SE", "SS", "SO"}
STARTS = {"BB", "IB", "EB", "SB", "OB", "BS", "IS", "ES", "SS", "OS", "EE", "EI", "SE", "SI", "OE", "OI"}
SAME = str.maketrans("MLU", "IES")

prefixes = st.sampled_from("BIESMLU")
tags = st.lists(st.one_of(st.just("O"), st.builds("{}-{}".format, prefixes, st.sampled_from(["X", "Y-Z"]))),
                max_size=8)


def by_conlleval(sequence):
    """Entities by its main loop: ends are looked at before starts."""
    found, begin, before, of_before = [], None, "O", ""
    for at, tag in enumerate([*sequence, "O"]):
        letter, _, of_tag = tag.partition("-")
        letter = letter.translate(SAME)
        differ = of_before != of_tag
        if begin is not None and (before + letter in ENDS or (before != "O" and differ)):
            found.append((begin, at, of_before))
            begin = None
        if before + letter in STARTS or (letter != "O" and differ):
            begin = at
        before, of_before = letter, of_tag
    return found


@given(tags)
def test_entities_are_those_of_conlleval(sequence):
    assert entities(sequence) == by_conlleval(sequence)


@pytest.mark.parametrize("scheme", WRITTEN)
def test_every_scheme_is_read_and_found(scheme):
    sequence = WRITTEN[scheme].split()
    assert entities(sequence) == SPANS
    assert scheme_of([sequence]) == scheme and misplaced(sequence, scheme) == []


@pytest.mark.parametrize("sequence,spans", [
    ("I-PER I-PER", [(0, 2, "PER")]), ("O E-PER", [(1, 2, "PER")]), ("B-PER I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),
    ("S-PER I-PER", [(0, 1, "PER"), (1, 2, "PER")]), ("M-PER E-PER E-PER", [(0, 2, "PER"), (2, 3, "PER")]),
    ("B-PER S-PER B-PER", [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "PER")]), ("", []), ("O O", []),
    ("B I O", [(0, 2, "ENTITY")]), ("B-A-B I-A-B I-A", [(0, 2, "A-B"), (2, 3, "A")])])
def test_broken_and_bare_tags_have_a_meaning(sequence, spans):
    assert entities(sequence.split()) == spans


@pytest.mark.parametrize("sentences,scheme", [
    (["I-X I-X O", "B-X I-X O"], "IOB2"), (["I-X O", "I-X O", "B-X O"], "IOB1"), (["I-X B-X I-X"], "IOB1"),
    (["O O"], "IOB2"), ([], "IOB2"), (["B-X E-X O"], "BIOES"), (["B-X M-X E-X"], "BMES"), (["U-X O"], "BILOU"),
    (["B-X I-Y O", "B-X"], "IOB2"), (["I-X I-Y O", "B-X"], "IOB1")])
def test_the_scheme_is_the_one_that_most_entities_follow(sentences, scheme):
    assert scheme_of([one.split() for one in sentences]) == scheme


@pytest.mark.parametrize("sentences,place,words", [
    (["O O", "O X-PER"], (1, 1), ["'X-PER'", "B-PER"]), (["O PER"], (0, 1), ["'PER'"]), (["B-"], (0, 0), ["'B-'"]),
    (["B-X I-X", "O B-X M-X"], (1, 2), ["'M-X'", "B-, I-"]), (["B-X L-X S-X"], (0, 2), ["'S-X'", "B-, L-"])])
def test_tags_of_no_scheme_are_told_with_their_place(sentences, place, words):
    with pytest.raises(TagError) as error:
        scheme_of([one.split() for one in sentences])
    assert (error.value.sentence, error.value.token) == place
    assert all(word in str(error.value) for word in words)


def test_an_asked_scheme_is_held_to():
    assert scheme_of([["I-X", "O"], ["B-X"]], "IOB2") == "IOB2"
    with pytest.raises(TagError, match="'E-X' is no tag of IOB2") as error:
        scheme_of([["O"], ["B-X", "E-X"]], "IOB2")
    assert (error.value.sentence, error.value.token) == (1, 1)


@pytest.mark.parametrize("given_name,scheme", [("bio", "IOB2"), ("IOBES", "BIOES"), ("bmeos", "BMES"),
                                               ("BIOUL", "BILOU"), ("iob1", "IOB1"), ("BMES", "BMES")])
def test_schemes_have_several_names(given_name, scheme):
    assert scheme_named(given_name) == scheme


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="IOB1, IOB2 .*'BOI'"):
        scheme_named("BOI")


def test_spans_are_written_and_read_back():
    assert to_bioes(SPANS, 10) == WRITTEN["BIOES"].split()
    assert to_bioes([], 0) == [] and to_bioes([], 2) == ["O", "O"]


@given(tags)
def test_bioes_keeps_every_entity_and_only_takes_allowed_steps(sequence):
    spans = entities(sequence)
    written = to_bioes(spans, len(sequence))
    assert entities(written) == spans and misplaced(written, "BIOES") == []
    names = tag_names(["ENTITY", "X", "Y-Z"])
    assert is_allowed(written, names)


@pytest.mark.parametrize("spans,length", [([(0, 0, "X")], 2), ([(1, 3, "X")], 2), ([(-1, 1, "X")], 2),
                                          ([(0, 2, "X"), (1, 3, "Y")], 3), ([(2, 1, "X")], 3)])
def test_spans_that_cannot_be_written_are_refused(spans, length):
    with pytest.raises(ValueError, match="span"):
        to_bioes(spans, length)


@pytest.mark.parametrize("scheme,sequence,found", [
    ("IOB2", "O I-X I-X", [1]), ("IOB2", "B-X I-Y", [1]), ("IOB1", "O I-X B-X", []), ("IOB1", "O B-X", []),
    ("BMES", "O M-X E-X", [1]), ("BMES", "B-X M-X O", [1]), ("BMES", "B-X B-X", [0, 1]),
    ("BIOES", "B-X O I-X", [0, 2]),
    ("BILOU", "B-X L-X U-X", []), ("BILOU", "L-X", [0])])
def test_tags_that_break_their_scheme_are_found(scheme, sequence, found):
    assert misplaced(sequence.split(), scheme) == found


def test_the_names_inside_are_in_a_fixed_order():
    assert tag_names(["LOC", "PER"]) == ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"]
    assert tag_names([]) == ["O"]


def is_allowed(sequence, names):
    allowed, first, last = allowed_steps(names)
    at = [names.index(tag) for tag in sequence]
    return not at or bool(first[at[0]] and last[at[-1]] and all(allowed[i][j] for i, j in itertools.pairwise(at)))


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES", "BMES", "BILOU"])
def test_allowed_are_those_sequences_that_the_scheme_writes(scheme):
    """All sequences of up to four tags: allowed are those, and only those, that come from some set of spans."""
    names = ["O"] + [f"{prefix}-{of_tag}" for of_tag in "XY" for prefix in PREFIXES[scheme]][::-1]
    for length in range(4 if len(names) > 5 else 5):
        for sequence in itertools.product(names, repeat=length):
            assert is_allowed(sequence, names) == (misplaced(sequence, scheme) == [])


def test_steps_of_bioes_as_one_would_write_them_down():
    allowed, first, last = allowed_steps(["O", "B-X", "I-X", "E-X", "S-X"])
    assert allowed == [[1, 1, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [1, 1, 0, 0, 1], [1, 1, 0, 0, 1]]
    assert (first, last) == ([1, 1, 0, 0, 1], [1, 0, 0, 1, 1])


def test_steps_of_bio_as_one_would_write_them_down():
    allowed, first, last = allowed_steps(["O", "B-X", "I-X", "B-Y", "I-Y"])
    assert allowed == [[1, 1, 0, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 0, 1, 1], [1, 1, 0, 1, 1]]
    assert (first, last) == ([1, 1, 0, 1, 0], [1, 1, 1, 1, 1])


@given(st.text(max_size=6))
def test_what_is_a_tag_can_be_parted_and_nothing_else(text):
    if is_tag(text):
        assert parts(text)[0] in {"O", *"BIESMLU"}
    else:
        with pytest.raises(ValueError, match="no tag"):
            parts(text)

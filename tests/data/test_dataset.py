import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.data.dataset import Dataset, Decoded, Ragged, Split

ROWS = st.lists(st.lists(st.integers(-99, 99), max_size=6), min_size=1, max_size=8)


def ragged(rows, fill=0, before=()):
    values = np.array([*before, *(value for row in rows for value in row)], np.int32)
    return Ragged(values, len(before) + np.cumsum([0, *map(len, rows)]), fill)


def padded(rows, indices, fill):
    """The same by a plain loop."""
    chosen = [list(rows[i]) for i in indices]
    longest = max(map(len, chosen), default=0)
    return [row + [fill] * (longest - len(row)) for row in chosen]


def wanted(data, rows):
    return data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))


@settings(deadline=None)
@given(ROWS, st.integers(-5, 5), st.lists(st.integers(), max_size=0) | st.just([7, 7]), st.data())
def test_ragged_rows_come_padded_to_the_longest(rows, fill, before, data):
    column, indices = ragged(rows, fill, before), wanted(data, rows)
    got = column[np.array(indices, int)]
    assert len(column) == len(rows) and got.dtype == np.int32
    assert got.tolist() == padded(rows, indices, fill)


@settings(deadline=None)
@given(ROWS, st.integers(-5, 5), st.lists(st.integers(), max_size=0) | st.just([7, 7]), st.data())
def test_selected_ragged_rows_are_those_rows(rows, fill, before, data):
    indices = wanted(data, rows)
    chosen = Split({"x": ragged(rows, fill, before)}).select(np.array(indices, int))
    assert len(chosen) == len(indices)
    assert len(chosen.columns["x"].values) == sum(len(rows[i]) for i in indices)
    again = data.draw(st.lists(st.integers(0, len(indices) - 1), max_size=5)) if indices else []
    assert chosen.take(np.array(again, int))["x"].tolist() == padded([rows[i] for i in indices], again, fill)


@settings(deadline=None)
@given(arrays(np.float32, (5, 3), elements=st.floats(-1, 1, width=32)))
def test_ragged_rows_of_vectors(values):
    got = Ragged(values, [0, 2, 2, 5], 0.5)[np.array([2, 1, 0])]
    np.testing.assert_array_equal(got, [values[2:], np.full((3, 3), 0.5), [*values[:2], [0.5] * 3]])


def mixed():
    """Six examples in columns of every kind."""
    asked = []

    def square(item):
        asked.append(item)
        return np.full((2, 2), item * item)

    rows = [[1], [], [2, 3], [4], [5, 6, 7], [8]]
    columns = {"plain": np.arange(12).reshape(6, 2), "ragged": ragged(rows, -1), "decoded": Decoded(range(6), square)}
    return Split(columns, {"file": [f"{n}.txt" for n in range(6)], "speaker": list("aabbcc")}), rows, asked


def test_take_gives_row_by_row_what_was_asked_for():
    whole, rows, _ = mixed()
    indices = np.array([4, 0, 4, 2])
    taken = whole.take(indices)
    assert list(taken) == ["plain", "ragged", "decoded"]
    assert taken["plain"].tolist() == [[8, 9], [0, 1], [8, 9], [4, 5]]
    assert taken["ragged"].tolist() == padded(rows, indices, -1)
    assert taken["decoded"].tolist() == [[[i * i] * 2] * 2 for i in indices]


def test_only_what_is_taken_is_decoded():
    whole, _, asked = mixed()
    chosen = whole.select(np.array([5, 1, 3]))
    assert asked == []
    chosen.take(np.array([0, 2]))
    assert asked == [5, 3]


def test_a_selection_keeps_columns_and_meta_together():
    whole, rows, _ = mixed()
    indices = np.array([5, 1, 2])
    chosen = whole.select(indices)
    assert len(chosen) == 3
    taken = chosen.take(np.arange(3))
    assert taken["plain"].tolist() == [[10, 11], [2, 3], [4, 5]]
    assert taken["ragged"].tolist() == padded(rows, indices, -1)
    assert taken["decoded"][:, 0, 0].tolist() == [25, 1, 4]
    assert [chosen.about(i) for i in range(3)] == [
        {"file": "5.txt", "speaker": "c"}, {"file": "1.txt", "speaker": "a"}, {"file": "2.txt", "speaker": "b"}]
    assert len(whole) == 6 and whole.about(0) == {"file": "0.txt", "speaker": "a"}


def test_an_empty_selection_has_no_examples():
    chosen = mixed()[0].select(np.array([], int))
    assert len(chosen) == 0 and list(chosen.batches(3)) == []


def test_batches_run_in_order_and_end_short():
    whole, rows, _ = mixed()
    batches = list(whole.batches(4))
    assert [indices.tolist() for indices, _ in batches] == [[0, 1, 2, 3], [4, 5]]
    for indices, columns in batches:
        assert columns["plain"].tolist() == [[2 * i, 2 * i + 1] for i in indices]
        assert columns["ragged"].tolist() == padded(rows, indices, -1)
    assert [len(indices) for indices, _ in whole.batches(3)] == [3, 3]
    assert [len(indices) for indices, _ in whole.batches(99)] == [6]


def test_data_sets_share_no_lists():
    one, other = Dataset("one", {}), Dataset("other", {})
    one.notes.append("a note")
    one.labels.append("a label")
    assert other.notes == other.labels == []
    assert Split({}).meta is not Split({}).meta

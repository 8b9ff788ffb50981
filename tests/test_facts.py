import contextlib
import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.errors import UserError
from shared.facts import Facts

FACTS = Facts({"labels": ["ein", "二"], "image_size": [28, 28], "mean": 0.1307},
              {"vocabulary": np.array(["a", "bc"]), "table": np.arange(6, dtype="float32").reshape(2, 3)})

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                    max_leaves=8)
ARRAYS = st.dictionaries(st.sampled_from(["embedding", "table", "vocabulary"]), hnp.arrays(
    st.sampled_from(["float32", "float64", "int32", "int64", "uint8", "bool", "<U3"]),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))


def same(a, b):
    return a.values == b.values and a.arrays.keys() == b.arrays.keys() and all(
        b.arrays[name].dtype == array.dtype and b.arrays[name].tobytes() == array.tobytes()
        and b.arrays[name].shape == array.shape for name, array in a.arrays.items())


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), ARRAYS)
def test_all_json_and_all_arrays_come_back(values, arrays):
    facts = Facts(values, arrays)
    assert same(facts, Facts.from_files(facts.files()))


def test_a_folder_keeps_them(tmp_path):
    FACTS.save(tmp_path)
    assert same(FACTS, Facts.load(tmp_path))
    assert json.loads((tmp_path / "facts.json").read_text(encoding="utf-8")) == FACTS.values
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts.json", "facts.npz"]


def test_values_and_arrays_are_read_by_name():
    assert FACTS["labels"] == ["ein", "二"] and FACTS["table"].shape == (2, 3)
    assert FACTS.get("mean") == 0.1307 and FACTS.get("std") is None and FACTS.get("std", 1) == 1
    np.testing.assert_array_equal(FACTS.get("vocabulary"), ["a", "bc"])
    with pytest.raises(KeyError):
        FACTS["std"]


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["npz", "pickle"])
def test_nothing_pickled_is_executed(form, tmp_path):
    FACTS.save(tmp_path)
    trap = Trap(tmp_path / "sprung")
    buffer = io.BytesIO()
    if form == "npz":
        np.savez(buffer, table=np.array([trap], object))
    (tmp_path / "facts.npz").write_bytes(buffer.getvalue() or pickle.dumps(trap))
    with pytest.raises(UserError, match="facts.json"):
        Facts.load(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_missing_facts_are_a_sentence(tmp_path):
    with pytest.raises(UserError) as caught:
        Facts.load(tmp_path / "nowhere")
    assert "facts.json" in str(caught.value) and str(caught.value).count("\n") == 0


@pytest.mark.parametrize("name", ["facts.json", "facts.npz"])
def test_half_a_file_is_a_user_error_wherever_it_ends(name, tmp_path):
    FACTS.save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for end in [*range(0, len(whole), 7), len(whole) - 1]:
        (tmp_path / name).write_bytes(whole[:end])
        with pytest.raises(UserError):
            Facts.load(tmp_path)


def test_zeros_after_a_crash_are_a_user_error(tmp_path):
    FACTS.save(tmp_path)
    (tmp_path / "facts.json").write_bytes(bytes(100))
    with pytest.raises(UserError):
        Facts.load(tmp_path)


def test_a_flipped_byte_in_arrays_is_harmless_or_a_user_error(tmp_path):
    FACTS.save(tmp_path)
    whole = (tmp_path / "facts.npz").read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xff
        (tmp_path / "facts.npz").write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert same(FACTS, Facts.load(tmp_path)), f"other facts by byte {at}"

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.signature import DTYPES, Tensor, check_raw

INPUTS = {"image": Tensor((28, 28, 1), "uint8"), "length": Tensor((), "int32")}
FITTING = {"image": np.zeros((5, 28, 28, 1), "uint8"), "length": np.zeros(5, "int32")}


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), max_size=4), st.sampled_from(DTYPES), st.integers(0, 3))
def test_what_fits_passes_with_any_batch(shape, dtype, count):
    check_raw({"x": np.zeros((count, *shape), dtype)}, {"x": Tensor(tuple(shape), dtype)})
    check_raw({"x": np.zeros((count, *shape), dtype)}, {"x": Tensor((None,) * len(shape), dtype)})


def test_columns_that_the_model_does_not_want_are_no_mistake():
    check_raw({**FITTING, "label": np.zeros((5, 2))}, INPUTS)


@pytest.mark.parametrize("name, array, told", [
    ("image", np.zeros((5, 28, 28, 1), "float32"), ["'image'", "uint8 [28, 28, 1]", "float32 [28, 28, 1]"]),
    ("image", np.zeros((5, 28, 28, 1), "int8"), ["'image'", "int8"]),
    ("image", np.zeros((5, 28, 32, 1), "uint8"), ["[28, 28, 1]", "[28, 32, 1]"]),
    ("image", np.zeros((5, 28, 28, 3), "uint8"), ["[28, 28, 3]"]),
    ("image", np.zeros((28, 28, 1), "uint8"), ["[28, 28, 1]", "[28, 1]"]),
    ("image", np.zeros((5, 28, 28), "uint8"), ["[28, 28]"]),
    ("length", np.zeros(5, "int64"), ["'length'", "int32 []", "int64 []"]),
    ("length", np.zeros((5, 1), "int32"), ["int32 [1]"]),
])
def test_what_does_not_fit_is_told_in_one_sentence(name, array, told):
    with pytest.raises(UserError) as caught:
        check_raw({**FITTING, name: array}, INPUTS)
    message = str(caught.value)
    assert all(part in message for part in told), message
    assert "\n" not in message and message.endswith(".")


def test_an_open_length_leaves_the_others_fixed():
    inputs = {"sound": Tensor((None, 2), "float32")}
    for length in (0, 1, 500):
        check_raw({"sound": np.zeros((3, length, 2), "float32")}, inputs)
    with pytest.raises(UserError):
        check_raw({"sound": np.zeros((3, 500, 1), "float32")}, inputs)


def test_a_missing_input_is_named_with_what_there_is():
    with pytest.raises(UserError, match="'length'.*image, label"):
        check_raw({"label": np.zeros(5), "image": FITTING["image"]}, INPUTS)

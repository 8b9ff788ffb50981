"""Code points to ids: a Python dictionary is the reference."""

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.layers.character_ids import CharacterIds

KNOWN = "aé語😀z\U0010ffff"
LAYER = CharacterIds(KNOWN)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(KNOWN) | st.characters(), min_size=1, max_size=40))
def test_known_characters_have_ids_of_their_own(text):
    want = [0 if c == "\0" else KNOWN.find(c) + 2 if c in KNOWN else 1 for c in text]
    assert LAYER(np.array([[ord(c) for c in text]], np.int32))[0].numpy().tolist() == want


def test_all_characters_of_unicode_are_taken():
    ids = LAYER(np.arange(0x110000, dtype=np.int32)).numpy()
    assert ids[0] == 0 and (ids[1:] >= 1).all() and (ids > 1).sum() == len(KNOWN) and LAYER.size == ids.max() + 1


def test_numbers_that_are_no_characters_do_no_harm():
    assert LAYER(np.array([-1, 2**31 - 1], np.int32)).numpy().tolist() == [0, KNOWN.find("\U0010ffff") + 2]


def test_it_comes_from_its_configuration_and_runs_in_litert():
    from ai_edge_litert.interpreter import Interpreter
    again = keras.layers.deserialize(keras.layers.serialize(LAYER))
    codes = np.array([[ord(c) for c in KNOWN + "x\0"]], np.int32)
    np.testing.assert_array_equal(again(codes), LAYER(codes))
    traced = tf.function(LAYER.__call__, input_signature=[tf.TensorSpec(codes.shape, tf.int32, name="codes")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], LAYER)
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), LAYER(codes))

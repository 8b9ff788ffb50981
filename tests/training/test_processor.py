"""What a processor is good at is measured on it."""

import pytest
import tensorflow as tf

from shared.training import processor


@pytest.mark.parametrize(("bfloat16", "float32", "gains"), [(1.0, 2.0, True), (1.0, 1.0, False), (2.0, 1.0, False)])
def test_it_gains_by_bfloat16_where_that_takes_less_time(monkeypatch, bfloat16, float32, gains):
    monkeypatch.setattr(processor, "seconds", lambda dtype: bfloat16 if dtype == tf.bfloat16 else float32)
    assert processor.gains_by_bfloat16() is gains


def test_seconds_are_those_of_one_of_the_steps_in_that_dtype(monkeypatch):
    clock, seen = iter([0, 9, 10, 15, 20, 23, 30, 34]), []
    convolve = tf.nn.conv2d
    monkeypatch.setattr(processor.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(tf.nn, "conv2d", lambda x, *rest: seen.append(x.dtype) or convolve(x, *rest))
    assert processor.seconds(tf.bfloat16) == 3  # not the 9 of the first, which is traced
    assert set(seen) == {tf.bfloat16}

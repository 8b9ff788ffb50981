import numpy as np
import tensorflow as tf

from shared.data.stateless import keys, uniform


def test_numbers_depend_on_seed_epoch_index_and_draw_alone():
    a = uniform(keys(1, 2, tf.constant([5, 6, 7], tf.int64)), 3, (4,)).numpy()
    b = uniform(keys(1, 2, tf.constant([7, 5], tf.int64)), 3, (4,)).numpy()
    np.testing.assert_array_equal(a[[2, 0]], b)  # neither the place in the batch nor its size matters
    for other in (keys(0, 2, tf.constant([5, 6, 7], tf.int64)), keys(1, 3, tf.constant([5, 6, 7], tf.int64))):
        assert not np.any(uniform(other, 3, (4,)).numpy() == a)
    assert not np.any(uniform(keys(1, 2, tf.constant([5, 6, 7], tf.int64)), 4, (4,)).numpy() == a)


def test_compiled_numbers_are_the_same():
    def draw(index):
        return uniform(keys(3, 1, index), 0, (16,), -1, 1)

    index = tf.range(64, dtype=tf.int64)
    np.testing.assert_array_equal(draw(index), tf.function(draw, jit_compile=True)(index))


def test_uniform_and_independent():
    numbers = uniform(keys(0, 0, tf.range(4000, dtype=tf.int64)), 0, (25,)).numpy()
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = np.histogram(numbers, 50, (0, 1))[0]
    expected = numbers.size / 50
    assert ((counts - expected) ** 2 / expected).sum() < 90  # chi-square, 49 degrees of freedom: p about 0.0003
    for left, right in ((numbers[:, 0], numbers[:, 1]), (numbers[:-1, 0], numbers[1:, 0]),
                        (numbers[:, 3], uniform(keys(0, 1, tf.range(4000, dtype=tf.int64)), 0, (25,)).numpy()[:, 3])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.06


def test_bounds():
    numbers = uniform(keys(0, 0, tf.range(1000, dtype=tf.int64)), 1, (), -3, 5).numpy()
    assert numbers.shape == (1000,) and numbers.min() < -2.9 and numbers.max() > 4.9 and numbers.max() < 5

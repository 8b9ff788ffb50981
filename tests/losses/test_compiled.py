import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.losses.compiled import Compiled
from shared.losses.pixel_cross_entropy import PixelCrossEntropy
from shared.losses.tversky import Tversky
from shared.losses.weighted_sum import WeightedSum

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.choice([0, 1, 2, 255], (2, 5, 6)).astype(np.uint8)
LOGITS = RANDOM.normal(size=(2, 5, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("weights", [None, RANDOM.random((2, 5, 6)).astype(np.float32)])
def test_value_and_gradient_are_those_of_the_loss(weights):
    loss = WeightedSum([PixelCrossEntropy(focal=1.5), Tversky()], [1.0, 2.0])

    def both(function):
        with tf.GradientTape() as tape:
            logits = tf.constant(LOGITS)
            tape.watch(logits)
            value = function(tf.constant(LABELS), logits, weights)
        return value, tape.gradient(value, logits)

    for got, want in zip(both(Compiled(loss)), both(loss), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_it_is_saved_and_loaded_whole():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Compiled(Tversky(0.2, 0.8))))
    assert isinstance(again, Compiled) and again.loss.alpha == 0.2


def test_it_trains_in_fit():
    model = keras.Sequential([keras.Input((5, 6, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", Compiled(PixelCrossEntropy()))
    data = tf.data.Dataset.from_tensors((LOGITS, LABELS)).repeat(3)
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]

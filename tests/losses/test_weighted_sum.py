"""Sum of losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.losses.pixel_cross_entropy import PixelCrossEntropy
from shared.losses.tversky import Tversky
from shared.losses.weighted_sum import WeightedSum


def example():
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, 255], (2, 3, 4))
    return labels, random.normal(size=(2, 3, 4, 3)).astype("float32"), random.random((2, 3, 4)).astype("float32")


@pytest.mark.parametrize("run", [lambda function: function, tf.function])
def test_each_loss_gets_all_and_counts_by_its_weight(run):
    inputs = example()
    parts = [PixelCrossEntropy(focal=2.0), Tversky(0.3, 0.7)]
    want = 0.5 * float(parts[0](*inputs)) + 3 * float(parts[1](*inputs))
    np.testing.assert_allclose(run(WeightedSum(parts, [0.5, 3]))(*inputs), want, rtol=1e-6)


def test_sample_weights_may_be_left_out():
    labels, logits, _ = example()
    want = float(PixelCrossEntropy()(labels, logits))
    np.testing.assert_allclose(WeightedSum([PixelCrossEntropy()], [1.0])(labels, logits), want, rtol=1e-6)


def test_as_many_weights_as_losses():
    with pytest.raises(ValueError, match="2 losses need as many weights, not 1"):
        WeightedSum([Tversky(), Tversky()], [1.0])


def test_it_is_saved_with_a_model(tmp_path):
    model = keras.Sequential([keras.Input((3, 4, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", WeightedSum([PixelCrossEntropy(void=7), Tversky(smooth=2.0)], [1.0, 0.5]))
    model.save(tmp_path / "model.keras")
    loss = keras.models.load_model(tmp_path / "model.keras").loss
    assert type(loss) is WeightedSum and loss.get_config() == model.loss.get_config()
    assert [type(part) for part in loss.losses] == [PixelCrossEntropy, Tversky]
    assert loss.losses[0].void == 7 and loss.losses[1].smooth == 2.0

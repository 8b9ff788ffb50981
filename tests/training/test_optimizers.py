"""Each optimizer, schedule and setting against its formula computed by hand."""

import keras
import numpy as np
import pytest

from shared.settings import FitSettings
from shared.training.optimizers import learning_rate, optimizer

GRADIENTS = [np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, -3.0]), np.array([-1.0, 0.25, 2.0])]
START = np.array([0.3, -0.2, 0.1])
RATE = 0.01


def steps(settings, name="kernel", gradients=GRADIENTS):
    variable = keras.Variable(START.astype("float32"), name=name)
    made = optimizer(settings, 10)
    for gradient in gradients:
        made.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
    return variable.numpy(), made


def settings(**changes):
    return FitSettings(**{"learning_rate": RATE, "schedule": "constant", **changes})


def by_hand(name, decay=0.0):
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, 1):
        w -= decay * RATE * w
        if name == "sgd":
            w -= RATE * g
        elif name in ("momentum", "nesterov"):
            m = 0.9 * m - RATE * g
            w += m if name == "momentum" else 0.9 * m - RATE * g
        elif name == "rmsprop":
            v = 0.9 * v + 0.1 * g**2
            w -= RATE * g / np.sqrt(v + 1e-7)
        elif name == "lion":
            w -= RATE * np.sign(0.9 * m + 0.1 * g)
            m = 0.99 * m + 0.01 * g
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w -= RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    return w


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "lion"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_optimizers(name, decay):
    got, _ = steps(settings(optimizer=name, weight_decay=decay))
    np.testing.assert_allclose(got, by_hand(name, decay), rtol=2e-5)


def test_adamw_decays_by_default():
    got, _ = steps(settings(optimizer="adamw"))
    np.testing.assert_allclose(got, by_hand("adam", 0.004), rtol=2e-5)


@pytest.mark.parametrize("name", ["bias", "gamma", "beta"])
def test_biases_and_normalisation_are_not_decayed(name):
    got, _ = steps(settings(optimizer="sgd", weight_decay=0.5), name)
    np.testing.assert_allclose(got, by_hand("sgd"), rtol=1e-5)


def test_clip_norm_is_of_all_gradients_together():
    a, b = keras.Variable(np.zeros(1, "float32")), keras.Variable(np.zeros(1, "float32"))
    optimizer(settings(optimizer="sgd", clip_norm=1.0), 10).apply(
        [keras.ops.array([3.0]), keras.ops.array([4.0])], [a, b])
    np.testing.assert_allclose([a.numpy()[0], b.numpy()[0]], [-RATE * 0.6, -RATE * 0.8], rtol=1e-5)


def test_ema_is_an_average_of_the_weights():
    _, made = steps(settings(optimizer="sgd", ema=0.5))
    w = START - RATE * GRADIENTS[0]
    average = w.copy()  # begins with the weights after the first step
    for g in GRADIENTS[1:]:
        w -= RATE * g
        average = 0.5 * average + 0.5 * w
    first = made._model_variables_moving_average[0].numpy()
    np.testing.assert_allclose(first, average, rtol=1e-5)


def rates(at, **changes):
    rate = learning_rate(FitSettings(**{"learning_rate": 1.0, "epochs": 10, **changes}), 10)
    return [float(rate(step)) if callable(rate) else rate for step in at]


def test_schedules():
    at = [0, 5, 29, 30, 99]
    assert rates(at, schedule="constant") == [1.0] * 5
    assert rates(at, schedule="plateau") == [1.0] * 5  # a callback lowers it
    np.testing.assert_allclose(rates(at, schedule="step", decay_epochs=3, decay_rate=0.1),
                               [1, 1, 1, 0.1, 0.001], rtol=1e-5)
    np.testing.assert_allclose(rates(at, schedule="exponential", decay_epochs=3, decay_rate=0.1),
                               [0.1 ** (step / 30) for step in at], rtol=1e-5)
    want = [step / 5 if step < 5 else (1 + np.cos(np.pi * (step - 5) / 95)) / 2 for step in at]
    np.testing.assert_allclose(rates(at, schedule="cosine", warmup=0.05), want, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rates([0, 50, 100], schedule="cosine", warmup=0.0), [1, 0.5, 0], atol=1e-6)


def test_one_cycle():
    got = rates([0, 15, 30, 65, 100], schedule="one_cycle", warmup=0.3)
    np.testing.assert_allclose(got, [0.04, 0.52, 1.0, 0.50005, 1e-4], rtol=1e-4)


@pytest.mark.parametrize("l1,l2", [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
def test_penalties_are_added_for_kernels(l1, l2):
    from shared.networks.blocks import Style, convolution
    images = keras.Input((4, 4, 1))
    model = keras.Model(images, convolution(images, Style(l1=l1, l2=l2), 2))
    kernel = next(v for v in model.trainable_variables if v.path.endswith("kernel")).numpy()
    np.testing.assert_allclose(float(sum(model.losses)), l1 * np.abs(kernel).sum() + l2 * (kernel**2).sum(), rtol=1e-5)


def test_initializer_and_activation_are_used():
    from shared.networks.blocks import Style, convolution
    images = keras.Input((4, 4, 1))
    model = keras.Model(images, convolution(images, Style("tanh", "orthogonal"), 2))
    assert isinstance(model.layers[1].kernel_initializer, keras.initializers.Orthogonal)
    assert model.layers[-1].activation is keras.activations.tanh

"""Features in the graph against the textbook's formulas in NumPy, window by window, in 64 bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from scipy.fft import dct

from shared.layers.log_mel import LogMel


def triangles(rate, size, mels, low, high):
    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = [mel(low) + (mel(high) - mel(low)) * i / (mels + 1) for i in range(mels + 2)]
    table = np.zeros((size // 2 + 1, mels))
    for row in range(size // 2 + 1):
        here = mel(row * rate / size)
        for band in range(mels):
            left, top, right = edges[band:band + 3]
            if left < here <= top:
                table[row, band] = (here - left) / (top - left)
            elif top < here < right:
                table[row, band] = (right - here) / (right - top)
    return table


def textbook(samples, rate, mels, window, hop, low, high, floor):
    size, step = round(window * rate), round(hop * rate)
    longest = 2 ** int(np.ceil(np.log2(size)))
    hann = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / size) for n in range(size)])
    table = triangles(rate, longest, mels, low, high)
    rows = [np.abs(np.fft.rfft(hann * samples[start:start + size].astype(np.float64), longest)) ** 2 @ table
            for start in range(0, len(samples) - size + 1, step)]
    return np.log(np.reshape(rows, (len(rows), mels)) + floor)


def sounds(rate):
    """Noise, a loud tone, a quiet one, a click, silence: one second each."""
    rng, time = np.random.default_rng(0), np.arange(rate) / rate
    click = np.zeros(rate)
    click[rate // 3] = 1
    return np.stack([rng.normal(size=rate) * 0.1, 0.9 * np.sin(2 * np.pi * 440 * time),
                     1e-3 * np.sin(2 * np.pi * 1000 * time), click, np.zeros(rate)]).astype(np.float32)


@pytest.mark.parametrize("rate,mels,window,hop,low,high", [
    (8000, 40, 0.025, 0.010, 20.0, None), (16000, 64, 0.025, 0.010, 60.0, 7600.0),
    (11025, 20, 0.032, 0.016, 0.0, 4000.0)])
def test_it_is_the_textbooks_formula(rate, mels, window, hop, low, high):
    layer, clips = LogMel(rate, mels, window, hop, low, high), sounds(rate)
    made = layer(clips).numpy()
    for clip, features in zip(clips, made, strict=True):
        want = textbook(clip, rate, mels, window, hop, low, high or rate / 2, 1e-5)
        assert want.shape == features.shape
        assert np.abs(features - want).max() <= 1e-3
    cepstra = LogMel(rate, mels, window, hop, low, high, coefficients=13)(clips).numpy()
    np.testing.assert_allclose(cepstra, dct(made, norm="ortho")[:, :, :13], atol=1e-3)


def test_a_tone_is_loudest_in_its_band():
    layer = LogMel(16000, mels=40)
    time = np.arange(16000, dtype=np.float32) / 16000
    centres = layer.bands.argmax(0) * 16000 / layer.fft_size
    for band in (5, 15, 30):
        features = layer(np.sin(2 * np.pi * centres[band] * time)[None].astype(np.float32))
        assert abs(int(features[0].numpy().mean(0).argmax()) - band) <= 1


@pytest.mark.parametrize("samples", [200, 279, 280, 281, 4000])
def test_windows_lie_wholly_inside(samples):
    layer = LogMel(8000)
    want = len(range(0, samples - 200 + 1, 80))
    assert layer(np.zeros((1, samples), np.float32)).shape == (1, want, 64)
    assert layer.frames(samples) == want == int(layer.frames(tf.constant([samples]))[0])


@pytest.mark.parametrize("samples", [0, 1, 119, 120, 199])
def test_less_than_a_window_has_no_frames(samples):
    assert LogMel(8000).frames(samples) == 0 == int(LogMel(8000).frames(tf.constant([samples]))[0])


def test_shapes_and_configuration():
    layer = LogMel(8000, 32, 0.03, 0.015, 50.0, 3800.0, 1e-5, 12)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    clip = sounds(8000)[:1]
    assert np.array_equal(layer(clip), again(clip))
    assert layer(keras.Input([8000])).shape == (None, layer(clip).shape[1], 12)
    assert layer(keras.Input([None])).shape == (None, None, 12)
    assert not layer.trainable_weights


@pytest.mark.parametrize("options", [{"mels": 0}, {"low": 5000.0}, {"high": 4001.0}, {"coefficients": 65},
                                     {"floor": 0.0}, {"hop": 0.0}, {"window": 0.0001}])
def test_sizes_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match="do not fit"):
        LogMel(8000, **options)


@pytest.mark.parametrize("optimizations", [[], [tf.lite.Optimize.DEFAULT]])
def test_a_file_has_the_same_features_even_where_weights_are_stored_in_eight_bits(optimizations):
    layer, clips = LogMel(16000, 64), sounds(16000)
    function = tf.function(layer.call, input_signature=[tf.TensorSpec([1, 16000])]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = optimizations
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    for clip in clips:
        want = textbook(clip, 16000, 64, 0.025, 0.010, 20.0, 8000.0, 1e-5)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], clip[None])
        interpreter.invoke()
        made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        assert np.abs(made[0] - want).max() <= 1e-3

"""Networks rounded by their own ranges: the same sums as before rounding, integers in the file, loops beside them."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from shared.export.convert import _convert_here, operations
from shared.export.fake_quant import fake_quantized
from shared.export.runtimes import in_both
from shared.export.saved_model import write_saved_model
from shared.facts import Facts
from shared.layers.batch_normalization import BatchNormalization
from shared.layers.neighbours import Neighbours
from shared.model import NETWORK, Model
from shared.networks.words import MaxOverTime
from shared.signature import Tensor

L, ops = keras.layers, keras.ops
TIMES, WORDS, TAGS = 12, 40, 5
STEPS = 255


@keras.saving.register_keras_serializable("test")
class Unknown(L.Layer):
    """A layer that nobody named: a matrix product."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 4))

    def call(self, x):
        return ops.matmul(x, self.matrix)


class OwnDense(L.Dense):
    def call(self, inputs):
        return 10 * super().call(inputs)


def normalised(x, layer=BatchNormalization, **options):
    """After batch normalisation whose four variables are all at work."""
    made, random, count = layer(**options), np.random.default_rng(x.shape[-1]), x.shape[-1]
    y = made(x)
    made.set_weights([random.uniform(0.5, 1.5, count), random.normal(size=count), random.normal(size=count),
                      random.uniform(0.5, 2, count)])
    return y


def values(network, rows=32, seed=0):
    """A batch that the network takes."""
    random = np.random.default_rng(seed)

    def one(x):
        shape = (rows, *(TIMES if size is None else size for size in x.shape[1:]))
        return random.integers(0, WORDS, shape).astype("int32") if x.dtype == "int32" else (
            random.normal(size=shape).astype("float32"))
    return keras.tree.map_structure(one, network.input)


def with_biases(network):
    """Biases are zeros at first, which would hide a lost one."""
    random = np.random.default_rng(7)
    for variable in network.weights:
        if variable.name == "bias":
            variable.assign(random.normal(size=variable.shape))
    return network


def flat(outputs):
    return [np.asarray(x) for x in keras.tree.flatten(outputs)]


# Networks, each of one Keras tensor, in the words of the layer they are for.
SEQUENCES = {
    "Conv1D": lambda x: L.Conv1D(6, 3)(x),
    "dilated": lambda x: L.Conv1D(6, 3, padding="same", dilation_rate=2, activation="relu")(x),
    "strided": lambda x: L.Conv1D(6, 3, strides=2, padding="same")(x),
    "causal": lambda x: L.Conv1D(6, 3, padding="causal", dilation_rate=2)(x),
    "grouped": lambda x: L.Dense(6)(L.Conv1D(8, 3, groups=2)(x)),
    "DepthwiseConv1D": lambda x: L.DepthwiseConv1D(3, depth_multiplier=2)(x),
    "SeparableConv1D": lambda x: L.SeparableConv1D(6, 3, padding="same", dilation_rate=2, depth_multiplier=2)(x),
    "Dense": lambda x: L.Dense(6)(x),
    "gelu": lambda x: L.Dense(6, activation="gelu")(x),
    "relu6": lambda x: L.Dense(6, activation="relu6")(x),
    "Dense of vectors": lambda x: L.Dense(6)(L.Flatten()(x)),
    "normalised": lambda x: L.ReLU()(normalised(L.Conv1D(6, 3, use_bias=False)(x))),
    "normalised first": lambda x: normalised(L.Activation("relu")(L.Dense(6)(x)), L.BatchNormalization),
    "normalised without scale": lambda x: normalised_centre(L.Dense(6)(x)),
    "relu read twice": lambda x: twice(L.Dense(6)(x)),
    "numbers": lambda x: ops.relu(1 - 2 * L.Dense(6)(x)),
    "operations": lambda x: ops.max(ops.concatenate([y := L.Dense(6)(x), y * y, y[:, :, :2] + 1], -1), 1),
    "pooled": lambda x: L.Concatenate()([layer(L.Dense(6)(x)) for layer in (
        L.GlobalAveragePooling1D(), L.GlobalMaxPooling1D())]),
    "moved": lambda x: L.Permute((2, 1))(L.Cropping1D(1)(L.ZeroPadding1D(2)(L.MaxPooling1D(2)(L.Dense(6)(x))))),
    "dropped": lambda x: L.Dropout(0.5)(L.SpatialDropout1D(0.5)(L.Dense(6)(x))),
    "recurrent": lambda x: L.Dense(3)(L.Bidirectional(L.LSTM(4, return_sequences=True))(L.Dense(6)(x))),
    "unknown": lambda x: L.LayerNormalization()(Unknown()(L.Dense(6)(x))),
    "own subclass": lambda x: OwnDense(6)(L.Dense(6)(x)),
    "neighbours": lambda x: L.Dense(6)(Neighbours(2)(L.Dense(6)(x))),
    "largest": lambda x: MaxOverTime()(y := L.Dense(6, activation="relu")(x), y[:, :, :1] * 0 + 1),
    "Softmax": lambda x: L.Softmax()(L.Dense(6)(x)),
    "called twice": lambda x: (layer := L.Dense(8, activation="relu"))(layer(x)),
    "inside": lambda x: (inner := model_of(8))(inner(x)),
    "Sequential": lambda x: keras.Sequential([L.Dense(6), BatchNormalization(), L.ReLU(), L.Dense(4)])(x),
}
IMAGES = {
    "Conv2D": lambda x: L.Conv2D(6, (3, 2), (2, 2), padding="same", activation="relu")(x),
    "atrous": lambda x: L.Conv2D(6, 3, padding="same", dilation_rate=(2, 3))(x),
    "DepthwiseConv2D": lambda x: L.ReLU(6.0)(normalised(L.DepthwiseConv2D(3, 2, padding="same")(x))),
    "SeparableConv2D": lambda x: normalised(L.SeparableConv2D(6, 3)(x)),
    "residual": lambda x: L.Activation("relu")(L.Add()([y := L.Conv2D(6, 1)(x), normalised(L.Conv2D(6, 1)(y))])),
    "leaky": lambda x: L.ReLU(negative_slope=0.1)(L.Conv2D(6, 1)(x)),
    "enlarged": lambda x: L.UpSampling2D(2, interpolation="bilinear")(L.AveragePooling2D(2)(L.Conv2D(6, 1)(x))),
}


def normalised_centre(x):
    layer = BatchNormalization(scale=False)
    y = layer(x)
    layer.beta.assign(np.arange(x.shape[-1]))
    return y


def twice(x):
    return L.Add()([x, L.Activation("relu")(x)])


def model_of(channels):
    x = keras.Input((None, channels))
    return keras.Model(x, L.Dense(channels)(L.Activation("relu")(normalised(x))))


def network_of(name):
    inputs = keras.Input((TIMES, 8) if name in SEQUENCES else (8, 8, 4))
    return with_biases(keras.Model(inputs, (SEQUENCES | IMAGES)[name](inputs), name=NETWORK))


def rounding(network):
    return [layer for layer in network.layers if hasattr(layer, "settled")]


@pytest.mark.parametrize("name", [*SEQUENCES, *IMAGES])
def test_a_network_computes_the_same_but_for_rounding(name):
    network = network_of(name)
    x = values(network)
    [want], made = flat(network(x, training=False)), fake_quantized(network, [x])
    [rounded] = flat(made(x, training=False))
    step = (max(want.max(), 0) - min(want.min(), 0)) / STEPS
    assert rounded.shape == want.shape and rounded.dtype == np.float32
    # rounding of input, kernel and answer: some tenths of a step each
    assert 0 < np.abs(rounded - want).mean() < 2 * step
    for layer in rounding(made):
        layer.settled = False
    np.testing.assert_allclose(flat(made(x, training=False))[0], want, atol=1e-4 * np.abs(want).max())
    np.testing.assert_array_equal(flat(network(x, training=False))[0], want)


FLOAT = {"grouped": L.Conv1D, "recurrent": L.Bidirectional, "unknown": Unknown, "own subclass": OwnDense,
         "Softmax": L.Softmax, "leaky": L.ReLU}


@pytest.mark.parametrize("name", FLOAT)
def test_layers_that_are_not_known_are_the_very_same(name):
    network = network_of(name)
    [layer] = [layer for layer in network.layers if type(layer) is FLOAT[name]]
    assert fake_quantized(network, [values(network)]).get_layer(layer.name) is layer


@pytest.mark.parametrize("name", ["normalised", "relu read twice", "residual", "called twice", "pooled"])
def test_ranges_hold_zero_and_every_value_of_any_batch(name):
    network = network_of(name)
    x = values(network, 40)
    made = fake_quantized(network, [x[:16], x[16:32], x[32:]])
    known = {layer.name for layer in network.layers}
    checked = 0
    for layer in rounding(made):
        if layer.name == "begin_1":
            seen = x
        elif layer.name in known and name != "called twice":
            seen = np.asarray(keras.Model(network.input, network.get_layer(layer.name).output)(x, training=False))
        else:
            continue
        np.testing.assert_allclose([layer.low, layer.high], [min(0, seen.min()), max(0, seen.max())], rtol=1e-4)
        checked += 1
    assert checked >= (1 if name == "called twice" else 2)


def test_each_call_of_a_layer_has_its_own_range():
    network = network_of("called twice")
    x = values(network)
    layer = network.layers[-1]
    first, second = np.asarray(layer(x)), np.asarray(layer(layer(x)))
    begin, one, two = rounding(fake_quantized(network, [x]))
    np.testing.assert_allclose([one.high, two.high], [first.max(), second.max()], rtol=1e-5)


@pytest.mark.parametrize("layer", [lambda: L.Dense(8, activation="relu"), lambda: L.Conv1D(8, 3)])
@pytest.mark.filterwarnings("ignore:.*destroy the mask")
def test_padding_is_masked_where_keras_masks_it_and_only_there(layer):
    """A dense layer hands the mask on, a convolution does not."""
    keras.utils.set_random_seed(1)
    ids = keras.Input((TIMES,), dtype="int32")
    network = keras.Model(ids, L.LSTM(4)(layer()(L.Embedding(WORDS, 8, "glorot_normal", mask_zero=True)(ids))))
    texts = np.random.default_rng(0).integers(1, WORDS, (16, TIMES)).astype("int32")
    texts[:, 5:] = 0
    want, made = np.asarray(network(texts)), fake_quantized(network, [texts])
    other = np.where(texts, texts, 1)
    assert np.abs(np.asarray(network(other)) - want).max() > 0.2 * np.abs(want).max()
    np.testing.assert_allclose(made(texts), want, atol=0.03 * np.abs(want).max())


def test_zeros_alone_are_a_range_too():
    inputs = keras.Input((TIMES, 8))
    network = with_biases(keras.Model(inputs, L.Dense(3)(L.Dense(4, use_bias=False)(inputs))))
    network.layers[1].set_weights([np.zeros((8, 4))])
    x = values(network)
    np.testing.assert_allclose(fake_quantized(network, [x])(x), network(x), atol=0.02)


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match="at least one batch"):
        fake_quantized(network_of("Dense"), [])


# Files, made the way that the exporter makes them.


def text_network():
    """Words, masked, through dilated convolutions of which one is called twice."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    used = ops.expand_dims(ops.cast(ops.not_equal(ids, 0), "float32"), -1)
    x = L.Multiply()([L.Embedding(WORDS, 64, name="words")(ids), used])
    iterated = L.Conv1D(64, 3, padding="same", dilation_rate=2, activation="relu")
    for _ in range(2):
        x = L.Multiply()([L.Add()([x, iterated(x)]), used])
    x = L.Add()([x, L.Conv1D(64, 3, padding="same", dilation_rate=4, activation="relu")(x)])
    return keras.Model({"ids": ids}, L.Dense(TAGS, name="emissions")(L.Dropout(0.5)(x)), name=NETWORK)


def image_network():
    images = keras.Input((16, 16, 3))
    x = L.Activation("relu")(normalised(L.Conv2D(24, 3, padding="same", use_bias=False)(images)))
    x = L.Activation("relu")(normalised(L.DepthwiseConv2D(3, 2, padding="same", use_bias=False)(x)))
    x = L.MaxPooling2D()(L.Activation("relu")(L.Add()([x, normalised(L.Conv2D(24, 3, padding="same")(x))])))
    return keras.Model(images, L.Dense(10)(L.GlobalAveragePooling2D()(x)), name=NETWORK)


def recurrent_network():
    frames = keras.Input((TIMES, 8))
    x = L.Bidirectional(L.LSTM(6, return_sequences=True))(L.Conv1D(16, 3, padding="same", activation="relu")(frames))
    return keras.Model(frames, [L.Conv1D(4, 3)(x), Unknown(name="exact")(frames)], name=NETWORK)


def two_inputs_network():
    ids, size = keras.Input((TIMES,), dtype="int32", name="ids"), keras.Input((8,), name="size")
    words = L.GlobalMaxPooling1D()(L.Conv1D(16, 3, activation="relu")(L.Embedding(WORDS, 16)(ids)))
    x = L.Concatenate()([words, L.Dense(8, activation="relu")(size)])
    return keras.Model({"ids": ids, "size": size}, {"first": L.Dense(3)(x), "second": L.Dense(1)(x)}, name=NETWORK)


TRANSITIONS = np.random.default_rng(3).normal(size=(TAGS, TAGS)).astype("float32")


def best_so_far(emissions):
    """The best last tag of a path up to each time (Viterbi's way forward) in a loop: `[1, t, k]` to int32 `[1, t]`."""
    rows = tf.reshape(emissions, [TIMES, TAGS])

    def step(time, scores, tags):
        scores = tf.reshape(tf.reduce_max(scores[:, None] + TRANSITIONS, 0) + rows[time], [TAGS])
        tag = tf.argmax(scores, output_type=tf.int32)
        return time + 1, scores, tf.reshape(tf.tensor_scatter_nd_update(tags, [[time]], [tag]), [TIMES])
    begin = 0, tf.zeros([TAGS]), tf.zeros([TIMES], tf.int32)
    return tf.while_loop(lambda time, *_: time < TIMES, step, begin)[2][None]


def best_by_numpy(emissions):
    scores, tags = np.zeros(TAGS), []
    for row in emissions:
        scores = (scores[:, None] + TRANSITIONS).max(0) + row
        tags.append(scores.argmax())
    return np.array(tags)


class Small(Model):
    """A pipeline round one of the networks above; its raw inputs are the network's."""

    def __init__(self, shapes, made, answers):
        super().__init__(None, Facts({}))
        self.shapes, self.made, self.answers = shapes, made, answers

    @property
    def inputs(self):
        return self.shapes

    def preprocess(self, raw):
        return raw if isinstance(self.made.input, dict) else next(iter(raw.values()))

    def network(self):
        return self.made

    def postprocess(self, outputs, inputs, network):
        return self.answers(outputs)

    losses = target = None


KINDS = {
    "text": (text_network, {"ids": Tensor((TIMES,), "int32")},
             lambda y: {"emissions": y, "tags": best_so_far(y)}),
    "image": (image_network, {"image": Tensor((16, 16, 3), "float32")},
              lambda y: {"logits": y, "probabilities": tf.nn.softmax(y), "squashed": tf.nn.sigmoid(y)}),
    "recurrent": (recurrent_network, {"frames": Tensor((TIMES, 8), "float32")},
                  lambda y: {"scores": y[0], "exact": y[1]}),
    "two": (two_inputs_network, {"ids": Tensor((TIMES,), "int32"), "size": Tensor((8,), "float32")}, lambda y: y),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes the int8 file of a kind, once: its operations, raw inputs, float answers, and those of both runtimes."""
    known = {}

    def make(kind):
        if kind not in known:
            folder, (build, inputs, answers) = tmp_path_factory.mktemp(kind), KINDS[kind]
            keras.utils.set_random_seed(1)
            network = with_biases(build())
            model = Small(inputs, network, answers)
            batch = values(network, 24)
            raw = batch if isinstance(batch, dict) else {next(iter(inputs)): batch}
            rounded = fake_quantized(network, [model.preprocess(raw)])
            write_saved_model(model, rounded, folder / "saved_model", "small", model.facts)
            file = folder / "int8.tflite"
            file.write_bytes(_convert_here(str(folder / "saved_model"), "int8"))
            classic, newer = in_both(file, raw, folder)
            pipeline = tf.function(model.pipeline(network))
            rows = [pipeline({name: tf.constant(x[row:row + 1]) for name, x in raw.items()}) for row in range(24)]
            want = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
            known[kind] = SimpleNamespace(model=model, network=network, folder=folder, file=file, raw=raw, want=want,
                                          classic=classic, newer=newer, operations=operations(file))
        return known[kind]
    return make


def outside(counts):
    return {name for name in counts if not name.endswith(":int8")}


def test_a_text_network_is_integer_under_a_float_loop(made):
    counts = made("text").operations
    assert counts.items() >= {"GATHER:int8": 1, "CONV_2D:int8": 4, "ADD:int8": 3, "WHILE": 1}.items()
    assert "CONV_2D" not in counts and "SPACE_TO_BATCH_ND" not in counts and counts["MUL:int8"] == 3


def test_an_image_network_is_integer_and_its_probabilities_are_not(made):
    counts = made("image").operations
    assert counts.items() >= {"CONV_2D:int8": 3, "DEPTHWISE_CONV_2D:int8": 1, "ADD:int8": 1, "MAX_POOL_2D:int8": 1,
                              "MEAN:int8": 1, "SOFTMAX": 1, "LOGISTIC": 1}.items()
    assert outside(counts) <= {"QUANTIZE", "DEQUANTIZE", "MUL", "RESHAPE", "SOFTMAX", "LOGISTIC"}


def test_a_recurrent_layer_stays_float_between_integers(made):
    counts = made("recurrent").operations
    assert counts.items() >= {"WHILE": 2, "CONV_2D:int8": 2}.items() and "CONV_2D" not in counts


def test_a_network_of_two_inputs_is_integer(made):
    counts = made("two").operations
    assert counts.items() >= {"GATHER:int8": 1, "CONV_2D:int8": 4, "REDUCE_MAX:int8": 1,
                              "CONCATENATION:int8": 1}.items()
    assert outside(counts) <= {"QUANTIZE", "DEQUANTIZE", "MUL", "RESHAPE"}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_float_ones_but_for_some_steps(kind, made):
    it = made(kind)
    for name, want in it.want.items():
        if want.dtype == np.float32:
            step = (max(want.max(), 0) - min(want.min(), 0)) / STEPS
            apart = np.abs(it.classic[name] - want)
            assert apart.mean() < 2 * step and apart.max() < 12 * step, name


@pytest.mark.parametrize("kind", KINDS)
def test_both_runtimes_agree(kind, made):
    it = made(kind)
    for name, answer in it.classic.items():
        np.testing.assert_allclose(it.newer[name], answer, atol=1e-5 * max(1.0, np.abs(answer).max()), err_msg=name)


def test_the_loop_decodes_what_the_integers_gave(made):
    it = made("text")
    np.testing.assert_array_equal(it.classic["tags"], [best_by_numpy(rows) for rows in it.classic["emissions"]])
    assert np.mean(it.classic["tags"] == it.want["tags"]) > 0.95


def test_an_unknown_layer_is_exact(made):
    it = made("recurrent")
    want = it.raw["frames"].astype(float) @ it.network.get_layer("exact").matrix.numpy()
    np.testing.assert_allclose(it.classic["exact"], want, atol=1e-5)


@pytest.mark.parametrize("kind", ["text", "image"])
def test_the_file_is_less_than_half_of_float32(kind, made):
    it = made(kind)
    write_saved_model(it.model, it.network, it.folder / "float", "small", it.model.facts)
    assert it.file.stat().st_size < len(_convert_here(str(it.folder / "float"), "float32")) / 2


def kernels(file):
    """(values, scales) of the kernels of the file's convolutions, read from the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
            tensor = graph.tensors[operator.inputs[1]]
            values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int8).reshape(tensor.shape)
            yield values, np.asarray(tensor.quantization.scale)


def test_kernels_have_a_scale_a_channel_with_normalisation_inside(made):
    it = made("image")
    convolution, normalisation = it.network.layers[1:3]
    gamma, _, _, variance = (x.numpy() for x in normalisation.weights)
    want = convolution.kernel.numpy() * gamma / np.sqrt(variance + normalisation.epsilon)
    integers, scales = next(kernels(it.file))
    np.testing.assert_allclose(scales, np.abs(want).max((0, 1, 2)) / 127, rtol=1e-5)
    apart = integers.transpose(1, 2, 3, 0) * scales - want
    assert (np.abs(apart) <= 0.501 * scales).all()


def test_a_channel_of_next_to_nothing_keeps_its_bias(tmp_path):
    inputs = keras.Input((TIMES, 8))
    network = keras.Model(inputs, L.Conv1D(3, 3)(inputs), name=NETWORK)
    [kernel, _] = network.layers[-1].get_weights()
    kernel[..., 1], kernel[..., 2] = 1e-20, 1e-8
    network.layers[-1].set_weights([kernel, np.array([0.3, 0.6, -0.4])])
    model = Small({"x": Tensor((TIMES, 8), "float32")}, network, lambda y: {"y": y})
    x = values(network)
    write_saved_model(model, fake_quantized(network, [x]), tmp_path / "saved_model", "small", model.facts)
    (tmp_path / "int8.tflite").write_bytes(_convert_here(str(tmp_path / "saved_model"), "int8"))
    classic, _ = in_both(tmp_path / "int8.tflite", {"x": x}, tmp_path)
    want = np.asarray(network(x))
    np.testing.assert_allclose(classic["y"], want, atol=4 * (want.max() - want.min()) / STEPS)

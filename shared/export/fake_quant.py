"""An integer network by its own ranges, for graphs with loops, whose conversion by a representative data set fails.

The network is built again of the same weights, with every tensor that is to be integer rounded to eight bits on its
way (fake quantisation). `optimizations=[DEFAULT]` without data then makes integer operations of what is rounded and
leaves all else as it is: loops, recurrent layers, normalisation, softmax, and layers that nobody named here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from shared.export.rounding import Begin, Convolution, End, Kernel, Lookup, Rounding, as_convolutions
from shared.layers.batch_normalization import BatchNormalization
from shared.layers.neighbours import Neighbours
from shared.networks.words import MaxOverTime

L = keras.layers
CONVOLUTIONS = {L.Dense, L.Conv1D, L.Conv2D, L.DepthwiseConv1D, L.DepthwiseConv2D, L.SeparableConv1D,
                L.SeparableConv2D}
# What gives new values from integers; of layers the class itself, of `keras.ops` the name of the operation.
COMPUTED = {L.Add, L.Subtract, L.Multiply, L.Concatenate, L.GlobalAveragePooling1D, L.GlobalAveragePooling2D,
            MaxOverTime}
COMPUTED_OPS = {"Add", "Subtract", "Multiply", "Concatenate", "Mean"}
# What moves, chooses or blends values: the range stays.
MOVED = {L.Flatten, L.Reshape, L.Permute, L.MaxPooling1D, L.MaxPooling2D, L.AveragePooling1D, L.AveragePooling2D,
         L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.ZeroPadding1D, L.ZeroPadding2D, L.Cropping1D, L.Cropping2D,
         L.UpSampling1D, L.UpSampling2D, Neighbours}
MOVED_OPS = {"Max", "Reshape", "Transpose", "Squeeze", "ExpandDims", "GetItem"}
NOTHING = {L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.GaussianDropout, L.GaussianNoise, L.AlphaDropout,
           L.ActivityRegularization, L.Identity}  # at inference


def fake_quantized(network: keras.Model, batches: Iterable[Any]) -> keras.Model:
    """The network with every tensor rounded that TFLite can compute in integers, for conversion alone.

    Integer become convolutions and dense layers (with the batch normalisation and relu that follow), embeddings, sums,
    products, concatenation, means, maxima, relu, and what moves values about. A convolution's kernel is rounded by
    channel, an embedding's table as a whole. All other layers are the very same objects, read and answer float32.

    Args:
        network: functional or sequential, float32, with its weights. Functional models inside it are gone into.
        batches: network inputs as `network` takes them; each tensor's range is the smallest that holds 0 and all of
            its values on them. A few hundred examples do.

    Returns:
        A model of the same name, inputs and outputs (float32). Layers keep their names; of several that became one,
        the last name. It holds copies of the kernels: train `network`, not this.

    Raises:
        ValueError: there is no batch.

    Example:

    >>> rounded = fake_quantized(network, (model.preprocess(raw) for raw in examples))
    >>> archive.track(rounded)

    Reference:
        [Jacob et al. 2018](https://arxiv.org/abs/1712.05877)
    """
    rebuilding = _Rebuilding()
    rounded = rebuilding.model(network)
    run = tf.function(lambda inputs: rounded(inputs, training=False), reduce_retracing=True)
    empty = True
    for batch in batches:
        run(batch)
        empty = False
    if empty:
        raise ValueError("Ranges need at least one batch of inputs.")
    for layer in rebuilding.rounding:
        layer.settle()
    return rounded


@dataclass(frozen=True)
class _Call:
    """One call of a layer or operation in a network."""

    operation: Any
    args: tuple
    kwargs: dict[str, Any]
    output: Any
    inside: Optional["_Calls"] = None

    def inputs(self) -> list[Any]:
        return [x for x in keras.tree.flatten((self.args, self.kwargs)) if isinstance(x, keras.KerasTensor)]

    def of(self, layers: Set[Any], operations: Set[str] = frozenset()) -> bool:
        """Whether the layer is of these very classes (a subclass may compute anything), or the operation so named."""
        kind = type(self.operation)
        return kind in layers or kind.__name__ in operations and kind.__module__.startswith("keras.src.ops.")

    def relu(self) -> float | None:
        """The largest value that a relu lets through; None where this is none."""
        how = self.operation
        if self.of({L.Activation}):
            return _relu(how.activation)
        if self.of({L.ReLU}) and not how.negative_slope and not how.threshold and how.max_value in (None, 6):
            return how.max_value or np.inf
        return np.inf if self.of(set(), {"Relu"}) else 6.0 if self.of(set(), {"Relu6"}) else None

    def normalises(self) -> bool:
        """Whether this is batch normalisation of the last axis by known moments."""
        return (self.of({L.BatchNormalization, BatchNormalization}) and not self.kwargs.get("training")
                and self.operation.axis in (-1, len(self.output.shape) - 1) and len(self.output.shape) <= 4)


@dataclass(frozen=True)
class _Calls:
    """A copy of a network round the same layers, and its calls in order."""

    network: Any
    calls: list[_Call]


class _Rebuilding:
    """Builds a network again, call by call; networks inside it are laid open.

    Calls and tensors of the network are old, those made here new; both are known by id.
    """

    def __init__(self) -> None:
        self.rounding: list[Rounding] = []  # all layers that need ranges
        self.readers: dict[int, list[_Call | None]] = {}  # of an old tensor; None is the network's output
        self.times: Counter[int] = Counter()  # how often an old layer is called
        self.joined: set[int] = set()  # old calls that an earlier one computes too
        self.new: dict[int, Any] = {}  # by the old tensor the new one that stands for it
        self.by: dict[int, Rounding] = {}  # who rounded a new tensor
        self.begun: dict[int, Any] = {}  # of a new float tensor its rounding
        self.ended: dict[int, Any] = {}  # of a new rounded tensor the float one
        self.names: Counter[str] = Counter()

    def model(self, network: keras.Model) -> keras.Model:
        old = self.read(network)  # kept to the end, so that ids stay its own
        self.new |= {id(x): x for x in old.network.inputs}
        self.build(old)
        return keras.Model(old.network.input, self.renewed(old.network.output, self.end), name=network.name)

    def read(self, network: keras.Model) -> _Calls:
        calls: list[_Call] = []

        def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
            laid_open = isinstance(operation, keras.Sequential) or _is_functional(operation)
            inside = self.read(operation) if laid_open else None
            calls.append(_Call(operation, args, kwargs, operation(*args, **kwargs), inside))
            self.times[id(operation)] += 1
            return calls[-1].output

        if isinstance(network, keras.Sequential):
            network = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
        old: Any = keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=record)
        for x in old.outputs:
            self.readers.setdefault(id(x), []).append(None)
        for call in calls:
            for x in call.inputs():
                self.readers.setdefault(id(x), []).append(call)
        return _Calls(old, calls)

    def build(self, old: _Calls) -> None:
        for call in old.calls:
            if id(call) in self.joined or self.integer(call):
                continue
            if call.inside:
                network = call.inside.network
                self.new |= {id(x): self.new[id(y)] for x, y in zip(network.inputs, call.inputs(), strict=True)}
                self.build(call.inside)
                made = [self.new[id(x)] for x in network.outputs]
            else:
                args, kwargs = self.renewed((call.args, call.kwargs), self.end)
                made = keras.tree.flatten(call.operation(*args, **kwargs))
            self.new |= {id(x): y for x, y in zip(keras.tree.flatten(call.output), made, strict=True)}

    def integer(self, call: _Call) -> bool:
        """Computes a call in integers, together with those that can be joined to it; False where it must be float."""
        how = call.operation
        inputs = [self.new[id(x)] for x in call.inputs()]
        rounded = [id(x) in self.by for x in inputs]
        if call.of(NOTHING):
            self.new[id(call.output)] = inputs[0]
        elif call.of({L.Embedding}):
            self.put(call, Lookup(how, self.name(how)), inputs[0])
        elif kernels := as_convolutions(how, inputs[0]) if call.of(CONVOLUTIONS) else []:
            self.convolve(call, kernels, inputs[0])
        elif all(rounded) and call.normalises():
            ones = np.ones((1, 1, 1, call.output.shape[-1]), np.float32)
            kernel = Kernel(ones, ones[0, 0, 0] * 0, multiplier=1).normalised(how)
            last, relu = self.with_relu(call)
            layer = Convolution(kernel, self.by[id(inputs[0])], relu, self.name(last.operation))
            self.put(last, layer, inputs[0])
        elif all(rounded) and call.relu() is not None:
            self.put(call, Rounding(how, None, self.name(how)), inputs[0])
        elif all(rounded) and call.of(MOVED, MOVED_OPS):
            args, kwargs = self.renewed((call.args, call.kwargs))
            self.new[id(call.output)] = moved = how(*args, **kwargs)
            self.by[id(moved)] = self.by[id(inputs[0])]
        elif any(rounded) and call.of(COMPUTED, COMPUTED_OPS) and _only_tensors(call):
            last, relu = self.with_relu(call)
            args = self.renewed(call.args, self.begin)
            self.put(last, Rounding(how, relu, self.name(last.operation)), args[0] if len(args) == 1 else args)
        else:
            return False
        return True

    def convolve(self, call: _Call, kernels: list[Kernel], x: Any) -> None:
        """Convolutions one after another, then what their layer or the next ones do: normalisation, relu."""
        activation, last = call.operation.activation, call
        relu = _relu(activation)
        if activation is keras.activations.linear:
            after = self.only_reader(call)
            if after and after.normalises():
                kernels[-1], last = kernels[-1].normalised(after.operation), after
                self.joined.add(id(after))
            last, relu = self.with_relu(last)
        for kernel in kernels:
            x = self.begin(x)
            final = kernel is kernels[-1]
            name = self.name(last.operation) if final else self.name(call.operation, "_depthwise")
            layer = Convolution(kernel, self.by[id(x)], relu if final else None, name)
            x = self.put(last, layer, x)
        if activation is not keras.activations.linear and relu is None:
            self.new[id(last.output)] = L.Activation(activation)(self.end(x))

    def put(self, call: _Call, layer: Rounding, inputs: Any) -> Any:
        """Calls the layer; what comes out stands for what the call gives."""
        self.rounding.append(layer)
        self.new[id(call.output)] = made = layer(inputs)
        self.by[id(made)] = layer
        return made

    def only_reader(self, call: _Call) -> _Call | None:
        """The only call that reads what this one gives, where nobody else does."""
        readers = self.readers.get(id(call.output), [])
        return readers[0] if len(readers) == 1 else None

    def with_relu(self, call: _Call) -> tuple[_Call, float | None]:
        """(the relu that alone reads a call, its largest value), joined; or the call itself and None."""
        after = self.only_reader(call)
        relu = after.relu() if after else None
        if after is None or relu is None:
            return call, None
        self.joined.add(id(after))
        return after, relu

    def begin(self, x: Any) -> Any:
        """A new tensor, rounded."""
        if id(x) in self.by:
            return x
        if id(x) not in self.begun:
            layer = Begin(f"begin_{len(self.begun) + 1}")
            self.rounding.append(layer)
            self.begun[id(x)] = layer(x)
            self.by[id(self.begun[id(x)])] = layer
        return self.begun[id(x)]

    def end(self, x: Any) -> Any:
        """A new tensor, float from here on."""
        if id(x) in self.by and id(x) not in self.ended:
            self.ended[id(x)] = End(f"end_{len(self.ended) + 1}")(x)
        return self.ended.get(id(x), x)

    def renewed(self, structure: Any, then: Callable[[Any], Any] = lambda x: x) -> Any:
        """The same structure with new tensors in place of the old ones."""
        return keras.tree.map_structure(
            lambda x: then(self.new[id(x)]) if isinstance(x, keras.KerasTensor) else x, structure)

    def name(self, of: Any, part: str = "") -> str:
        """A name for what computes a call of a layer: the layer's own, numbered where it is called more than once."""
        name = of.name + part
        if self.times[id(of)] == 1:
            return name
        self.names[name] += 1
        return f"{name}_call_{self.names[name]}"


def _is_functional(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and isinstance(operation, keras.Function)


def _only_tensors(call: _Call) -> bool:
    return not call.kwargs and all(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(call.args))


def _relu(activation: Any) -> float | None:
    """The largest value that an activation lets through, if it is a relu."""
    return {keras.activations.relu: np.inf, keras.activations.relu6: 6.0}.get(activation)

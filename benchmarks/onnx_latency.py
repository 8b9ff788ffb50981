"""Latency of shipped files against onnxruntime running the same network in float32, interleaved in one process.

    python -m benchmarks.onnx_latency APP RUN EXPORT [--rounds 200] [--threads 1]

EXPORT is the folder that `export` wrote. The files are timed whole (raw input to answers), onnxruntime on the network
alone. That both compute the same is checked first. Needs `pip install onnx onnxruntime`.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from apps import APPS
from shared.app import find_app
from shared.evaluation.latency import noise
from shared.evaluation.predictors import open_artifact
from shared.run import Run
from shared.training.fit import load_network


def to_onnx(network: keras.Model) -> bytes:
    """A functional Keras network of the layers that convolutional networks are made of, as ONNX, channels first."""
    nodes, tensors = [], []

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def same(size, kernel, stride, rate):
        whole = max((-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size, 0)
        return whole // 2, whole - whole // 2

    names = {}
    for layer in network.layers:
        kind, out = type(layer).__name__, f"{layer.name}_out"
        if kind == "InputLayer":
            names[layer.output.name] = "input"
            continue
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        given = [names[tensor.name] for tensor in sources]
        shape = sources[0].shape
        if kind in ("Conv2D", "DepthwiseConv2D"):
            kernel = layer.kernel.numpy()
            depthwise = kind == "DepthwiseConv2D"
            weights = np.transpose(kernel, (2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
            inputs = [given[0], constant(f"{layer.name}_w", np.ascontiguousarray(weights))]
            if layer.use_bias:
                inputs.append(constant(f"{layer.name}_b", layer.bias.numpy()))
            edges = [same(shape[1 + i], kernel.shape[i], layer.strides[i], layer.dilation_rate[i]) for i in (0, 1)]
            pads = [edges[0][0], edges[1][0], edges[0][1], edges[1][1]] if layer.padding == "same" else [0] * 4
            add("Conv", inputs, out, pads=pads, strides=list(layer.strides), dilations=list(layer.dilation_rate),
                group=shape[-1] if depthwise else 1)
        elif kind == "BatchNormalization":
            parts = [("g", layer.gamma), ("b", layer.beta), ("m", layer.moving_mean), ("v", layer.moving_variance)]
            add("BatchNormalization", [given[0], *(constant(f"{layer.name}_{key}", value.numpy())
                                                   for key, value in parts)], out, epsilon=layer.epsilon)
        elif kind == "Activation" and layer.activation.__name__ == "relu":
            add("Relu", given, out)
        elif kind == "MaxPooling2D":
            add("MaxPool", given, out, kernel_shape=list(layer.pool_size), strides=list(layer.strides))
        elif kind == "UpSampling2D" and layer.interpolation == "nearest":
            scales = constant(f"{layer.name}_s", np.array([1, 1, *layer.size], np.float32))
            add("Resize", [given[0], "", scales], out, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")
        elif kind == "Concatenate":
            add("Concat", given, out, axis=1)
        elif kind == "Add":
            add("Add", given, out)
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = layer.padding
            add("Pad", [given[0], constant(f"{layer.name}_p", np.array([0, 0, top, left, 0, 0, bottom, right]))], out)
        elif kind == "Cropping2D":
            (top, bottom), (left, right) = layer.cropping
            ends = np.array([shape[1] - bottom, shape[2] - right])
            add("Slice", [given[0], constant(f"{layer.name}_f", np.array([top, left])),
                          constant(f"{layer.name}_t", ends), constant(f"{layer.name}_a", np.array([2, 3]))], out)
        elif kind in ("SpatialDropout2D", "Dropout"):
            out = given[0]
        else:
            raise SystemExit(f"{layer.name}: {kind} is not known here.")
        names[layer.output.name] = out
    add("Identity", [names[network.output.name]], "output")
    _, height, width, channels = network.input.shape
    classes = network.output.shape[-1]
    graph = helper.make_graph(nodes, "network", [helper.make_tensor_value_info(
        "input", TensorProto.FLOAT, [1, channels, height, width])], [helper.make_tensor_value_info(
            "output", TensorProto.FLOAT, [1, classes, height, width])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("app")
    parser.add_argument("run")
    parser.add_argument("export")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    app, run = find_app(args.app, APPS), Run.open(args.run)
    model = app.build(run.settings(app), run.facts())
    network = load_network(model, run)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(to_onnx(network), options, providers=["CPUExecutionProvider"])

    raw = {name: noise(tensor) for name, tensor in model.inputs.items()}
    inputs = np.asarray(model.preprocess(raw))
    channels_first = np.ascontiguousarray(np.moveaxis(inputs, -1, 1))
    want = np.asarray(network(inputs, training=False))
    got = np.moveaxis(session.run(None, {"input": channels_first})[0], 1, -1)
    print(f"largest difference of the networks' outputs: {np.abs(want - got).max():.2g}")

    ways = {"onnxruntime float32": lambda: session.run(None, {"input": channels_first})}
    for path in sorted(Path(args.export).glob("*.tflite")):
        predictor = open_artifact(path, app, args.threads)
        ways[path.name] = lambda predictor=predictor: predictor(raw)
    times = {name: [] for name in ways}
    for turn in range(args.rounds + 5):
        for name, call in ways.items():
            begun = time.perf_counter()
            call()
            if turn >= 5:
                times[name].append(1000 * (time.perf_counter() - begun))
    base = np.median(times["onnxruntime float32"])
    for name, values in times.items():
        print(f"{name:28} median {np.median(values):8.3f} ms   least {min(values):8.3f}   "
              f"{np.median(values) / base:.3f} times onnxruntime")


if __name__ == "__main__":
    main()

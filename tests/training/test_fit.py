"""The one training: what it computes, keeps, stops at and says, against NumPy on the saved networks."""

import json
import math
import statistics
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from apps.mnist.app import Mnist, Settings
from shared.cli.terminal import progress
from shared.data.dataset import Dataset, Split
from shared.errors import UserError
from shared.evaluation.report import Headline, Report
from shared.facts import Facts
from shared.run import Run
from shared.training import callbacks
from shared.training.checkpoints import Checkpoints
from shared.training.fit import cross_validate, fit, start_from

APP = Mnist()
HEADLINE = Headline("accuracy")
SIDE = 12
PLAIN = {"data": "made", "model": "cnn", "width": 0.1, "augment": "none", "dropout": 0.0, "batch_size": 8, "epochs": 2,
         "learning_rate": 0.01, "schedule": "constant"}


def split(counts, seed, side=SIDE):
    """Noise with a bright bar whose place tells the class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(seed).integers(0, 100, (len(labels), side, side, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label:3 * label + 3] += 120
    return Split({"image": images, "label": labels})


def dataset(counts=(24, 16, 8), labels=("top", "middle", "low"), side=SIDE):
    splits = {"train": split(counts, 1, side), "validation": split([9] * len(counts), 2, side),
              "test": split([6] * len(counts), 3, side)}
    return Dataset("made", splits, list(labels))


def trained(folder, data=None, **changes):
    """A run in `folder`; with what was said and the report."""
    settings = Settings(**{**PLAIN, **changes})
    run, said, data = Run.create(folder, APP, settings), [], data or dataset()
    report = fit(APP, settings, data, run, said.append, progress, verbose=0)
    return SimpleNamespace(run=run, folder=folder, said=said, report=report, data=data, settings=settings)


def resumed(made, **changes):
    settings = replace(made.settings, **changes)
    return fit(APP, settings, made.data, made.run, made.said.append, progress, verbose=0)


def history(folder):
    return json.loads((folder / "history.json").read_text())["epochs"]


def saved(folder):
    return keras.models.load_model(folder / "model.keras", compile=False)


def logits(folder, examples):
    facts = json.loads((folder / "facts.json").read_text())
    return saved(folder).predict((examples.columns["image"] / 255 - facts["mean"]) / facts["std"], verbose=0)


def log_softmax(values):
    values = values.astype(np.float64) - values.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


def accuracy(folder, examples):
    return float((logits(folder, examples).argmax(-1) == examples.columns["label"]).mean())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"))


def test_a_finished_run_is_complete(plain):
    for name in ("run.json", "settings.yaml", "facts.json", "model.keras", "history.json", "best.json", "report.json",
                 "checkpoints/index.json", "report/confusion.png", "report/reliability.png"):
        assert (plain.folder / name).stat().st_size > 0, name
    for part in ("train", "validation"):
        assert list((plain.folder / "tensorboard" / part).glob("events*"))
    assert not [path for path in plain.folder.rglob("*") if "tmp" in path.name]
    record = json.loads((plain.folder / "run.json").read_text())
    assert record["state"] == "finished" and record["parameters"] == saved(plain.folder).count_params()
    assert record["score"] == plain.report.metrics["accuracy"] and record["cpu_minutes"] > 0


def test_the_report_and_history_are_those_of_the_saved_network(plain):
    validation = plain.data.splits["validation"]
    labels, found = validation.columns["label"], logits(plain.folder, validation)
    report = json.loads((plain.folder / "report.json").read_text())
    assert report["metrics"]["accuracy"] == pytest.approx((found.argmax(-1) == labels).mean())
    assert report["metrics"]["log_loss"] == pytest.approx(-log_softmax(found)[np.arange(len(labels)), labels].mean(),
                                                          rel=1e-4)
    rows, best = history(plain.folder), json.loads((plain.folder / "best.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert best["score"] == max(row["val_accuracy"] for row in rows) == report["metrics"]["accuracy"]
    assert rows[best["epoch"] - 1]["val_accuracy"] == best["score"]


def test_training_learns(tmp_path):
    made = trained(tmp_path / "run", epochs=12)
    assert history(tmp_path / "run")[-1]["loss"] < 0.5 * history(tmp_path / "run")[0]["loss"]
    assert accuracy(tmp_path / "run", made.data.splits["test"]) > 0.9


def test_tensorboard_has_the_promised_curves_and_pictures(plain):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def read(part):
        events = EventAccumulator(str(plain.folder / "tensorboard" / part), {"tensors": 0})
        events.Reload()
        return {tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
                for tag in events.Tags()["tensors"]}

    def curve(events, tag):
        return [(step, pytest.approx(float(value), rel=1e-5)) for step, value in events[tag]]

    train, validation, rows = read("train"), read("validation"), history(plain.folder)
    assert curve(train, "epoch/loss") == [(row["epoch"], row["loss"]) for row in rows]
    assert curve(train, "epoch/accuracy") == [(row["epoch"], row["accuracy"]) for row in rows]
    assert curve(train, "training/learning_rate") == [(row["epoch"], 0.01) for row in rows]
    assert curve(validation, "epoch/loss") == [(row["epoch"], row["val_log_loss"]) for row in rows]
    assert curve(validation, "epoch/accuracy") == [(row["epoch"], row["val_accuracy"]) for row in rows]
    speeds = train["training/examples_per_second"]
    assert [step for step, _ in speeds] == [1, 2] and all(value > 0 for _, value in speeds)
    for step, picture in validation["report/confusion"]:
        width, height, png = picture[:3]
        assert step in (1, 2) and int(width) > 100 and int(height) > 100 and png.startswith(b"\x89PNG")


def test_a_loss_that_is_no_number_stops_before_anything_is_saved(tmp_path):
    with pytest.raises(UserError) as error:
        trained(tmp_path / "run", learning_rate=1e30, optimizer="sgd", steps_per_execution=1)
    sentence = str(error.value)
    assert "epoch 1, step 2" in sentence and "--learning-rate" in sentence and "--clip-norm" in sentence
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "model.keras").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "begun"


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    with pytest.raises(UserError):  # one step an epoch: its loss is sound, and what it makes of the weights is not
        trained(tmp_path / "run", learning_rate=math.inf, optimizer="sgd", batch_size=1000)
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "model.keras").exists()


def test_a_loss_that_becomes_no_number_later_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    made = trained(tmp_path / "run", epochs=1)
    before = (tmp_path / "run" / "checkpoints" / "index.json").read_bytes()
    network = (tmp_path / "run" / "model.keras").read_bytes()
    step = callbacks.Resume.on_train_batch_end
    monkeypatch.setattr(callbacks.Resume, "on_train_batch_end",
                        lambda self, batch, logs: step(self, batch, {**logs, "loss": math.nan} if logs else logs))
    with pytest.raises(UserError, match="epoch 2, step"):
        resumed(made, epochs=2)
    assert (tmp_path / "run" / "checkpoints" / "index.json").read_bytes() == before
    assert (tmp_path / "run" / "model.keras").read_bytes() == network


@pytest.fixture
def scored(tmp_path):
    """Drives Validate through epochs: gives a function of (weight, score) pairs and its folder."""
    def network():
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])

    run, training, served = Run.create(tmp_path / "run", APP, Settings()), network(), network()
    training.compile(keras.optimizers.SGD(0.1), "mse")

    def drive(*epochs, headline=HEADLINE, first=0):
        scores = iter([score for _, score in epochs])
        validate = callbacks.Validate(training, served, lambda: Report({headline.key: next(scores)}), headline, run)
        validate.set_model(training)
        seen = []
        for number, (weight, _) in enumerate(epochs, first):
            training.set_weights([np.full((1, 1), weight)])
            logs = {"loss": 1.0}
            validate.on_epoch_end(number, logs)
            seen.append(logs[f"val_{headline.key}"])
        return seen, validate.records

    def kept():
        return float(saved(run.folder).get_weights()[0][0, 0]), json.loads((run.folder / "best.json").read_text())
    return SimpleNamespace(drive=drive, kept=kept)


def test_the_best_network_is_never_overwritten_by_a_worse_one(scored):
    seen, records = scored.drive((1, 0.5), (2, 0.9), (3, 0.7))
    assert scored.kept() == (2.0, {"epoch": 2, "score": 0.9, "metric": "accuracy"})
    assert seen == [0.5, 0.9, 0.7]
    assert [(row["epoch"], row["val_accuracy"], row["loss"]) for row in records] == [
        (1, 0.5, 1.0), (2, 0.9, 1.0), (3, 0.7, 1.0)]


def test_the_best_network_is_remembered_by_the_run(scored):
    scored.drive((1, 0.5), (2, 0.9))
    scored.drive((3, 0.8), first=2)
    assert scored.kept() == (2.0, {"epoch": 2, "score": 0.9, "metric": "accuracy"})
    scored.drive((4, 0.95), first=3)
    assert scored.kept() == (4.0, {"epoch": 4, "score": 0.95, "metric": "accuracy"})


def test_a_score_that_is_no_number_is_never_the_best(scored):
    scored.drive((1, math.nan), (2, 0.1), (3, math.nan))
    assert scored.kept()[0] == 2.0


def test_the_best_may_be_the_lowest(scored):
    scored.drive((1, 0.5), (2, 0.2), (3, 0.7), headline=Headline("error", higher_is_better=False))
    assert scored.kept() == (2.0, {"epoch": 2, "score": 0.2, "metric": "error"})


def state(network):
    return ([variable.numpy() for variable in network.trainable_variables],
            [variable.numpy() for variable in network.non_trainable_variables if "moving" in variable.path])


def test_an_average_of_the_weights_is_scored_and_shipped(tmp_path, monkeypatch):
    after = []  # (weights, moving means and variances) after each step
    step = callbacks.Resume.on_train_batch_end

    def watched(self, batch, logs=None):
        after.append(state(self.model))
        step(self, batch, logs)

    monkeypatch.setattr(callbacks.Resume, "on_train_batch_end", watched)
    made = trained(tmp_path / "run", ema=0.6, model="separable", epochs=1, steps_per_execution=1)
    average = [weight.astype(np.float64) for weight in after[0][0]]
    for weights, _ in after[1:]:
        average = [0.6 * mean + 0.4 * weight for mean, weight in zip(average, weights, strict=True)]
    weights, statistics = state(saved(tmp_path / "run"))
    assert len(after) == 6
    for got, want, last in zip(weights, average, after[-1][0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
        assert not np.array_equal(got, last)
    for got, want in zip(statistics, after[-1][1], strict=True):
        np.testing.assert_array_equal(got, want)
    assert history(tmp_path / "run")[0]["val_accuracy"] == pytest.approx(
        accuracy(tmp_path / "run", made.data.splits["validation"]))


def still(folder, data=None, **changes):
    """A run of one epoch in which nothing is learned: its loss is that of the saved weights on all examples."""
    return trained(folder, data, learning_rate=0.0, optimizer="sgd", epochs=1, **changes)


def cross_entropies(made, smoothing=0.0):
    train = made.data.splits["train"]
    targets = np.eye(3)[train.columns["label"]] * (1 - smoothing) + smoothing / 3
    return -(targets * log_softmax(logits(made.folder, train))).sum(-1)


def test_the_loss_is_the_smoothed_cross_entropy(tmp_path):
    made = still(tmp_path / "run", label_smoothing=0.3)
    loss = history(tmp_path / "run")[0]["loss"]
    assert loss == pytest.approx(cross_entropies(made, 0.3).mean(), rel=1e-4)
    assert abs(loss - cross_entropies(made).mean()) > 1e-3


@pytest.mark.parametrize("kind", ["balanced", "square_root"])
def test_class_weights_weigh_the_loss(tmp_path, kind):
    made = still(tmp_path / "run", class_weights=kind)
    labels = made.data.splits["train"].columns["label"]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    if kind == "square_root":
        weights = np.sqrt(weights) / np.sqrt(weights)[labels].mean()
    np.testing.assert_allclose(json.loads((tmp_path / "run" / "facts.json").read_text())["class_weights"], weights)
    model = APP.build(made.settings, made.run.facts())
    np.testing.assert_allclose(model.weight({"label": labels}).numpy(), weights[labels], rtol=1e-5)
    loss = history(tmp_path / "run")[0]["loss"]
    assert loss == pytest.approx((weights[labels] * cross_entropies(made)).mean(), rel=1e-4)
    assert abs(loss - cross_entropies(made).mean()) > 1e-4


def test_without_class_weights_all_examples_weigh_alike(plain):
    assert APP.build(plain.settings, plain.run.facts()).weight({"label": np.zeros(3, np.int64)}) is None


@pytest.fixture(scope="module")
def stalled(tmp_path_factory):
    """A run whose score cannot change, as its steps are too small to move any weight."""
    return trained(tmp_path_factory.mktemp("stalled"), learning_rate=1e-12, epochs=9, patience=3, schedule="plateau",
                   decay_epochs=1, decay_rate=0.5)


def test_patience_stops_after_so_many_epochs_without_a_better_score(stalled):
    rows = history(stalled.folder)
    assert len({row["val_accuracy"] for row in rows}) == 1
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert json.loads((stalled.folder / "best.json").read_text())["epoch"] == 4  # of equal ones the later


def test_going_on_at_an_epoch_gives_the_same_history_and_weights(plain, tmp_path):
    made = trained(tmp_path / "run", epochs=1)
    resumed(made, epochs=2)
    assert history(tmp_path / "run") == history(plain.folder)
    for got, want in zip(saved(tmp_path / "run").get_weights(), saved(plain.folder).get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_minutes_of_a_killed_process_count_up_to_its_checkpoint(tmp_path):
    made = trained(tmp_path / "run", epochs=1)
    checkpoints = Checkpoints(made.run.checkpoints)
    variables, state = checkpoints.load()
    assert 0 < state["cpu_minutes"] <= made.run.read("run.json")["cpu_minutes"]
    checkpoints.save(variables, {**state, "cpu_minutes": 100.0})
    record = made.run.read("run.json")
    del record["cpu_minutes"]  # nobody marks it when the process is killed
    made.run.write("run.json", record)
    resumed(made, epochs=2)
    assert 100 < made.run.read("run.json")["cpu_minutes"] < 110


def test_plateau_lowers_the_rate_where_the_score_stalls(stalled):
    np.testing.assert_allclose([row["learning_rate"] for row in history(stalled.folder)],
                               [1e-12, 1e-12, 0.5e-12, 0.25e-12], rtol=1e-5)


def test_a_resumed_run_keeps_its_patience_and_its_rate(stalled, tmp_path):
    settings = {"learning_rate": 1e-12, "patience": 3, "schedule": "plateau", "decay_epochs": 1, "decay_rate": 0.5}
    made = trained(tmp_path / "run", epochs=2, **settings)
    resumed(made, epochs=9)
    assert [(row["epoch"], row["learning_rate"]) for row in history(tmp_path / "run")] == [
        (row["epoch"], row["learning_rate"]) for row in history(stalled.folder)]


def test_from_keeps_all_weights_of_an_equal_network(plain, tmp_path):
    made = still(tmp_path / "run", from_run=str(plain.folder))
    assert any("all weights fit" in sentence for sentence in made.said)
    for got, want in zip(saved(tmp_path / "run").get_weights(), saved(plain.folder).get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_from_with_other_labels_begins_with_a_new_head(plain, tmp_path):
    made = still(tmp_path / "run", dataset(labels=("cat", "dog", "fox")), from_run=str(plain.folder))
    assert f"Started from {plain.folder}; new: logits." in made.said
    fresh, source = saved(tmp_path / "run"), saved(plain.folder)
    for new, old in zip(fresh.layers, source.layers, strict=True):
        for got, want in zip(new.get_weights(), old.get_weights(), strict=True):
            if new.name == "logits":
                assert got.ndim == 1 or not np.array_equal(got, want)
            else:
                np.testing.assert_array_equal(got, want)


def test_from_with_other_shapes_keeps_what_fits_and_names_what_it_left(plain):
    facts = Facts({**plain.run.facts().values, "image_size": [16, 16], "labels": ["a", "b"]})
    network = APP.build(plain.settings, facts).network()
    said = start_from(APP, plain.run, network, APP.build(plain.settings, facts))
    weighted = [layer for layer in network.layers if layer.weights]
    source = [layer for layer in saved(plain.folder).layers if layer.weights]
    left = [layer.name for layer, old in zip(weighted, source, strict=True)
            if [w.shape for w in layer.weights] != [w.shape for w in old.weights]]
    assert said == f"Started from {plain.folder}; new: {', '.join(left)}."
    assert len(left) == 2 and left[-1] == "logits"
    for layer, old in zip(weighted, source, strict=True):
        if layer.name not in left:
            np.testing.assert_array_equal(layer.get_weights()[0], old.get_weights()[0])


def test_from_takes_no_run_of_another_app(plain, tmp_path):
    run = Run.create(tmp_path / "other", SimpleNamespace(name="weather"), Settings())
    network = APP.build(plain.settings, plain.run.facts()).network()
    with pytest.raises(UserError, match="is a run of weather"):
        start_from(APP, run, network, APP.build(plain.settings, plain.run.facts()))


def test_a_run_goes_on_when_the_one_that_it_was_started_from_is_gone(tmp_path):
    trained(tmp_path / "source", epochs=1)
    made = trained(tmp_path / "run", epochs=1, from_run=str(tmp_path / "source"))
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    resumed(made, epochs=2)
    assert [row["epoch"] for row in history(tmp_path / "run")] == [1, 2]


def test_folds_give_mean_and_standard_deviation_of_what_each_network_scores_on_its_own_fold(tmp_path):
    from shared.data.splits import folds
    data, settings = dataset((18, 15, 12)), Settings(**{**PLAIN, "folds": 3, "seed": 4})
    run = Run.create(tmp_path / "run", APP, settings)
    pairs = list(folds(data, 3, 4))
    summary = cross_validate(APP, settings, data, pairs, run, [].append, progress, verbose=0)
    held = [part for _, part in pairs]
    assert sum(map(len, held)) == 45
    want = [accuracy(tmp_path / "run" / f"fold-{number}", part) for number, part in enumerate(held, 1)]
    assert summary["each"]["accuracy"] == pytest.approx(want)
    assert summary["mean"]["accuracy"] == pytest.approx(statistics.mean(want))
    assert summary["standard_deviation"]["accuracy"] == pytest.approx(statistics.stdev(want))
    for key, values in summary["each"].items():
        assert len(values) == 3 and summary["mean"][key] == pytest.approx(np.mean(values))
        assert summary["standard_deviation"][key] == pytest.approx(np.std(values, ddof=1))


def test_bfloat16_trains_and_the_shipped_network_is_float32(tmp_path, monkeypatch):
    used = []
    begin = callbacks.Resume.on_train_begin
    monkeypatch.setattr(callbacks.Resume, "on_train_begin", lambda self, logs=None: (
        used.extend(layer.compute_dtype for layer in self.model.layers if layer.weights), begin(self, logs)))
    made = trained(tmp_path / "run", precision="mixed_bfloat16", epochs=3)
    assert used == ["bfloat16"] * 3 + ["float32"]  # logits are float32
    rows, network = history(tmp_path / "run"), saved(tmp_path / "run")
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}
    assert made.report.metrics["accuracy"] == pytest.approx(accuracy(tmp_path / "run", made.data.splits["validation"]))
    assert keras.config.dtype_policy().name == "float32"


def test_facts_found_by_calibration_are_found_anew_when_a_run_goes_on(tmp_path, monkeypatch):
    from apps.mnist.model import ImageClassifier
    seen = []

    def calibrate(self, network, validation, answer):
        seen.append(dict(self.facts.values))
        return {"shift": len(seen)}

    monkeypatch.setattr(ImageClassifier, "calibrate", calibrate)
    made = trained(tmp_path / "run", epochs=1)
    assert made.run.facts()["shift"] == 1
    resumed(made, epochs=2)
    assert "shift" not in seen[0] and "shift" not in seen[1] and made.run.facts()["shift"] == 2


def test_epochs_between_two_scorings_are_trained_and_not_scored(tmp_path, recwarn):
    made = trained(tmp_path / "run", epochs=5, validate_every=2, patience=9, schedule="plateau")
    rows = history(tmp_path / "run")
    assert [row["epoch"] for row in rows if "val_accuracy" in row] == [2, 4, 5] and all("loss" in row for row in rows)
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["score"] == max(row.get("val_accuracy", 0) for row in rows) == made.report.metrics["accuracy"]
    assert not [warning for warning in recwarn if "not available" in str(warning.message)]
    plain = trained(tmp_path / "plain", epochs=5, patience=9, schedule="plateau", decay_epochs=9)
    assert [row["loss"] for row in history(plain.folder)] == pytest.approx([row["loss"] for row in rows])

"""The app: sizes, facts, and the verbs through the command line, on folders of tiny images."""

import contextlib
import hashlib
import io
import json
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import shared.evaluation.figures
from apps import APPS
from apps.segment.app import Segment, Settings, sides
from shared.cli.main import main
from shared.data.dataset import Varied
from shared.errors import UserError
from shared.evaluation import answering as answers
from shared.evaluation.answering import answering
from shared.evaluation.overlay import palette
from shared.facts import Facts
from shared.signature import Tensor

RANDOM = np.random.default_rng(0)
SMALL = ["--epochs", 1, "--batch-size", 2, "--width", 4, "--widest", 4, "--depth", 1, "--size", "16x16"]


@pytest.fixture(scope="module", autouse=True)
def figures_left_blank():
    """What figures show is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.evaluation.figures, "draw", lambda figure: Figure((2, 2)))
        yield


def call(*arguments):
    """(exit status, standard output, standard error) of one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["segment", *map(str, arguments)], APPS)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def command(capsys):
    def run(*arguments, status=0):
        capsys.readouterr()
        got = main(["segment", *map(str, arguments)], APPS)
        out, err = capsys.readouterr()
        assert got == status, err
        return out, err
    return run


def content(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def write(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(path, **options)
    return path


def pair(top, stem, mask, lists=None):
    """Writes a mask and an image that shows it, noisily; names it in a list file."""
    mask = np.asarray(mask, np.uint8)
    noise = RANDOM.integers(0, 60, (*mask.shape, 3)).astype(np.uint8)
    write(top / "images" / f"{stem}.png", noise + np.where(mask == 255, 0, mask)[..., None] * np.uint8(90))
    write(top / "masks" / f"{stem}.png", mask)
    if lists:
        with (top / f"{lists}.txt").open("a") as file:
            file.write(f"{stem}\n")


def halves(height, width, classes=2):
    """A mask of as many vertical stripes as there are classes."""
    return np.broadcast_to(np.arange(width) * classes // width, (height, width))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A tiny run on the sample, whole images resized."""
    run = tmp_path_factory.mktemp("home") / "run"
    status, _, err = call("fit", "--data", "sample", "--limit", 16, "--epochs", 1, "--batch-size", 4, "--width", 8,
                          "--widest", 8, "--depth", 2, "--size", "64x64", "--run", run)
    assert status == 0, err
    return SimpleNamespace(run=run, facts=json.loads((run / "facts.json").read_text()))


@pytest.fixture(scope="session")
def tiled(tmp_path_factory):
    """A tiny run on pairs of images of three sizes, in tiles; gaps are weighed, and it goes on for an epoch."""
    top = tmp_path_factory.mktemp("tiled")
    for number, size in enumerate([(30, 50), (64, 40), (12, 20)] * 2):
        pair(top / "data", f"{number}", halves(*size), "train" if number < 4 else "val")
    given = [*SMALL, "--data", top / "data", "--run", top / "run", "--fit-image", "tile", "--overlap", 0.25]
    status, _, err = call("fit", *given, "--gap-weight", 10, "--class-weights", "balanced")
    assert status == 0, err
    status, _, err = call("fit", "--resume", top / "run", "--epochs", 2)
    assert status == 0, err
    return SimpleNamespace(run=top / "run", facts=json.loads((top / "run" / "facts.json").read_text()))


# Sizes and facts

def test_sides_are_height_and_width():
    assert sides("--size", None) is None
    assert sides("--size", "180x240") == (180, 240) and sides("--size", "16x4096") == (16, 4096)


@pytest.mark.parametrize("text", ["5x5", "15x16", "16x4097", "240", "16x16x3", "16 x 16", "-16x16", "16X16", "", "axb",
                                  "1e2x16", "123456x16"])
def test_other_words_are_no_sides(text):
    with pytest.raises(UserError, match="HEIGHTxWIDTH") as error:
        sides("--input-size", text)
    assert str(error.value).startswith(f"--input-size {text}: ")


@pytest.fixture(scope="module")
def sample():
    return Segment().load(Settings(data="sample"))


def learned(dataset, images, **options):
    """Facts of a data set whose training images are these, masks aside."""
    train = replace(dataset.splits["train"], columns={"image": Varied(images, lambda image: image)},
                    meta={"size": [image.shape[:2] for image in images]})
    return Segment().learn_facts(Settings(**options), train, dataset)


def some(*sizes, channels=1):
    return [RANDOM.integers(0, 256, (*size, channels)).astype(np.uint8) for size in sizes]


@pytest.mark.parametrize("fit, sizes, size", [
    ("resize", [(40, 60), (40, 60), (90, 90)], (40, 60)),
    ("resize", [(40, 60), (80, 50), (90, 120)], (48, 48)),
    ("resize", [(1080, 1920)] * 3, (512, 512)),
    ("tile", [(1000, 1000), (90, 300)], (256, 256)),
    ("tile", [(100, 300), (90, 100)], (96, 256)),
])
def test_the_size_is_that_of_the_images_where_none_is_asked_for(sample, fit, sizes, size):
    facts = learned(sample, some(*sizes), fit_image=fit)
    assert tuple(facts["size"]) == tuple(facts["input_size"]) == size and facts["fit_image"] == fit


def test_sizes_that_are_asked_for_are_taken(sample):
    facts = learned(sample, some((40, 60)), size="32x48", input_size="64x96", overlap=0.75)
    assert facts["size"] == [32, 48] and facts["input_size"] == [64, 96]
    facts = learned(sample, some((40, 60)), size="32x48", fit_image="tile", overlap=0.5)
    assert facts["size"] == facts["input_size"] == [32, 48] and facts["overlap"] == 16


def test_images_that_are_turned_must_be_square(sample):
    assert learned(sample, some((40, 60)), size="32x32", symmetries="all")["size"] == [32, 32]
    with pytest.raises(UserError, match="--symmetries all turns images, and 24x32 ones would not fit"):
        learned(sample, some((40, 60)), size="24x32", symmetries="all")


def test_facts_hold_mean_and_spread_of_each_channel(sample):
    images = [np.full((70, 70, 3), (10, 100, 200), np.uint8) + RANDOM.integers(0, [3, 40, 55], (70, 70, 3)).astype(
        np.uint8) for _ in range(3)]
    facts = learned(sample, images)
    together = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)
    np.testing.assert_allclose(facts["mean"], together.mean(0), rtol=0.03)  # one pixel in seven is looked at
    np.testing.assert_allclose(facts["std"], np.maximum(together.std(0), 1), rtol=0.05)
    assert facts["std"][0] == 1
    assert facts["labels"] == ["background", "nucleus"] and facts["channels"] == 1 and facts["objects"]


@pytest.mark.parametrize("name, root", [("balanced", False), ("square_root", True)])
def test_classes_are_weighed_by_median_frequency(sample, name, root):
    counts = np.array([[800, 180, 20, 0, 0], [900, 0, 0, 0, 100], [700, 290, 0, 0, 0]])
    train = replace(sample.splits["train"], columns={"image": Varied(some(*[(20, 20)] * 3), lambda row: row),
                                                     "counts": counts})
    got = np.array(Segment().learn_facts(Settings(class_weights=name), train, sample)["class_weights"])
    frequency = np.array([2400 / 2990, 470 / 1990, 20 / 1000, np.nan, 100 / 1000])
    want = np.nanmedian(frequency) / frequency
    want = np.sqrt(want) if root else want
    seen = ~np.isnan(want)
    assert got[3] == 0
    np.testing.assert_allclose(got[seen] / got[0], want[seen] / want[0], rtol=1e-3)
    assert (got * counts.sum(0)).sum() / counts.sum() == pytest.approx(1, abs=1e-3)
    assert "class_weights" not in Segment().learn_facts(Settings(), train, sample).values


# predict

def kinds(folder):
    """Images of every odd kind, in folders within the folder; (height, width) by path without ending."""
    rgb = RANDOM.integers(0, 256, (40, 30, 4)).astype(np.uint8)
    wide = RANDOM.integers(0, 65536, (33, 47)).astype(np.uint16)
    made = {"one": rgb[:1, :1, :3], "thin": RANDOM.integers(0, 256, (3, 500, 3)).astype(np.uint8),
            "deep/grey": rgb[..., 0], "deep/colour": rgb[..., :3], "deep/er/alpha": rgb, "deep/er/wide": wide,
            "deep/er/bits": Image.fromarray(rgb[..., 0]).convert("1"), "palette": Image.fromarray(
                rgb[..., :3]).convert("P"), "grey.alpha": Image.fromarray(rgb).convert("LA")}
    for name, image in made.items():
        write(folder / f"{name}.png", image)
    write(folder / "photo.jpg", rgb[..., :3])
    (folder / "notes.txt").write_text("no image")
    sizes = {name: (image.height, image.width) if isinstance(image, Image.Image) else image.shape[:2]
             for name, image in made.items()}
    return {**sizes, "photo": (40, 30)}


@pytest.mark.parametrize("way", ["small", "tiled"])
def test_a_folder_of_any_images_gives_a_folder_of_masks_and_overlays(way, request, command, tmp_path):
    run = request.getfixturevalue(way)
    sizes = kinds(tmp_path / "in")
    out, _ = command("predict", tmp_path / "in", "--artifact", run.run, "--output", tmp_path / "out", "--json")
    assert set(content(tmp_path / "out")) == {f"{name}-{what}.png" for name in sizes for what in ("mask", "overlay")}
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == len(sizes)
    labels = run.facts["labels"]
    for row in rows:
        name = str(row["input"])[len(str(tmp_path / "in")) + 1:].rsplit(".", 1)[0]
        with Image.open(tmp_path / "out" / f"{name}-mask.png") as image:
            assert image.mode == "P"
            mask = np.asarray(image)
            assert image.getpalette()[:6] == palette(2).ravel().tolist()
        assert mask.shape == sizes[name] == (row["height"], row["width"])
        assert mask.max() < len(labels)
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-5)
        for number, label in enumerate(labels):
            assert row["shares"][label] == pytest.approx((mask == number).mean(), abs=1e-6)
        tinted = pixels(tmp_path / "out" / f"{name}-overlay.png")
        assert tinted.shape == (*sizes[name], 3)


def test_the_mask_is_what_the_saved_network_says_by_hand(small, command, tmp_path):
    import keras
    image = pixels(write(tmp_path / "a.png", RANDOM.integers(0, 256, (50, 90)).astype(np.uint8)))
    command("predict", tmp_path / "a.png", "--artifact", small.run, "--output", tmp_path / "out")
    network = keras.models.load_model(small.run / "model.keras", compile=False)
    fitted = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR), np.float64)
    centred = fitted - fitted.mean()
    logits = network((centred / (centred.std() + 4))[None, ..., None].astype(np.float32), training=False).numpy()[0]
    chance = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    answer = (chance >= small.facts.get("threshold", 0.5))
    near = [((np.arange(new) + 0.5) * 64 / new).astype(int) for new in (50, 90)]
    got = pixels(tmp_path / "out" / "a-mask.png")
    assert (got == answer[np.ix_(*near)]).mean() > 0.995  # but for what stands on the threshold
    shown = pixels(tmp_path / "out" / "a-overlay.png")
    np.testing.assert_array_equal(shown[got == 0], np.repeat(image[..., None], 3, -1)[got == 0])  # black is no tint


def test_what_stands_there_is_replaced_only_by_force(small, command, tmp_path):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.png", RANDOM.integers(0, 256, (20, 20)).astype(np.uint8))
    given = ["predict", tmp_path / "in", "--artifact", small.run, "--output", tmp_path / "out"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-overlay.png").write_text("mine")
    out, err = command(*given, status=2)
    assert "a-overlay.png is there already" in err and "--force" in err and len(err.splitlines()) == 1
    assert set(content(tmp_path / "out")) == {"a-overlay.png", "b-mask.png", "b-overlay.png"}
    assert (tmp_path / "out" / "a-overlay.png").read_text() == "mine"
    assert len(out.splitlines()) == 1 and "b.png" in out
    before = content(tmp_path / "out")
    _, err = command(*given, status=2)
    assert len(err.splitlines()) == 2 and content(tmp_path / "out") == before
    command(*given, "--force")
    assert len(content(tmp_path / "out")) == 4
    assert pixels(tmp_path / "out" / "a-overlay.png").shape == (20, 20, 3)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_an_animated_file_is_refused_and_the_others_are_answered(small, command, tmp_path, ending):
    frames = [Image.fromarray(RANDOM.integers(0, 256, (20, 20, 3)).astype(np.uint8)) for _ in range(3)]
    write(tmp_path / "in" / f"film.{ending}", frames[0], save_all=True, append_images=frames[1:])
    write(tmp_path / "in" / "still.png", frames[0])
    out, err = command("predict", tmp_path / "in", "--artifact", small.run, "--output", tmp_path / "out", status=2)
    assert len(err.splitlines()) == 1 and f"film.{ending} is animated (3 frames)" in err
    assert "still.png" in out and len(out.splitlines()) == 1
    assert set(content(tmp_path / "out")) == {"still-mask.png", "still-overlay.png"}


def test_a_large_image_goes_through_as_tiles(tiled, command, tmp_path, monkeypatch):
    """Few tiles are held at once, and each pixel is answered from what lies about it alone."""
    held = []
    whole = answers.in_batches
    monkeypatch.setattr(answers, "in_batches", lambda predict, pieces, most: whole(
        lambda raw: held.append(raw["image"].shape) or predict(raw), pieces))
    image = RANDOM.integers(0, 256, (1108, 1504, 3)).astype(np.uint8)
    write(tmp_path / "large.png", image)
    write(tmp_path / "part.png", image[:76, :100])  # tiles begin where those of the whole image do
    command("predict", tmp_path / "large.png", tmp_path / "part.png", "--artifact", tiled.run, "--output",
            tmp_path / "out")
    large, part = (pixels(tmp_path / "out" / f"{name}-mask.png") for name in ("large", "part"))
    assert large.shape == (1108, 1504)
    np.testing.assert_array_equal(large[:40, :60], part[:40, :60])
    assert max(shape[0] for shape in held) <= answers.MOST_PIECES and {shape[1:] for shape in held} == {(16, 16, 3)}
    assert sum(shape[0] for shape in held) > 90 * 120


def test_memory_is_bounded_by_a_row_of_tiles():
    facts = Facts({"size": [64, 64], "input_size": [64, 64], "overlap": 0, "fit_image": "tile"})
    inputs = {"image": Tensor((64, 64, 1), "uint8")}

    def predict(raw):
        share = np.full((*raw["image"].shape[:3], 8), 1 / 8, np.float32)
        return {"mask": raw["image"][..., 0], "confidence": share[..., 0], "probabilities": share}
    image = np.zeros((32768, 256, 1), np.uint8)
    answer = answering(Segment(), predict, inputs, facts)
    tracemalloc.start()
    [got] = answer([{"image": image}])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got["mask"].shape == (32768, 256)
    assert image.size * 8 * 4 > 260e6 and peak < 140e6  # a call's probabilities take 34 MB, the answer 25 MB


# Bad settings

@pytest.mark.parametrize("arguments, words", [
    (["--size", "5x5"], "--size 5x5: give HEIGHTxWIDTH"),
    (["--input-size", "big"], "--input-size big: give HEIGHTxWIDTH"),
    (["--fit-image", "tile", "--overlap", "0.8"], "--overlap 0.8"),
    (["--fit-image", "tile", "--input-size", "64x64"], "--input-size means nothing to tiles"),
    (["--overlap", "-1"], "--overlap -1"),
    (["--void", "256"], "--void 256"),
    (["--flip", "vertical"], "--flip"),
])
def test_bad_settings_are_told_before_there_is_a_run(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        pair(tmp_path / "data", number, halves(40, 47))
    before = content(tmp_path)
    out, err = command("fit", "--data", "data", *arguments, status=2)
    assert not out and words in err and len(err.splitlines()) == 1, err
    assert content(tmp_path) == before and not (tmp_path / "runs").exists()


def test_settings_that_the_images_do_not_allow_leave_no_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        pair(tmp_path / "data", number, halves(40, 47))
    before = content(tmp_path)
    out, err = command("fit", "--data", "data", "--symmetries", "all", status=2)
    assert not out and err.splitlines()[-1].startswith("--symmetries all turns images, and 40x47 ones"), err
    assert content(tmp_path) == before


# Scores at the images' own sizes, absent classes, void

@pytest.mark.parametrize("way", ["small", "tiled"])
def test_images_of_different_sizes_are_scored_at_their_own(way, request, command, tmp_path):
    run = request.getfixturevalue(way)
    sizes = [(20, 31), (64, 64), (9, 80), (100, 17), (33, 33), (1, 5)]
    for number, size in enumerate(sizes):
        mask = halves(*size).copy()
        mask[:, 0] = 255 if not run.facts["objects"] else 0
        pair(tmp_path / "data", number, mask, "test")
    out, _ = command("evaluate", "--artifact", run.run, "--data", tmp_path / "data", "--output", tmp_path / "report",
                     "--json")
    metrics = json.loads(out)["metrics"]
    command("predict", tmp_path / "data" / "images", "--artifact", run.run, "--output", tmp_path / "out")
    truth, answered = (np.concatenate([pixels(tmp_path / place.format(number)).ravel() for number in range(6)])
                       for place in ("data/masks/{}.png", "out/{}-mask.png"))
    known = truth != 255
    truth, answered = truth[known], answered[known]
    assert metrics["pixel_accuracy"] == pytest.approx((truth == answered).mean(), abs=1e-6)
    overlap = [((truth == c) & (answered == c)).sum() / ((truth == c) | (answered == c)).sum() for c in (0, 1)]
    assert metrics["mean_iou"] == pytest.approx(np.mean(overlap), abs=1e-6)


def fitted(command, top, *more):
    """Standard error, report and history of a run on the pairs below `top`."""
    out, err = command("fit", "--data", top, *SMALL, "--run", top.parent / "run", "--json", *more)
    return err, json.loads(out), json.loads((top.parent / "run" / "history.json").read_text())["epochs"]


def test_a_class_absent_from_training_is_told_and_training_goes_on(command, tmp_path):
    top = tmp_path / "data"
    for number in range(6):
        pair(top, number, halves(20, 24, 2 if number < 4 else 3), "train" if number < 4 else "val")
    (top / "classes.txt").write_text("sky\nroad\ncar\n")
    err, report, history = fitted(command, top, "--class-weights", "balanced")
    assert "No train pixels of car: never to be answered." in err
    facts = json.loads((tmp_path / "run" / "facts.json").read_text())
    assert facts["labels"] == ["sky", "road", "car"] and facts["class_weights"][2] == 0
    assert np.isfinite(history[0]["loss"]) and 0 <= report["metrics"]["mean_iou"] <= 1


@pytest.mark.parametrize("all_of_it", [False, True])
def test_void_masks_in_training_and_validation_do_no_harm(command, tmp_path, all_of_it):
    top = tmp_path / "data"
    for number in range(6):
        void = number in (0, 4) or (all_of_it and number == 5)
        pair(top, number, np.full((20, 24), 255) if void else halves(20, 24), "train" if number < 4 else "val")
    (top / "classes.txt").write_text("sky\nroad\n")
    err, report, history = fitted(command, top, "--batch-size", "1")
    assert "mask(s) of train are void" in err and "mask(s) of validation are void" in err
    assert np.isfinite(history[0]["loss"])
    if not all_of_it:
        assert 0 <= report["metrics"]["mean_iou"] <= 1
    facts = json.loads((tmp_path / "run" / "facts.json").read_text())
    assert ("threshold" in facts) != all_of_it


# For those who call the file themselves

@pytest.mark.parametrize("fit, size, words", [("resize", (180, 240), "240 x 180"),
                                              ("tile", (64, 96), "share at least 16")])
def test_the_model_card_says_how_other_sizes_are_fitted(fit, size, words):
    facts = Facts({"input_size": list(size), "overlap": 16, "fit_image": fit})
    assert words in Segment().any_size(facts)

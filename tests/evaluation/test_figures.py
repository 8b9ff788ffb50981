import numpy as np
import pytest
from PIL import Image

from shared.evaluation.figures import draw, save_figures, short, to_image
from shared.evaluation.report import Curve, Gallery, Matrix, Report

NAN = float("nan")


def matrix(labels, values=None):
    values = np.random.default_rng(0).integers(-50, 25, (len(labels),) * 2).clip(0) if values is None else values
    return Matrix("Confusion matrix", labels, labels, np.asarray(values).tolist(), "truth", "predicted")


def gallery(count, caption, shape=(28, 28)):
    pictures = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype("uint8")
    return Gallery("Worst mistakes", list(pictures), [caption] * count)


FIGURES = {
    "one class": matrix(["only"]),
    "two classes": matrix(["no", "yes"]),
    "thirty classes": matrix([f"class {number}" for number in range(30)]),
    "long labels": matrix([f"a name that is far too long to stand at an axis {number}" for number in range(8)]),
    "Chinese labels": matrix(["零", "壹", "貳貳貳貳貳貳"]),
    "empty labels": matrix(["", " "]),
    "labels with dollars": matrix(["$", "$1_$2", "$^$"]),
    "no examples": matrix(["a", "b"], np.zeros((2, 2), int)),
    "large counts": matrix(["a", "b"], [[1_234_567, 99_999], [0, 100_000]]),
    "a wide matrix": Matrix("Wide", ["a"], ["x", "y", "z"], [[1, 2, 0.5]]),
    "reliability": Curve("Reliability", "confidence", "accuracy", [0.1, 0.5, 0.9], {"accuracy": [0.2, NAN, 0.8]},
                         diagonal=True, bars=[3, 0, 100_000]),
    "no bin filled": Curve("Reliability", "confidence", "accuracy", [0.1, 0.9], {"accuracy": [NAN, NAN]},
                           diagonal=True, bars=[0, 0]),
    "lines alone": Curve("Loss", "epoch", "loss", [1, 2, 3], {"training": [3, 2, 1], "验证": [3, 2.5, NAN]}),
    "no lines": Curve("Nothing yet", "epoch", "loss", [], {}),
    "grey pictures": gallery(24, "7, not 1 (98 %)"),
    "coloured pictures": gallery(7, "cat, not dog (51 %)", (32, 48, 3)),
    "one picture": gallery(1, "a long caption that goes on and on and on beyond its picture"),
    "Chinese captions": gallery(3, "壹, 不是 柒 (98 %)"),
    "captions with dollars": gallery(2, "us_$1, not us_$5 (98 %)"),
    "no pictures": Gallery("Worst mistakes", [], []),
    "unequal pictures": Gallery("Sizes", [np.zeros((5, 50), "uint8"), np.full((40, 8, 3), 255, "uint8")], ["", "b"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_in_silence(name, tmp_path, capfd, caplog, recwarn):
    image = to_image(FIGURES[name])
    save_figures(Report({}, figures={"it": FIGURES[name]}), tmp_path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.min() < 128 < image.max()
    with Image.open(tmp_path / "it.png") as saved:
        assert min(saved.size) > 100 and saved.convert("L").getextrema()[0] < 128
    assert capfd.readouterr().err == "" and not caplog.records and not recwarn.list


def test_many_pictures_and_classes_stay_of_a_size_to_look_at():
    for figure in (FIGURES["thirty classes"], FIGURES["grey pictures"]):
        width, height = draw(figure).get_size_inches()
        assert 4 < width < 16 and 4 < height < 16


def test_a_matrix_shows_each_count_and_the_shares_of_its_row():
    drawn = draw(matrix(["a", "b"], [[90, 10], [0, 4]])).axes[0]
    assert {text.get_position(): text.get_text() for text in drawn.texts} == {(0, 0): "90", (1, 0): "10", (1, 1): "4"}
    shade = np.asarray(drawn.images[0].get_array(), float)
    assert shade[0, 1] < shade[0, 0] < shade[1, 1] and shade[1, 0] == 0
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["a", "b"]
    assert (drawn.get_ylabel(), drawn.get_xlabel()) == ("truth", "predicted")


def test_a_curve_goes_through_its_known_points():
    axes, below = draw(FIGURES["reliability"]).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {"perfect": [[0, 0], [1, 1]], "accuracy": [[0.1, 0.2], [0.9, 0.8]]}
    assert [bar.get_height() for bar in below.patches] == [3, 0, 100_000]


def test_a_gallery_shows_each_picture_with_its_caption():
    red, green = np.zeros((2, 9, 9, 3), "uint8")
    red[..., 0], green[..., 1] = 255, 255
    figure = Gallery("Two", [red, green], ["stop", "go"])
    pixels = to_image(figure).reshape(-1, 3)
    for colour in ([255, 0, 0], [0, 255, 0]):
        assert (pixels == colour).all(1).sum() > 1000
    assert [axes.get_title() for axes in draw(figure).axes] == ["stop", "go"]


def test_wide_pictures_keep_their_pixels_however_many_lines_they_and_their_captions_have():
    pictures = [np.full((height, 900, 3), 255, "uint8") for height in (150, 600)]
    for picture in pictures:
        picture[:, ::3] = 0  # thin lines, which shrinking to half would make grey
    drawing = draw(Gallery("Wide", pictures, ["one\ntwo\nthree", "four"]))
    drawing.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in drawing.axes]
    assert [axes.get_title() for axes in drawing.axes] == ["one\ntwo\nthree", "four"]
    for box, picture in zip(boxes, pictures, strict=True):
        assert box.width / drawing.dpi > 8.5 and abs(box.height / box.width - len(picture) / 900) < 0.01
    assert boxes[0].y0 > boxes[1].y1


def test_grey_pictures_keep_their_shades():
    figure = Gallery("Dim", [np.full((9, 9), 100, "uint8")], [""])
    assert (to_image(figure) == 100).all(2).sum() > 1000


def test_short_labels_stay_and_long_ones_end_in_dots():
    assert short("sixteen letters!") == "sixteen letters!"
    assert short("seventeen letters") == "seventeen lette…"

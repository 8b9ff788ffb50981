"""The scorer of pixels against scikit-learn and scikit-image, and against loops where those have nothing."""

import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from shared.evaluation import segmentation
from shared.evaluation.figures import draw, to_image
from shared.evaluation.overlay import overlay, palette
from shared.evaluation.segmentation import ABSENT, SegmentationScorer, boundary_f1, rand_error

VOID = 255
ALWAYS = {"mean_iou", "pixel_accuracy", "mean_accuracy", "mean_dice", "frequency_weighted_iou", "boundary_f1"}
TWO = {"pixel_error", "dice", "rand_error", "rand_error_thinned"}


def names(classes):
    return [f"class {number}" for number in range(classes)]


def blobs(random, classes, shape, grain=4):
    """Areas of classes, not noise."""
    coarse = random.integers(0, classes, [-(-side // grain) for side in shape])
    return np.kron(coarse, np.ones((grain, grain), int))[:shape[0], :shape[1]]


def some(classes, count=6, shape=(24, 31), never_true=(), void=0.1, seed=0):
    """Examples with areas of void, and answers that are right in three pixels of four."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        truth = blobs(random, classes, shape)
        truth[np.isin(truth, never_true)] = next(c for c in range(classes) if c not in never_true)
        answer = np.where(random.random(shape) < 0.75, truth, blobs(random, classes, shape, 3))
        truth[random.random(shape) < void] = VOID
        made.append(({"image": random.integers(0, 256, (*shape, 3)).astype("uint8"), "mask": truth.astype("uint8"),
                      "meta": {"index": index, "file": f"/data/image_{index}.png"}},
                     {"mask": answer.astype("int32"), "confidence": np.full(shape, 0.5, "float32")}))
    return made


def scored(examples, classes, **options):
    scorer = SegmentationScorer(names(classes), **options)
    for example, answer in examples:
        scorer.update(example, answer)
    return scorer.report()


def pixels(examples):
    truth = np.concatenate([example["mask"].ravel() for example, _ in examples]).astype(int)
    answer = np.concatenate([answer["mask"].ravel() for _, answer in examples])
    return truth[truth != VOID], answer[truth != VOID]


CASES = {"two": (2, {}), "eleven": (11, {}), "two never true": (11, {"never_true": (0, 7)}),
         "no void": (5, {"void": 0}), "forty": (40, {"shape": (40, 40)}), "one pixel high": (3, {"shape": (1, 50)})}


@pytest.fixture(params=CASES)
def case(request):
    classes, options = CASES[request.param]
    return classes, some(classes, **options)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_metrics_are_those_of_scikit_learn(case):
    classes, examples = case
    truth, answer = pixels(examples)
    got, present = scored(examples, classes).metrics, np.unique(truth)

    def mean(metric, average="macro"):
        return metric(truth, answer, labels=present, average=average, zero_division=0)

    want = {"mean_iou": mean(sk.jaccard_score), "frequency_weighted_iou": mean(sk.jaccard_score, "weighted"),
            "pixel_accuracy": sk.accuracy_score(truth, answer), "mean_dice": mean(sk.f1_score),
            "mean_accuracy": sk.balanced_accuracy_score(truth, answer)}
    if classes == 2:
        want |= {"pixel_error": 1 - want["pixel_accuracy"], "dice": sk.f1_score(truth, answer)}
    assert {key: got[key] for key in want} == pytest.approx(want, abs=1e-12)


def test_keys_are_the_fields_names():
    assert scored(some(2), 2).metrics.keys() == ALWAYS | TWO
    report = scored(some(3), 3)
    assert report.metrics.keys() == ALWAYS and report.examples == 6
    assert all(type(value) is float and 0 < value < 1 for value in report.metrics.values())
    json.dumps(report.to_json(), allow_nan=False)


def test_the_table_has_every_class_and_says_which_are_absent(case):
    classes, examples = case
    truth, answer = pixels(examples)
    rows = scored(examples, classes).tables["classes"]
    labels = np.arange(classes)
    precision, recall, dice, support = sk.precision_recall_fscore_support(truth, answer, labels=labels,
                                                                          zero_division=0)
    iou = sk.jaccard_score(truth, answer, labels=labels, average=None, zero_division=0)
    assert [row["label"] for row in rows] == names(classes)
    assert [row["pixels"] for row in rows] == support.tolist()
    for i, row in enumerate(rows):
        assert row["share"] == pytest.approx(support[i] / len(truth))
        values = {key: row[key] for key in ("iou", "dice", "precision", "recall")}
        if support[i]:
            assert row["note"] is None and 0 <= row["boundary_f1"] <= 1
            assert values == pytest.approx({"iou": iou[i], "dice": dice[i], "precision": precision[i],
                                            "recall": recall[i]}, abs=1e-12)
        else:
            assert row["note"] == ABSENT and {*values.values(), row["boundary_f1"]} == {None}


def test_a_class_that_is_answered_and_never_true_is_in_no_mean():
    examples = some(4, never_true=(3,))
    assert any((answer["mask"] == 3).any() for _, answer in examples)
    report = scored(examples, 4)
    rows = [row for row in report.tables["classes"] if row["note"] is None]
    assert len(rows) == 3
    for metric, column in (("mean_iou", "iou"), ("mean_dice", "dice"), ("mean_accuracy", "recall"),
                           ("boundary_f1", "boundary_f1")):
        assert report.metrics[metric] == pytest.approx(np.mean([row[column] for row in rows]))


def test_confusions_are_those_of_scikit_learn(case):
    classes, examples = case
    truth, answer = pixels(examples)
    report = scored(examples, classes)
    want = sk.confusion_matrix(truth, answer, labels=np.arange(classes))
    rows = report.tables["confusions"]
    largest = sorted(want[~np.eye(classes, dtype=bool)], reverse=True)[:20]
    assert [row["pixels"] for row in rows] == [count for count in largest if count]
    for row in rows:
        at = names(classes).index(row["truth"]), names(classes).index(row["predicted"])
        assert at[0] != at[1] and want[at] == row["pixels"]
        assert row["share"] == pytest.approx(want[at] / want[at[0]].sum())
    figure = report.figures["confusion"]
    shown = [names(classes).index(name) for name in figure.rows]
    assert len(shown) == min(classes, 30) and figure.columns == figure.rows and "%" in figure.title
    percent = 100 * want / np.maximum(want.sum(1, keepdims=True), 1)
    assert figure.values == percent[np.ix_(shown, shown)].round().tolist()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("grain", [1, 3, 9])
def test_rand_error_is_that_of_scikit_image(grain):
    adapted_rand_error = pytest.importorskip("skimage.metrics").adapted_rand_error
    label = pytest.importorskip("skimage.measure").label
    expand_labels = pytest.importorskip("skimage.segmentation").expand_labels
    random = np.random.default_rng(grain)
    for _ in range(20):
        truth, answer = (blobs(random, 2, (20, 27), grain) for _ in range(2))
        answer = np.where(random.random(truth.shape) < 0.8, truth, answer)
        want = adapted_rand_error(label(truth, connectivity=1), label(answer, connectivity=1), ignore_labels=(0,))[0]
        assert rand_error(truth == 1, answer == 1) == pytest.approx(want, abs=1e-12)
        without_borders = expand_labels(label(answer, connectivity=1), 99)
        want = adapted_rand_error(label(truth, connectivity=1), without_borders, ignore_labels=(0,))[0]
        assert rand_error(truth == 1, answer == 1, thinned=True) == pytest.approx(want, abs=1e-12)


def test_rand_error_is_the_mean_over_images_with_foreground_and_void_is_in_no_component():
    examples = some(2)
    examples[2][0]["mask"][:] = 0
    for metric, thinned in (("rand_error", False), ("rand_error_thinned", True)):
        want = []
        for example, answer in examples[:2] + examples[3:]:
            answered = (answer["mask"] == 1) & (example["mask"] != VOID)
            want.append(rand_error(example["mask"] == 1, answered, thinned))
        assert scored(examples, 2).metrics[metric] == pytest.approx(np.mean(want))
    assert np.isnan(scored(examples[2:3], 2).metrics["rand_error"])


def test_rand_error_of_plain_cases():
    two = np.zeros((5, 5), bool)
    two[:2], two[3:] = True, True
    assert rand_error(two, two) == 0
    # Ten pixels each, joined by the answer: 2 * 90 of 2 * 90 + 20 * 19 pairs, twice.
    assert rand_error(two, np.ones((5, 5), bool)) == pytest.approx(1 - 2 * 180 / (180 + 380))
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    assert rand_error(dot, dot) == rand_error(dot, ~dot) == 0
    narrow = two.copy()
    narrow[1], narrow[3] = False, False  # the same two, their border drawn wider
    assert rand_error(two, narrow) > 0.2 and rand_error(two, narrow, thinned=True) == 0
    assert rand_error(two, np.zeros((5, 5), bool), thinned=True) == rand_error(two, np.ones((5, 5), bool))


def boundary_pixels(mask, class_):
    """By the definition: (row, column) of each."""
    height, width = mask.shape
    found = []
    for row, column in np.argwhere(mask == class_):
        around = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        others = [mask[y, x] for y, x in around if 0 <= y < height and 0 <= x < width]
        if any(other not in (class_, -1) for other in others):
            found.append((row, column))
    return np.array(found, float).reshape(-1, 2)


def slow_boundary_f1(truth, answer, class_, tolerance):
    a, b = boundary_pixels(truth, class_), boundary_pixels(answer, class_)
    if not len(a) and not len(b):
        return float((answer == class_).any())
    if not len(a) or not len(b):
        return 0.0
    near = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)) <= tolerance
    recall, precision = near.any(1).mean(), near.any(0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def hidden(example, answer):
    """Truth and answer with -1 in void."""
    void = example["mask"] == VOID
    return (np.where(void, -1, mask.astype(int)).astype("int16") for mask in (example["mask"], answer["mask"]))


@pytest.mark.parametrize("tolerance", [1.0, 1.4, 1.5, 2.25, 3.0, 5.5, 12.9, 13.0, 17.0])
@pytest.mark.parametrize("classes, grain", [(2, 8), (4, 12)])
def test_boundary_f1_is_that_of_pairwise_distances(tolerance, classes, grain):
    random = np.random.default_rng(int(10 * tolerance))
    for shape in ((24, 31), (40, 18)):
        truth, answer = (blobs(random, classes, shape, grain).astype("int16") for _ in range(2))
        answer[:, :6] = truth[:, :6]
        truth[random.random(shape) < 0.05] = -1
        answer[truth == -1] = -1
        got = boundary_f1(truth, answer, classes, tolerance)
        want = [slow_boundary_f1(truth, answer, class_, tolerance) for class_ in range(classes)]
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_both_ways_of_finding_neighbours_agree(monkeypatch):
    truth, answer = (blobs(np.random.default_rng(seed), 5, (60, 80), 11).astype("int16") for seed in range(2))
    shifted = [boundary_f1(truth, answer, 5, tolerance) for tolerance in (1, 2.3, 4, 7.1)]
    monkeypatch.setattr(segmentation, "NEAR", -1)
    transformed = [boundary_f1(truth, answer, 5, tolerance) for tolerance in (1, 2.3, 4, 7.1)]
    np.testing.assert_array_equal(shifted, transformed)
    assert (np.diff(shifted, axis=0) >= 0).all() and (shifted[0] < shifted[3]).all()


@pytest.mark.parametrize("shape, tolerance", [((24, 31), 1), ((30, 40), 1), ((1, 600), 0.0075 * np.hypot(1, 600))])
def test_boundary_f1_is_the_mean_over_images_and_then_over_classes(shape, tolerance):
    examples = some(4, shape=shape, never_true=(2,))
    examples[0][0]["mask"][examples[0][0]["mask"] == 1] = 0
    of_images = np.full((len(examples), 4), np.nan)
    for number, pair in enumerate(examples):
        truth, answer = hidden(*pair)
        for class_ in np.unique(truth[truth >= 0]):
            of_images[number, class_] = slow_boundary_f1(truth, answer, class_, tolerance)
    assert np.isnan(of_images[0, 1])
    want = [np.nanmean(of_images[:, class_]) for class_ in (0, 1, 3)]
    report = scored(examples, 4)
    rows = [row["boundary_f1"] for row in report.tables["classes"] if row["note"] is None]
    assert rows == pytest.approx(want)
    assert report.metrics["boundary_f1"] == pytest.approx(np.mean(want))


def test_a_class_that_fills_the_image_has_no_boundary_to_miss():
    whole = np.zeros((9, 9), "int16")
    other, part = np.ones((9, 9), "int16"), np.zeros((9, 9), "int16")
    part[4:] = 1
    assert boundary_f1(whole, whole, 2, 1)[0] == 1
    assert boundary_f1(whole, other, 2, 1)[0] == 0
    assert boundary_f1(whole, part, 2, 1)[0] == 0
    assert boundary_f1(part, whole, 2, 1).tolist() == [0, 0]


def test_all_void_counts_in_nothing():
    examples = some(3)
    plain = scored(examples, 3)
    void = {**examples[0][0], "mask": np.full((24, 31), VOID, "uint8"), "meta": {"index": 99}}
    report = scored([*examples, (void, examples[0][1])], 3)
    assert report.metrics == plain.metrics and report.tables == plain.tables and report.examples == 7
    first = scored([(void, examples[0][1]), *examples], 3).figures["examples"].captions[0]
    assert first == "99, IoU unknown, truth | answer"


@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_to_score_is_no_number_and_no_exception(classes):
    example, answer = some(classes)[0]
    example["mask"][:] = VOID
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for report in (SegmentationScorer(names(classes)).report(), scored([(example, answer)], classes)):
            assert report.metrics and all(np.isnan(value) for value in report.metrics.values())
            assert report.tables["worst"] == [] and "worst" not in report.figures
            assert all(row["note"] == ABSENT and row["pixels"] == 0 for row in report.tables["classes"])
            json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_pixel_whose_confidence_is_no_number_is_wrong_whatever_its_class(classes, bad):
    examples = some(classes)
    right = total = broken = 0
    for example, answer in examples:
        where = np.random.default_rng(1).random(answer["mask"].shape) < 0.3
        answer["mask"] = np.where(where & (example["mask"] != VOID), example["mask"], answer["mask"])
        answer["confidence"][where] = bad
        known = example["mask"] != VOID
        broken += (where & known).sum()
        right += ((answer["mask"] == example["mask"]) & known & ~where).sum()
        total += known.sum()
    got = scored(examples, classes).metrics
    assert got["nan_answers"] == broken and got["pixel_accuracy"] == pytest.approx(right / total)
    assert all(np.isfinite(value) for value in got.values())


def test_no_number_at_all_scores_nothing():
    examples = some(2)
    for example, answer in examples:
        answer["mask"] = np.where(example["mask"] == VOID, 0, example["mask"])
        answer["confidence"][:] = np.nan
    got = scored(examples, 2).metrics
    assert {got[key] for key in ("mean_iou", "pixel_accuracy", "mean_accuracy", "mean_dice", "dice")} == {0}
    assert got["pixel_error"] == 1


def test_confidence_may_be_absent_and_perfect_answers_are_perfect():
    examples = [(example, {"mask": np.where(example["mask"] == VOID, 0, example["mask"])})
                for example, _ in some(2)]
    got = scored(examples, 2).metrics
    assert got == {**dict.fromkeys(ALWAYS, 1), "pixel_error": 0, "dice": 1, "rand_error": 0, "rand_error_thinned": 0}


def test_sizes_may_differ_and_void_may_have_another_number():
    examples = some(3, 3) + some(3, 3, (50, 17), seed=1) + some(3, 2, (1, 1), void=0)
    truth, answer = pixels(examples)
    report = scored(examples, 3)
    assert report.metrics["mean_iou"] == pytest.approx(sk.jaccard_score(truth, answer, average="macro"))
    other = [({**example, "mask": np.where(example["mask"] == VOID, -1, example["mask"].astype("int64"))}, answer)
             for example, answer in examples]
    assert scored(other, 3, void=-1).metrics == report.metrics


@pytest.mark.parametrize("side, number", [("truth", 3), ("answer", 3), ("answer", -1)])
def test_numbers_of_no_class_are_refused(side, number):
    example, answer = some(3, void=0)[0]
    if side == "truth":
        example["mask"][0, 0] = number
    else:
        answer["mask"][0, 0] = number
    with pytest.raises(ValueError, match=side):
        scored([(example, answer)], 3)


def test_the_worst_are_those_of_the_lowest_iou():
    examples = some(4, 20)
    for index in (3, 11):  # perfect, and alike
        examples[index][1]["mask"] = np.where(examples[index][0]["mask"] == VOID, 1, examples[index][0]["mask"])
    ious = []
    for pair in examples:
        truth, answer = pixels([pair])
        ious.append(sk.jaccard_score(truth, answer, labels=np.unique(truth), average="macro"))
    order = sorted(range(20), key=lambda index: (ious[index], index))
    for most in (1, 8, 100):
        report = scored(examples, 4, worst=most)
        rows = report.tables["worst"]
        assert rows == [{"index": index, "file": f"/data/image_{index}.png", "mean_iou": pytest.approx(ious[index])}
                        for index in order[:most]]
        assert report.figures["worst"].captions == [f"image_{index}, IoU {ious[index]:.2f}, truth | answer"
                                                    for index in order[:most]]
    backwards = scored(examples[::-1], 4)
    assert backwards.tables["worst"] == scored(examples, 4).tables["worst"]
    assert backwards.metrics == pytest.approx(scored(examples, 4).metrics)
    assert "worst" not in scored(examples, 4, worst=0).figures


def test_pictures_are_truth_beside_answer():
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], "uint8")
    examples = some(3, 9)
    example, answer = examples[1]
    answer["confidence"][:5] = np.nan
    figure = scored(examples, 3, colors=colors, shown=9).figures["examples"]
    assert [text.split(",")[0] for text in figure.captions] == [f"image_{index}" for index in range(9)]
    picture = figure.pictures[1]
    assert picture.dtype == np.uint8 and picture.shape == (24, 31 + 4 + 31, 3)
    assert (picture[:, :31] == overlay(example["image"], example["mask"], colors)).all()
    assert (picture[:, 31:35] == 255).all()
    shown = np.where(np.isnan(answer["confidence"]), VOID, answer["mask"])
    assert (picture[:, 35:] == overlay(example["image"], shown, colors)).all()
    default = scored(examples, 3, shown=9).figures["examples"].pictures[1]
    assert (default[:, :31] == overlay(example["image"], example["mask"], palette(3))).all()
    assert "examples" not in scored(examples, 3, shown=0).figures


def test_shown_examples_come_from_the_whole_set_and_are_the_same_each_time():
    examples = some(3, 60, (6, 7))
    chosen = [scored(examples, 3, shown=10).figures["examples"].captions for _ in range(2)]
    numbers = [int(text.split(",")[0].removeprefix("image_")) for text in chosen[0]]
    assert chosen[0] == chosen[1] and len(set(numbers)) == 10 and numbers == sorted(numbers)
    assert all(any(low <= number < low + 20 for number in numbers) for low in (0, 20, 40))


def test_a_legend_names_the_colours_that_stand_in_the_pictures():
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0]], "uint8")
    truth, answer = np.full((6, 8), VOID, "uint8"), np.zeros((6, 8), "uint8")
    truth[:2], answer[4:] = 1, 3
    example = {"image": np.zeros((6, 8, 3), "uint8"), "mask": truth, "meta": {"index": 0}}
    figure = scored([(example, {"mask": answer})], 4, colors=colors).figures["examples"]
    assert figure.legend == {"class 0 (no tint)": [0, 0, 0], "class 1": [255, 0, 0], "class 3": [0, 255, 0],
                             "counts nowhere": [77, 77, 77]}
    assert [text.get_text() for text in draw(figure).legends[0].get_texts()] == list(figure.legend)


@pytest.mark.parametrize("shape, want", [((700, 400), (320, 183)), ((320, 20), (320, 20)), ((2, 2000), (1, 320))])
def test_kept_pictures_are_few_and_small(shape, want):
    scorer = SegmentationScorer(names(3), worst=2, shown=3)
    for example, answer in some(3, 6, shape):
        scorer.update({**example, "image": example["image"][..., :1]}, answer)
    kept = [picture for *_, picture in scorer.lowest] + [picture for *_, picture in scorer.drawn]
    assert len(scorer.lowest) == 2 and len(scorer.drawn) == 3
    for image, truth, answered in kept:
        assert image.shape == (*want, 1) and truth.shape == answered.shape == want
        assert all(array.base is None or array.base.size <= array.size for array in (truth, answered))
    assert all(picture.shape == (want[0], 2 * want[1] + 4, 3)
               for picture in scorer.report().figures["examples"].pictures)


def test_figures_are_drawn_and_the_wider_the_pictures_the_fewer_stand_in_a_row():
    report = scored(some(3, 9, (36, 48)), 3)
    assert report.figures.keys() == {"confusion", "worst", "examples"}
    assert to_image(report.figures["examples"], dpi=40).ndim == 3
    for shape, columns in (((30, 15), 6), ((30, 22), 3), ((30, 30), 2), ((30, 40), 2), ((20, 60), 1)):
        figure = scored(some(3, 7, shape), 3, shown=7).figures["examples"]
        drawing = draw(figure)
        assert drawing.axes[0].get_gridspec().ncols == columns
        assert drawing.get_size_inches()[0] == pytest.approx(9.3)
        assert columns == 6 or [axes.get_title() for axes in drawing.axes[:7]] == figure.captions

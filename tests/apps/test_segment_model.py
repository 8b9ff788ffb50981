"""The networks of `--model`, and the graph round them: normalisation, threshold, losses, examples, calibration."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import expit, logit, softmax

from apps.segment import networks
from apps.segment.app import Settings
from apps.segment.gaps import components, gap_weights
from apps.segment.model import THRESHOLDS, VOID, Segmenter
from shared.data.dataset import Split, Varied
from shared.facts import Facts
from shared.layers.atrous_spatial_pyramid_pooling import AtrousSpatialPyramidPooling
from shared.layers.max_pooling_with_indices import MaxPoolingWithIndices
from shared.layers.max_unpooling import MaxUnpooling
from shared.training.fit import precision

RANDOM = np.random.default_rng(0)
TINY = {"width": 4, "widest": 8, "depth": 2}
CHOICES = [{"model": model, "block": block} for model in ("unet", "segnet")
           for block in ("plain", "residual", "separable")] + [
    {"model": "segnet", "encoder_addition": True}] + [
    {"model": "deeplab", "backbone": backbone, "output_stride": output, "decoder_stride": decoder, "depth": 1}
    for backbone, (output, decoder) in itertools.product(("separable", "residual", "resnet_v2"),
                                                         ((8, 1), (8, 4), (16, 2)))]


def build(size=(36, 50), classes=3, facts=(), **options):
    given = {"labels": [f"class {n}" for n in range(classes)], "size": list(size), "input_size": list(size),
             "channels": 3, "fit_image": "resize", "overlap": 0, "normalize": "image", "mean": [0.0] * 3,
             "std": [1.0] * 3, **dict(facts)}
    return Segmenter(Settings(**{**TINY, **options}), Facts(given))


def noise(*shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


# Networks

@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_every_choice_answers_float32_logits_of_the_image_s_own_size(choice, policy):
    keras.utils.set_random_seed(0)  # of so few filters some draws are dead behind their ReLUs
    with precision(policy):
        network = build(**choice).network()
    if policy == "float32":
        logits = network(RANDOM.normal(size=(2, 36, 50, 3)).astype(np.float32), training=False).numpy()
        assert logits.shape == (2, 36, 50, 3) and logits.dtype == np.float32
        assert np.isfinite(logits).all() and np.ptp(logits, (1, 2)).min() > 0
    else:
        assert network.output.shape == (None, 36, 50, 3) and network.output.dtype == "float32"
        assert any(layer.compute_dtype == "bfloat16" for layer in network.layers)
        assert network.get_layer("logits").compute_dtype == "float32"


def test_a_network_in_bfloat16_answers_much_as_one_in_float32():
    image = RANDOM.normal(size=(1, 36, 50, 3)).astype(np.float32)
    one = build().network()
    with precision("mixed_bfloat16"):
        other = build().network()
    other.set_weights(one.get_weights())
    want, got = one(image, training=False).numpy(), other(image, training=False).numpy()
    assert got.dtype == np.float32
    assert 0 < np.abs(got - want).max() < 0.1 * np.abs(want).max()


@pytest.mark.parametrize("size", [(36, 50), (32, 64), (17, 31)])
def test_padding_is_cut_off_again_where_it_was_put(size, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "unet", lambda x, *_: seen.append(x.shape) or x)
    seen = []
    image = RANDOM.random((1, *size, 3)).astype(np.float32)
    np.testing.assert_array_equal(build(size, depth=4).network()(image), image)
    assert [-(-side // 16) * 16 for side in size] == list(seen[0][1:3])


def test_the_network_of_the_bar_is_small_enough():
    count = build((48, 64), 11, width=16, widest=112, depth=4).network().count_params()
    assert 500_000 < count <= 1_100_000


def test_widths_double_at_each_halving_up_to_the_widest():
    network = build((32, 32), model="unet", width=4, widest=12, depth=3).network()
    filters = [layer.filters for layer in network.layers
               if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (3, 3)]
    assert filters == [4, 4, 8, 8, 12, 12, 12, 12, 12, 12, 8, 8, 4, 4]
    assert sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in network.layers) == 3


@pytest.mark.parametrize("size, stride, rates", [
    ((512, 1024), 16, (6, 12, 18)), ((64, 513), 8, (12, 24, 36)), ((176, 240), 8, (6, 11, 17)),
    ((32, 32), 16, (1, 1, 1))])
def test_the_pyramid_reaches_as_far_as_in_the_paper_but_not_far_past_smaller_images(size, stride, rates):
    network = build(size, model="deeplab", output_stride=stride, depth=1).network()
    pyramid, = [layer for layer in network.layers if isinstance(layer, AtrousSpatialPyramidPooling)]
    assert pyramid.rates == rates


def test_segnet_puts_values_where_the_encoder_had_its_maxima():
    network = build((16, 24), model="segnet", width=6, widest=6, depth=2).network()
    pools = [layer for layer in network.layers if isinstance(layer, MaxPoolingWithIndices)]
    unpools = [layer for layer in network.layers if isinstance(layer, MaxUnpooling)]
    assert len(pools) == len(unpools) == 2
    part = keras.Model(network.input, [[pool.input for pool in pools], [layer.output for layer in unpools]])
    pooled, unpooled = part(RANDOM.normal(size=(3, 16, 24, 3)).astype(np.float32), training=False)
    for before, after in zip(pooled, reversed(unpooled), strict=True):
        before, after = ([window.reshape(*window.shape[:4], 4) for window in [np.moveaxis(
            values.numpy().reshape(3, values.shape[1] // 2, 2, values.shape[2] // 2, 2, 6), [5, 2, 4], [3, 4, 5])]][0]
            for values in (before, after))
        at = before.argmax(-1)
        rest = after.copy()
        np.put_along_axis(rest, at[..., None], 0, -1)
        assert not rest.any()
        assert (np.take_along_axis(after, at[..., None], -1) != 0).mean() > 0.2
        assert len(np.unique(at)) == 4


def test_segnet_adds_the_encoder_s_features_where_that_is_asked_for():
    network = build((16, 24), model="segnet", width=6, widest=6, depth=2, encoder_addition=True).network()
    layers = {kind: [layer for layer in network.layers if isinstance(layer, kind)]
              for kind in (MaxPoolingWithIndices, MaxUnpooling, keras.layers.Add)}
    part = keras.Model(network.input, [[pool.input for pool in layers[MaxPoolingWithIndices]],
                                       [layer.output for layer in layers[MaxUnpooling]],
                                       [layer.output for layer in layers[keras.layers.Add]]])
    pooled, unpooled, added = part(RANDOM.normal(size=(3, 16, 24, 3)).astype(np.float32), training=False)
    assert len(added) == 2
    for features, placed, total in zip(reversed(pooled), unpooled, added, strict=True):
        np.testing.assert_allclose(total, features.numpy() + placed.numpy(), atol=1e-5)


# Before and after the network

def test_an_image_is_brought_to_its_own_mean_and_spread():
    image = RANDOM.integers(60, 140, (2, 36, 50, 3)).astype(np.uint8)
    image[..., 0] += 20
    model = build()
    got = model.preprocess({"image": tf.constant(image)}).numpy()
    centred = image - image.mean((1, 2), keepdims=True, dtype=np.float64)
    spread = np.sqrt((centred**2).mean((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(got, centred / (spread + 4), atol=1e-4)
    brighter = model.preprocess({"image": tf.constant(image + np.uint8(60))}).numpy()
    np.testing.assert_allclose(brighter, got, atol=1e-4)
    contrast = ((image.astype(np.float64) - 100) * 1.9 + 100).clip(0, 255).round().astype(np.uint8)
    np.testing.assert_allclose(model.preprocess({"image": tf.constant(contrast)}).numpy(), got, atol=0.15)
    assert not model.preprocess({"image": tf.fill((1, 36, 50, 3), tf.constant(77, tf.uint8))}).numpy().any()


def test_the_logarithm_makes_dim_and_bright_objects_alike():
    image = RANDOM.integers(20, 25, (1, 36, 50, 1)).astype(np.uint8)
    image[:, 5:15, 5:15] *= 2
    image[:, 20:30, 30:40] *= 9
    model = build((36, 50), facts={"normalize": "log", "channels": 1})
    got = model.preprocess({"image": tf.constant(image)}).numpy()
    logarithm = np.log(image + 1.0)
    centred = logarithm - logarithm.mean()
    np.testing.assert_allclose(got, centred / (np.sqrt((centred**2).mean()) + 0.04), atol=1e-4)
    dim, bright = got[0, 5:15, 5:15].mean(), got[0, 20:30, 30:40].mean()
    assert bright / dim < 9 / 2


def test_images_may_be_brought_to_the_mean_and_spread_of_the_training_data():
    mean, std = np.array([10.0, 100, 240]), np.array([3.0, 50, 1])
    image = noise(2, 36, 50, 3)
    got = build(facts={"normalize": "dataset", "mean": mean.tolist(), "std": std.tolist()}).preprocess(
        {"image": tf.constant(image)})
    np.testing.assert_allclose(got, (image - mean) / std, rtol=1e-4, atol=1e-3)


def test_an_image_of_the_input_size_is_reduced_antialiased():
    image = noise(1, 50, 66, 3)
    model = build((20, 24), facts={"input_size": [50, 66], "normalize": "dataset"})
    assert model.inputs["image"].shape == (50, 66, 3)
    got = model.preprocess({"image": tf.constant(image)})[0]
    want = np.asarray(Image.fromarray(image[0]).resize((24, 20), Image.Resampling.BILINEAR), np.float32)
    np.testing.assert_allclose(got, want, atol=1.0)  # Pillow rounds twice


@pytest.mark.parametrize("input_size", [(30, 41), (12, 16)])
def test_mask_and_confidence_are_those_of_the_enlarged_logits(input_size):
    logits = RANDOM.normal(0, 3, (2, 12, 16, 3)).astype(np.float32)
    got = build((12, 16), facts={"input_size": list(input_size)}).postprocess(tf.constant(logits), None, None)
    shares = softmax(tf.image.resize(logits, input_size, "bilinear").numpy().astype(np.float64), -1)
    assert got["mask"].dtype == tf.int32 and got["confidence"].dtype == tf.float32
    np.testing.assert_allclose(got["confidence"], shares.max(-1), atol=1e-4)
    first, second = np.sort(shares, -1)[..., :-3:-1].transpose(3, 0, 1, 2)
    clear = first - second > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(got["mask"].numpy()[clear], shares.argmax(-1)[clear])


def test_the_whole_pipeline_answers_at_the_input_size():
    model = build((20, 24), facts={"input_size": [50, 66], "fit_image": "tile"})
    answer = model.pipeline(model.network(), details=True)({"image": tf.constant(noise(2, 50, 66, 3))})
    assert answer["mask"].shape == answer["confidence"].shape == (2, 50, 66)
    assert answer["probabilities"].shape == (2, 50, 66, 3)
    np.testing.assert_array_equal(answer["mask"], answer["probabilities"].numpy().argmax(-1))


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.5, 0.9])
def test_a_pixel_is_of_class_1_where_its_chance_reaches_the_threshold(threshold):
    logits = RANDOM.normal(0, 2, (1, 40, 50, 2)).astype(np.float32)
    logits[0, 0] = [0, logit(threshold)]  # just below and just above
    logits[0, 0, :, 1] += np.where(np.arange(50) % 2, 1e-3, -1e-3)
    chance = expit(logits[..., 1].astype(np.float64) - logits[..., 0])
    got = build((40, 50), 2, {"threshold": threshold}).postprocess(tf.constant(logits), None, None)
    np.testing.assert_array_equal(got["mask"], chance >= threshold)
    np.testing.assert_allclose(got["confidence"], expit(np.abs(logit(chance) - logit(threshold))), atol=1e-4)
    np.testing.assert_allclose(got["confidence"][0, 0], 0.5, atol=1e-3)  # no jump from one class to the other


# Losses

LOSSES = ["cross_entropy", "dice", "cross_entropy+dice", "focal", "tversky"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_falls_under_a_better_answer_and_does_not_see_void(name):
    loss = build(loss=name, facts={"class_weights": [0.5, 1.0, 1.5]}).losses()["loss"]
    truth = RANDOM.integers(0, 3, (2, 8, 9)).astype(np.uint8)
    truth[0, :3] = VOID
    right = np.eye(4, dtype=np.float32)[np.minimum(truth, 3)][..., :3]
    blurred = RANDOM.normal(size=right.shape).astype(np.float32)
    values = [float(loss(truth, share * 4 * right + blurred)) for share in (0, 0.5, 1)]
    assert np.isfinite(values).all() and values[0] > values[1] > values[2] > 0
    blurred[0, :3] += RANDOM.normal(0, 9, (3, 9, 3))
    assert float(loss(truth, blurred)) == pytest.approx(values[0], rel=1e-5)
    assert float(loss(np.full_like(truth, VOID), blurred)) == 0


@pytest.mark.parametrize("changed", [{"focal": 0.5}, {"class_weights": [1.0, 9.0, 1.0]}, {"label_smoothing": 0.2}])
def test_settings_of_the_cross_entropy_reach_it(changed):
    truth, logits = RANDOM.integers(0, 3, (1, 6, 6)), RANDOM.normal(0, 3, (1, 6, 6, 3)).astype(np.float32)
    facts = {name: changed.pop(name) for name in list(changed) if name == "class_weights"}
    name = "focal" if "focal" in changed else "cross_entropy"
    got = float(build(loss=name, facts=facts, **changed).losses()["loss"](truth, logits))
    logs = np.log(softmax(logits.astype(np.float64), -1))
    share = 0.2 if "label_smoothing" in changed else 0
    own = np.take_along_axis(logs, truth[..., None], -1)[..., 0]
    each = -(1 - share) * own - share * logs.mean(-1)
    weight = np.array(facts.get("class_weights", [1.0] * 3))[truth]
    each = each * (1 - np.exp(own)) ** 0.5 if name == "focal" else each
    assert got == pytest.approx((weight * each).sum() / weight.sum(), rel=1e-4)


def test_tversky_weighs_misses_by_the_rest():
    truth = np.repeat([[[1, 0]]], 50, 1)
    logits = np.zeros((1, 50, 2, 2), np.float32)
    logits[..., 1] = 4
    p = expit(4.0)
    for alpha in (0.9, 0.1):
        got = float(build(classes=2, loss="tversky", tversky_alpha=alpha).losses()["loss"](truth, logits))
        indices = [(50 * hit + 1) / (50 * hit + alpha * 50 * false + (1 - alpha) * 50 * missed + 1)
                   for hit, false, missed in ((p, p, 1 - p), (1 - p, 1 - p, p))]
        assert got == pytest.approx(1 - np.mean(indices), rel=1e-4)


def test_weights_of_gaps_reach_the_loss_and_the_shown_accuracy_is_of_known_pixels():
    model = build((8, 8), 2, loss="cross_entropy")
    images = keras.Input((8, 8, 2))
    network = keras.Model(images, keras.layers.Activation("linear")(images))
    network.compile("sgd", **model.losses())
    truth = RANDOM.integers(0, 2, (2, 8, 8)).astype(np.uint8)
    truth[0, 0] = VOID
    logits = RANDOM.normal(size=(2, 8, 8, 2)).astype(np.float32)
    weight = RANDOM.uniform(1, 10, (2, 8, 8)).astype(np.float32)
    known = truth != VOID
    each = -np.take_along_axis(np.log(softmax(logits.astype(np.float64), -1)), np.minimum(truth, 1)[..., None], -1)
    for given in (None, weight):
        loss = network.test_on_batch(logits, truth, given, return_dict=True)["loss"]
        counts = known * (1 if given is None else given)
        assert loss == pytest.approx((counts * each[..., 0]).sum() / counts.sum(), rel=1e-4)
        network.reset_metrics()
    right = [(logits[i].argmax(-1) == truth[i])[known[i]].mean() for i in range(2)]
    assert network.test_on_batch(logits, truth, return_dict=True)["pixel_accuracy"] == pytest.approx(np.mean(right))


# Examples that training is fed

def placed(*sizes):
    """Images whose pixels say which they are (image, row, column), masks that follow from them, numbered objects."""
    images = [np.stack([np.full(size, number), *np.indices(size)], -1).astype(np.uint8)
              for number, size in enumerate(sizes)]
    masks = [(image[..., 1] // 5 % 2 * (image[..., 2] // 5 % 2)).astype(np.uint8) for image in images]
    objects = [np.where(mask, 1 + image[..., 1] // 10 * 30 + image[..., 2] // 10, 0).astype(np.uint16)
               for image, mask in zip(images, masks, strict=True)]
    return Split({name: Varied(rows, lambda row: row)
                  for name, rows in (("image", images), ("mask", masks), ("objects", objects))})


def all_of(split):
    return split.take(np.arange(len(split)))


def test_whole_images_are_resized_and_their_masks_by_the_nearest_pixel():
    split = placed((40, 60), (36, 50), (7, 90))
    rows = all_of(build().examples(split))
    assert set(rows) == {"image", "mask"}
    assert rows["image"].shape == (3, 36, 50, 3) and rows["mask"].shape == (3, 36, 50)
    assert rows["image"].dtype == rows["mask"].dtype == np.uint8
    for number, (image, mask) in enumerate(zip(*(all_of(split)[name] for name in ("image", "mask")), strict=True)):
        want = np.asarray(Image.fromarray(image).resize((50, 36), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(rows["image"][number], want)
        near = [np.rint((np.arange(new) + 0.5) * have / new - 0.5 + 1e-9).astype(int).clip(0, have - 1)
                for new, have in zip((36, 50), mask.shape, strict=True)]
        np.testing.assert_array_equal(rows["mask"][number], mask[np.ix_(*near)])


def test_windows_hold_every_pixel_of_every_image_and_mirror_small_ones():
    sizes = [(20, 70), (50, 40), (10, 12), (24, 48)]
    split = placed(*sizes)
    rows = all_of(build((16, 32), facts={"fit_image": "tile"}).examples(split))
    assert rows["image"].shape[1:] == (24, 48, 3)  # half as large again as a tile
    seen = {tuple(pixel) for pixel in rows["image"].reshape(-1, 3).tolist()}
    assert seen == {(number, *at) for number, size in enumerate(sizes) for at in np.ndindex(size)}
    for name, column in all_of(split).items():
        if name in rows:
            for image, got in zip(rows["image"], rows[name], strict=True):
                np.testing.assert_array_equal(got, column[image[0, 0, 0]][image[..., 1], image[..., 2]])
    [small] = [image for image in rows["image"] if image[0, 0, 0] == 2]

    def mirror(size, count):
        return [min(at % (2 * size), 2 * size - 1 - at % (2 * size)) for at in range(count)]
    np.testing.assert_array_equal(small[:, 0, 1], mirror(10, 24))
    np.testing.assert_array_equal(small[0, :, 2], mirror(12, 48))


def test_windows_are_no_larger_than_the_largest_image_nor_smaller_than_a_tile():
    for sizes, want in ((((18, 20),), (18, 32)), (((5, 5), (9, 40)), (16, 40)), (((99, 99),), (24, 48))):
        rows = all_of(build((16, 32), facts={"fit_image": "tile"}).examples(placed(*sizes)))
        assert rows["image"].shape[1:3] == want


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("fit", ["resize", "tile"])
def test_gaps_between_objects_are_weighed(fit, numbered):
    split = placed((24, 48), (24, 48))
    if not numbered:
        del split.columns["objects"]
    rows = all_of(build((24, 48), 2, {"fit_image": fit}, gap_weight=10.0, gap_sigma=5.0).examples(split))
    given = all_of(split)
    for got, mask, row in zip(rows["weight"], given["mask"], given.get("objects", given["mask"]), strict=True):
        objects = row.astype(np.int32) if numbered else components(mask, VOID)
        np.testing.assert_array_equal(got, gap_weights(objects, 10.0, 5.0))
        assert got.max() > 3 and got.dtype == np.float32 and (got[mask == 1] == 1).all()


def test_truth_and_weights_come_at_the_network_s_size():
    model = build((20, 24), facts={"input_size": [40, 48]})
    mask = np.repeat(np.repeat(RANDOM.integers(0, 3, (2, 20, 24)), 2, 1), 2, 2).astype(np.uint8)
    np.testing.assert_array_equal(model.target({"mask": tf.constant(mask)}), mask[:, ::2, ::2])
    weight = mask.astype(np.float32)
    np.testing.assert_array_equal(model.weight({"weight": tf.constant(weight)}), weight[:, ::2, ::2])
    assert model.weight({"mask": tf.constant(mask)}) is None


# Calibration

def chances(shape=(1, 60, 50), seed=0):
    return np.random.default_rng(seed).uniform(0.01, 0.99, shape)


def calibrated(truth, chance, classes=2, facts=(), **options):
    """The fact chosen for a network that answers these chances of class 1."""
    model = build(truth.shape[1:], classes, facts, **options)

    def answer(rows):
        for row in rows:
            p = row["image"].astype(np.float64)[..., 0] / 1e4
            logits = np.stack([np.zeros_like(p), logit(p)], -1)[None].astype(np.float32)
            answers = model.postprocess(tf.constant(logits), None, None)
            yield {name: value[0].numpy() for name, value in answers.items()}
    images = np.round(chance * 1e4).astype(np.uint16)[..., None]
    return model.calibrate(None, Split({"image": images, "mask": truth.astype(np.uint8)}), answer)


def ratio(a, b):
    return a.sum() / b.sum()


GOALS = {"pixel_accuracy": lambda t, a: (t == a).mean(),
         "dice": lambda t, a: 2 * (t & a).sum() / (t.sum() + a.sum()),
         "mean_iou": lambda t, a: (ratio(t & a, t | a) + ratio(~t & ~a, ~t | ~a)) / 2}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("goal", GOALS)
def test_the_threshold_is_the_best_on_validation(goal, seed):
    chance = chances((3, 20, 25), seed) ** (1 + seed)
    truth = chance + np.random.default_rng(9).normal(0, 0.2, chance.shape) > 0.66 - 0.3 * seed
    got = calibrated(truth, chance, threshold_for=goal)["threshold"]
    scores = [GOALS[goal](truth, chance >= threshold) for threshold in THRESHOLDS]
    assert scores[int(np.abs(THRESHOLDS - got).argmin())] >= max(scores) - 1e-3  # a pixel may stand on a threshold
    assert got != 0.5


def test_void_pixels_do_not_move_the_threshold():
    chance = chances()
    truth = (chance >= 0.3).astype(np.uint8)
    assert calibrated(truth, chance) == {"threshold": pytest.approx(0.3)}
    truth[0, 5:] = np.where(chance[0, 5:] > 0.05, VOID, truth[0, 5:])
    assert calibrated(truth, chance) == {"threshold": pytest.approx(0.3)}


@pytest.mark.parametrize("goal", ["rand_error", "rand_error_thinned"])
def test_a_threshold_for_rand_error_parts_objects(goal):
    chance = np.full((1, 30, 31), 0.2)
    chance[0, 5:25, 3:14], chance[0, 5:25, 17:28], chance[0, 10:20, 14:17] = 0.95, 0.95, 0.62  # a bridge of the two
    truth = chance > 0.7
    got = calibrated(truth, chance, threshold_for=goal)["threshold"]
    assert 0.62 < got <= 0.9


def test_no_threshold_is_chosen_where_there_is_nothing_to_choose():
    chance = chances()
    assert calibrated(chance > 0.3, chance, threshold_for="none") == {}
    assert calibrated(chance > 0.3, chance, classes=3) == {}
    for goal in (*GOALS, "rand_error", "rand_error_thinned"):
        assert calibrated(np.full(chance.shape, VOID), chance, threshold_for=goal) == {}

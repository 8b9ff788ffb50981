"""The CRF: NumPy over every sequence of tags, in float64, is the reference."""

import doctest
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.export.runtimes import in_both
from shared.layers import crf as module
from shared.layers.crf import CRF

TAGS, BEST = 3, 7
LENGTHS = [4, 0, 1, 2, 5]
TIME = max(LENGTHS) + 2
FREE = {}
BOUND = {"allowed": [[1, 0, 1], [1, 1, 0], [0, 1, 1]], "allowed_first": [1, 0, 1], "allowed_last": [0, 1, 1]}


def layer(scale=1.0, seed=0, tags=TAGS, whole=False, **options):
    """A layer with random weights, others than `noise` of the same seed, which would make ties."""
    random = np.random.default_rng(1000 + seed)
    made = CRF(tags, **options)
    made.build((None, None, tags))
    weights = [scale * random.normal(size=weight.shape) for weight in made.weights]
    made.set_weights([np.round(weight) if whole else weight for weight in weights])
    return made


def noise(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def ruled(weight, rule):
    weight = np.asarray(weight, "float64")
    return weight if rule is None else np.where(np.array(rule) == 1, weight, -1e4)


def every(crf, emissions):
    """All sequences of tags in lexicographic order, and their scores."""
    transitions, first, last = (ruled(weight, rule) for weight, rule in zip(
        crf.get_weights(), (crf.allowed, crf.allowed_first, crf.allowed_last), strict=True))
    paths = np.array(list(itertools.product(range(crf.units), repeat=len(emissions))), int)
    if not len(emissions):
        return paths, np.zeros(1)
    scores = first[paths[:, 0]] + last[paths[:, -1]]
    for t, row in enumerate(emissions.astype("float64")):
        scores = scores + row[paths[:, t]] + (transitions[paths[:, t - 1], paths[:, t]] if t else 0)
    return paths, scores


def chances(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def log_sum(scores):
    return scores.max() + np.log(np.exp(scores - scores.max()).sum())


def padded(labels, time):
    return np.pad(np.asarray(labels, "int32"), (0, time - len(labels)), constant_values=-1)


def check(crf, emissions, lengths, tolerance=1e-5, call=lambda function, *args: function(*args)):
    """Everything the layer gives against the reference."""
    time = emissions.shape[1]
    labels, score = call(crf.decode, emissions, lengths)
    marginals = call(crf.marginals, emissions, lengths)
    best, scores = call(lambda *args: crf.n_best(*args, BEST), emissions, lengths)
    assert labels.dtype == best.dtype == tf.int32 and score.dtype == marginals.dtype == scores.dtype == tf.float32
    random, taken, want = np.random.default_rng(0), [], []
    for row, length in enumerate(lengths):
        paths, totals = every(crf, emissions[row, :length])
        order = np.argsort(-totals, kind="stable")[:BEST]
        largest = max(1, np.abs(totals).max())
        np.testing.assert_array_equal(labels[row], padded(paths[order[0]], time))
        np.testing.assert_allclose(score[row], totals[order[0]], atol=tolerance, rtol=1e-6)
        by_tag = [[chances(totals)[tags == tag].sum() for tag in range(crf.units)] for tags in paths.T]
        np.testing.assert_allclose(marginals[row, :length], np.reshape(by_tag, (length, crf.units)), atol=tolerance)
        assert not np.any(marginals[row, length:])
        found = len(order)
        np.testing.assert_array_equal(best[row, :found], [padded(paths[i], time) for i in order])
        np.testing.assert_allclose(scores[row, :found], totals[order], atol=largest * 1e-6)
        assert np.all(best[row, found:] == -1) and np.all(np.isneginf(scores[row, found:]))
        some = order[0] if row % 2 else random.integers(len(paths))
        taken.append(padded(paths[some], time))
        want.append(totals[some] - log_sum(totals))
    got = call(crf.log_likelihood, np.array(taken), emissions)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, want, atol=tolerance * 10, rtol=1e-6)


def eager(function, *args):
    return function(*args)


def traced(function, *args):
    return tf.function(function)(*map(tf.constant, args))


def traced_without_shapes(function, *args):
    specs = [tf.TensorSpec([None] * np.ndim(arg), np.asarray(arg).dtype) for arg in args]
    return tf.function(function, input_signature=specs)(*map(tf.constant, args))


@pytest.mark.parametrize("rules, call", [(FREE, eager), (BOUND, eager), (BOUND, traced),
                                         (FREE, traced_without_shapes)])
def test_all_answers_are_those_of_the_reference(rules, call):
    lengths = np.array(LENGTHS, "int32")
    check(layer(**rules), noise(len(LENGTHS), TIME, TAGS, scale=2), lengths, call=call)


@pytest.mark.parametrize("time", [0, 1, 3])
def test_length_0_works_in_any_width(time):
    for lengths in [0, 0], [0, time]:
        check(layer(**BOUND), noise(2, time, TAGS), np.array(lengths, "int32"))


def test_no_width_at_all_is_traced():
    check(layer(), noise(2, 0, TAGS), np.zeros(2, "int32"), call=traced)


def test_an_empty_batch_works():
    labels, score = layer().decode(noise(0, 4, TAGS), np.zeros(0, "int32"))
    assert labels.shape == (0, 4) and score.shape == (0,)
    assert layer().marginals(noise(0, 4, TAGS), np.zeros(0, "int32")).shape == (0, 4, TAGS)


@pytest.mark.parametrize("time", range(2, 2 * module.UNROLLED + 3))
def test_loops_of_any_number_of_turns_are_those_of_the_reference(time):
    check(layer(tags=2), noise(3, time, 2), np.array([time, module.UNROLLED + 1, 1]).clip(max=time))


def test_marginals_of_long_sequences_are_derivatives_of_log_z():
    crf, time = layer(tags=5, allowed=np.tri(5) + np.eye(5, k=1)), 70
    emissions, lengths = noise(3, time, 5), np.array([70, 33, 0])
    labels, _ = crf.decode(emissions, lengths)
    hot = np.eye(6)[labels.numpy()][:, :, :5]  # -1: none of the first five
    want = hot - gradients(crf, labels, emissions)[1]
    np.testing.assert_allclose(crf.marginals(emissions, lengths), want, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.lists(st.integers(0, 5), min_size=1, max_size=4),
       st.booleans())
def test_ties_go_to_the_first_in_lexicographic_order(seed, tags, lengths, bound):
    """Whole numbers: sums are exact, and many are equal."""
    random = np.random.default_rng(seed)
    rules = {"allowed": random.integers(0, 2, (tags, tags)), "allowed_first": random.integers(0, 2, tags)}
    crf = layer(0.7, seed, tags, whole=True, **(rules if bound else {}))
    emissions = np.round(random.normal(size=(len(lengths), 5, tags))).astype("float32")
    labels, score = crf.decode(emissions, lengths)
    best, scores = crf.n_best(emissions, lengths, BEST)
    for row, length in enumerate(lengths):
        paths, totals = every(crf, emissions[row, :length])
        order = np.argsort(-totals, kind="stable")[:BEST]
        np.testing.assert_array_equal(labels[row], padded(paths[order[0]], 5))
        assert score[row] == totals[order[0]]
        np.testing.assert_array_equal(best[row, :len(order)], [padded(paths[i], 5) for i in order])
        np.testing.assert_array_equal(scores[row, :len(order)], totals[order])


def test_without_weights_the_lowest_tags_win():
    labels, _ = CRF(4).decode(np.zeros((1, 20, 4)), [20])
    assert not labels.numpy().any()


@pytest.mark.parametrize("filling", [np.nan, np.inf, -1e30, 1e30])
def test_what_stands_in_the_padding_changes_nothing(filling):
    crf, lengths = layer(**BOUND), np.array(LENGTHS)
    emissions = noise(len(LENGTHS), TIME, TAGS)
    outside = np.arange(TIME) >= lengths[:, None]
    labels = np.where(outside, -1, np.random.default_rng(1).integers(0, TAGS, outside.shape))
    other = np.where(outside[:, :, None], np.float32(filling), emissions)
    for function in crf.decode, crf.marginals, lambda *args: crf.n_best(*args, 3):
        for a, b in zip(tf.nest.flatten(function(other, lengths)), tf.nest.flatten(function(emissions, lengths)),
                        strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(gradients(crf, labels, other), gradients(crf, labels, emissions), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not gradients(crf, labels, other)[1][outside].any()


def test_a_sequence_is_the_same_in_any_batch():
    crf, emissions = layer(), noise(3, 30, TAGS)
    lengths = np.array([30, 11, 3])
    labels, score = crf.decode(emissions, lengths)
    marginals = crf.marginals(emissions, lengths)
    likelihood = crf.log_likelihood(labels, emissions)
    for row, length in enumerate(lengths):
        alone = emissions[row:row + 1, :length]
        own_labels, own_score = crf.decode(alone, [length])
        np.testing.assert_array_equal(own_labels[0], labels[row, :length])
        np.testing.assert_allclose(own_score[0], score[row], rtol=1e-6)
        np.testing.assert_allclose(crf.marginals(alone, [length])[0], marginals[row, :length], atol=1e-6)
        np.testing.assert_allclose(crf.log_likelihood(own_labels, alone)[0], likelihood[row], atol=1e-5)


def gradients(crf, labels, emissions):
    """Log-likelihoods, and the gradients of their sum by emissions and weights."""
    emissions, weights = tf.constant(emissions), [v.value for v in crf.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(emissions)
        likelihood = crf.log_likelihood(labels, emissions)
    return likelihood.numpy(), *(g.numpy() for g in tape.gradient(likelihood, [emissions, *weights]))


@pytest.mark.parametrize("rules", [FREE, BOUND])
def test_gradients_are_finite_differences(rules):
    crf = layer(**rules)
    emissions = noise(4, TIME, TAGS, scale=2)
    labels = np.array([padded(row, TIME) for row in ([2, 2, 1], [], [2], [0, 0, 2, 1, 1])])  # within the rules
    got = gradients(crf, labels, emissions)[1:]

    def reference(values):
        other = layer(**rules)
        other.get_weights = lambda: values[1:]
        total = 0.0
        for row, tags in zip(values[0], labels, strict=True):
            tags = tags[tags >= 0]
            paths, scores = every(other, row[:len(tags)])
            total += scores[(paths == tags).all(1)][0] - log_sum(scores)
        return total

    values = [emissions.astype("float64"), *(weight.astype("float64") for weight in crf.get_weights())]
    for which, value in enumerate(values):
        want = np.zeros_like(value)
        for at in np.ndindex(value.shape):
            for sign in 1, -1:
                changed = [v.copy() for v in values]
                changed[which][at] += sign * 1e-5
                want[at] += sign * reference(changed) / 2e-5
        np.testing.assert_allclose(got[which], want, atol=2e-5)


def test_a_sequence_against_the_rules_has_finite_loss_and_gradients():
    crf, emissions = layer(**BOUND), noise(2, 4, TAGS)
    labels = np.array([[1, 0, 1, 0], [0, 2, 1, -1]])  # the first breaks three rules: begin, 0 to 1, end
    likelihood, *others = gradients(crf, labels, emissions)
    np.testing.assert_allclose(likelihood[0], -3e4, rtol=1e-3)
    assert -20 < likelihood[1] < 0 and all(np.isfinite(gradient).all() for gradient in others)
    forbidden = np.array(BOUND["allowed"]) == 0
    assert not others[1][forbidden].any() and others[1][~forbidden].any()


@pytest.mark.parametrize("rules", [FREE, BOUND])
@pytest.mark.parametrize("seed", range(2))
def test_large_emissions_and_forbidden_steps_stay_exact(rules, seed):
    emissions = np.random.default_rng(seed).choice([-200, 0, 200], (4, 5, TAGS)) + noise(4, 5, TAGS, seed=seed)
    check(layer(3.0, seed, **rules), emissions.astype("float32"), np.array([5, 4, 3, 5]), tolerance=2e-3)


def test_marginals_of_long_sequences_lose_no_digits():
    """Float64 in NumPy, forward and backward."""
    crf, time = layer(tags=5), 600
    emissions = noise(1, time, 5, scale=3) + 150
    transitions, first, last = (weight.astype("float64") for weight in crf.get_weights())
    forward, backward = [first + emissions[0, 0]], [last]
    for t in range(1, time):
        forward.append(np.logaddexp.reduce(forward[-1][:, None] + transitions, 0) + emissions[0, t])
        backward.append(np.logaddexp.reduce(transitions + emissions[0, -t] + backward[-1], 1))
    both = np.array(forward) + np.array(backward[::-1])
    want = np.exp(both - np.logaddexp.reduce(both, 1)[:, None])
    np.testing.assert_allclose(crf.marginals(emissions, [time])[0], want, atol=1e-5)


def test_decoding_keeps_the_rules():
    crf = layer(**BOUND)
    labels, _ = crf.decode(noise(200, 9, TAGS, scale=20), np.full(200, 9))
    labels, rules = labels.numpy(), {name: np.array(rule) for name, rule in BOUND.items()}
    assert rules["allowed"][labels[:, :-1], labels[:, 1:]].all()
    assert rules["allowed_first"][labels[:, 0]].all() and rules["allowed_last"][labels[:, -1]].all()


def test_the_layer_passes_emissions_on_in_float32():
    crf = CRF(TAGS, dtype="mixed_bfloat16")
    emissions = tf.cast(noise(2, 4, TAGS), tf.bfloat16)
    assert crf(emissions).dtype == tf.float32
    np.testing.assert_array_equal(crf(emissions), tf.cast(emissions, tf.float32))
    np.testing.assert_array_equal(crf(noise(2, 4, TAGS)), noise(2, 4, TAGS))  # no digit is lost
    symbolic = crf(keras.Input([None, TAGS], dtype="bfloat16"))
    assert symbolic.shape == (None, None, TAGS) and symbolic.dtype == "float32"


def test_mixed_bfloat16_changes_nothing():
    emissions = tf.cast(noise(3, 40, TAGS), tf.bfloat16)
    want, crf = layer(), layer(dtype="mixed_bfloat16")
    assert all(weight.dtype == "float32" for weight in crf.weights)
    labels, score = crf.decode(emissions, [40, 3, 0])
    assert score.dtype == tf.float32
    for a, b in zip(gradients(crf, labels, emissions)[:1] + gradients(crf, labels, emissions)[2:],
                    gradients(want, labels, emissions)[:1] + gradients(want, labels, emissions)[2:], strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(crf.marginals(emissions, [40, 3, 0]),
                                  want.marginals(tf.cast(emissions, tf.float32), [40, 3, 0]))


@pytest.mark.parametrize("rules", [FREE, {name: np.array(rule, bool) for name, rule in BOUND.items()}])
def test_it_is_saved_and_loaded(rules, tmp_path):
    emissions = keras.Input([None, TAGS])
    crf = layer(**rules)
    model = keras.Model(emissions, crf(emissions))
    model.save(tmp_path / "crf.keras")
    loaded = keras.models.load_model(tmp_path / "crf.keras", safe_mode=True).layers[-1]
    assert type(loaded) is CRF and loaded.get_config() == crf.get_config()
    given, lengths = noise(2, 6, TAGS), [6, 4]
    for a, b in zip(crf.decode(given, lengths), loaded.decode(given, lengths), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, rule", [("allowed", [[1, 1], [1, 0]]), ("allowed", [1, 1, 1]),
                                        ("allowed_first", [1, 1]), ("allowed_last", [[1, 1, 1]])])
def test_rules_of_another_size_are_refused(name, rule):
    with pytest.raises(ValueError, match=name):
        CRF(TAGS, **{name: rule})


def test_emissions_of_another_size_are_refused():
    with pytest.raises(ValueError, match="3 units"):
        CRF(3)(noise(1, 2, 4))


@pytest.mark.parametrize("tags, time", [(5, 21), (17, 50)])
def test_one_file_answers_all_lengths_alike_in_both_runtimes(tags, time, tflite, tmp_path):
    random = np.random.default_rng(0)
    crf = layer(tags=tags, allowed=random.random((tags, tags)) < 0.8, allowed_first=random.random(tags) < 0.8)
    archive = keras.export.ExportArchive()
    archive.track(crf)

    def answer(emissions, lengths):
        labels, score = crf.decode(emissions, lengths)
        return {"labels": labels, "score": score, "marginals": crf.marginals(emissions, lengths)}

    archive.add_endpoint("serving_default", answer, input_signature=[
        tf.TensorSpec([1, time, tags], tf.float32, name="emissions"), tf.TensorSpec([1], tf.int32, name="lengths")])
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    file = tmp_path / "crf.tflite"
    file.write_bytes(converter.convert())
    assert not [name for name in tflite.operations(file.read_bytes()) if "VAR" in name or "FLEX" in name.upper()]
    lengths = np.arange(time + 1, dtype="int32")
    emissions = noise(time + 1, time, tags, scale=4)
    emissions[np.arange(time) >= lengths[:, None]] = np.nan
    want = {name: value.numpy() for name, value in answer(emissions, lengths).items()}
    answers = in_both(file, {"emissions": emissions, "lengths": lengths}, tmp_path)
    assert not isinstance(answers, str), answers
    for got in answers:
        np.testing.assert_array_equal(got["labels"], want["labels"])
        np.testing.assert_allclose(got["score"], want["score"], rtol=1e-6)
        np.testing.assert_allclose(got["marginals"], want["marginals"], atol=1e-5)


def test_the_example_runs():
    test = doctest.DocTestFinder().find(CRF, "CRF", module=module, globs={"CRF": CRF, "np": np})[0]
    assert test.examples and not doctest.DocTestRunner().run(test).failed


def test_marginals_sum_to_one_where_every_step_is_forbidden():
    crf = CRF(3, allowed=np.zeros((3, 3), int))
    emissions = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32") * 5
    np.testing.assert_allclose(crf.marginals(emissions, [9, 9]).numpy().sum(-1), 1, atol=1e-5)

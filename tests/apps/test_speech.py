"""Clips in, words or sentences out: data, features, networks, answers."""

import keras
import numpy as np
import pytest
import scipy.signal
import soundfile
import tensorflow as tf
from speech_models import RATE, built

from apps.speech import data
from apps.speech.app import Settings, Speech
from apps.speech.report import SentenceScorer, WordScorer
from apps.speech.sounds import to_float
from apps.speech.windows import starts
from shared.data.dataset import Split
from shared.data.text_bytes import to_bytes
from shared.errors import UserError
from shared.facts import Facts

APP = Speech()
EACH = [("separable", False), ("separable", True), ("cnn_lstm", True), ("cnn_gru", False), ("attention", False)]


@pytest.mark.parametrize("model,sentences", EACH)
@pytest.mark.parametrize("level", [{}, {"normalize": "clip", "dynamic_range": 30, "noise_floor": 6}])
def test_what_stands_behind_a_clip_changes_nothing(model, sentences, level):
    made, network, _ = built(sentences, model=model, **level)
    pipeline, size = made.pipeline(network), made.facts["max_samples"]
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(4, size)).astype(np.float32) * 0.1
    length = np.array([size, size // 2, 1000, 0], np.int32)
    silent = np.where(np.arange(size) < length[:, None], samples, 0).astype(np.float32)
    answers = [pipeline({"samples": tf.constant(given), "length": tf.constant(length)}) for given in (samples, silent)]
    for name in answers[0]:
        assert np.array_equal(answers[0][name], answers[1][name]), name
    # Nor do features behind the last frame.
    inputs = made.preprocess({"samples": tf.constant(samples), "length": tf.constant(length)})
    used = np.arange(inputs["features"].shape[1])[None, :, None] < np.array(inputs["frames"])[:, None, None]
    loud = tf.where(used, inputs["features"], 9.0)
    for name, answer in made.postprocess(network({**inputs, "features": loud}), inputs, network).items():
        np.testing.assert_allclose(answer, answers[0][name], atol=1e-5)


@pytest.mark.parametrize("model,sentences", EACH)
def test_every_network_learns_words_and_sentences(model, sentences):
    made, network, dataset = built(sentences, model=model, dropout=0.0)
    examples = made.examples(dataset.splits["train"])
    trainer = made.trainer(network, examples)
    trainer.compile(keras.optimizers.Adam(0.01), **made.losses())
    columns = {name: tf.constant(column) for name, column in examples.columns.items()
               if name in ("samples", "length", "label", "symbols")}
    plain = {**columns, "samples": tf.cast(columns["samples"], tf.float32) / 32768}
    x, y = made.preprocess(plain), made.target(columns)
    first = trainer.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    trainer.fit(x, y, epochs=4, verbose=0)
    assert trainer.history.history["loss"][-1] < first


@pytest.mark.parametrize("sentences", [False, True])
def test_a_second_head_learns_who_speaks_and_is_not_served(sentences):
    made, network, dataset = built(sentences, speaker_head=True, dropout=0.0,
                                   class_weights="none" if sentences else "balanced")
    split = dataset.splits["train"]
    examples = made.examples(Split(split.columns, {"speaker": ["ann", "bob", "bob", "ann", "ann", ""]}))
    examples.columns["samples"][1:3] //= 10  # Bob speaks softly
    assert examples.columns["speaker"].tolist() == [0, 1, 1, 0, 0, -1]
    trainer = made.trainer(network, examples)
    trainer.compile(keras.optimizers.Adam(0.01), **made.losses())
    columns = {name: tf.constant(column) for name, column in examples.columns.items() if name != "text"}
    inputs = made.preprocess({**columns, "samples": tf.cast(columns["samples"], tf.float32) / 32768})
    weights = () if sentences else (made.weight(columns),)
    batches = tf.data.Dataset.from_tensors((inputs, made.target(columns), *weights)).repeat(60)
    trainer.fit(batches, epochs=1, steps_per_epoch=60, verbose=0)
    heard = trainer(inputs, training=True)["speaker"]
    assert heard.shape == (6, 2) and heard.numpy().argmax(1)[:5].tolist() == [0, 1, 1, 0, 0]
    served = network(inputs, training=False)
    assert served.shape[-1] == (4 if sentences else 3) and "speaker" not in {layer.name for layer in network.layers}
    with pytest.raises(UserError, match="--speaker-head needs two speakers"):
        made.examples(Split(split.columns, {"speaker": ["ann"] * 6}))


def test_features_of_training_clips_have_mean_0_and_deviation_1():
    made, _, dataset = built()
    examples = made.examples(dataset.splits["train"])
    made.margins = 0, 0
    inputs = made.preprocess({"samples": tf.constant(to_float(examples.columns["samples"])),
                              "length": tf.constant(examples.columns["length"])})
    used = np.concatenate([row[:count] for row, count in zip(inputs["features"].numpy(), inputs["frames"].numpy(),
                                                             strict=True)])
    np.testing.assert_allclose(used.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(used.std(0), 1, atol=0.01)
    assert not inputs["features"].numpy()[0, inputs["frames"][0]:].any()


@pytest.mark.parametrize("loud", [0.5, 4.0])
def test_each_clip_may_have_its_own_mean(loud):
    made, _, dataset = built(normalize="clip")
    examples = made.examples(dataset.splits["train"])
    samples, length = to_float(examples.columns["samples"]), examples.columns["length"]
    inputs, louder = (made.preprocess({"samples": tf.constant(given), "length": tf.constant(length)})
                      for given in (samples, samples * loud))
    for row, given, other, count in zip(samples, inputs["features"].numpy(), louder["features"].numpy(), length,
                                        strict=True):
        plain = made.features(row[None, :count])[0].numpy()
        first, size = 10, len(plain)  # 0.1 s of silence, windows of 0.01 s
        np.testing.assert_allclose(given[first:first + size], (plain - plain.mean(0)) / made.facts["std"], atol=1e-3)
        np.testing.assert_allclose(other[first:first + size], given[first:first + size], atol=2e-3)
    assert np.abs(made.facts["mean"]).max() < 1e-3


@pytest.mark.parametrize("normalize", ["data", "clip"])
def test_silence_begins_some_decibels_below_a_clips_loudest(normalize):
    made, _, dataset = built(normalize=normalize, dynamic_range=20)
    examples = made.examples(dataset.splits["train"])
    samples, length = to_float(examples.columns["samples"]), examples.columns["length"]
    inputs = made.preprocess({"samples": tf.constant(samples), "length": tf.constant(length)})
    for row, given, count in zip(samples, inputs["features"].numpy(), length, strict=True):
        plain = made.features(row[None, :count])[0].numpy()
        silence = plain.max() - np.log(10 ** (20 / 10))
        loud, plain = plain.max(1) > silence, np.maximum(plain, silence)
        if normalize == "clip":
            plain -= plain[loud].mean(0)
        np.testing.assert_allclose(given[10:10 + len(plain)], (plain - made.facts["mean"]) / made.facts["std"],
                                   atol=1e-3)
    used = np.concatenate([row[10:-9][:made.features.frames(int(count))]
                           for row, count in zip(inputs["features"].numpy(), length, strict=True)])
    np.testing.assert_allclose(used.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(used.std(0), 1, atol=0.01)


@pytest.mark.parametrize("normalize,dynamic_range", [("data", 0), ("clip", 25)])
def test_silence_begins_above_the_quietest_tenth_of_a_second_of_a_band(normalize, dynamic_range):
    made, _, _ = built(normalize=normalize, dynamic_range=dynamic_range, noise_floor=6)
    rng, size = np.random.default_rng(0), made.facts["max_samples"]
    at = np.arange(size)
    tone = np.sin(2 * np.pi * 1000 * at / RATE) * (at % 2400 < 1000)
    samples = (tone * 0.3 + rng.normal(size=(3, size)) * [[0.001], [0.01], [0.05]]).astype(np.float32)
    length = np.array([size, size, 600], np.int32)  # the last is shorter than a tenth of a second: no noise is known
    given = made.preprocess({"samples": tf.constant(samples), "length": tf.constant(length)})["features"].numpy()
    for row, features, count in zip(samples, given, length, strict=True):
        plain = made.features(row[None, :count])[0].numpy()
        steps = round(0.1 / made.settings.hop)
        silence = np.full(plain.shape[1], -30.0)
        if len(plain) >= steps:
            means = [np.exp(plain[start:start + steps]).mean(0) for start in range(len(plain) - steps + 1)]
            silence = np.log(np.min(means, 0)) + np.log(10 ** (6 / 10))
        if dynamic_range:
            silence = np.maximum(silence, plain.max() - np.log(10 ** (dynamic_range / 10)))
        loud, want = (plain > silence).any(1), np.maximum(plain, silence)
        assert loud.any() and not (len(plain) >= steps and loud.all())
        if normalize == "clip":
            want -= want[loud].mean(0)
        np.testing.assert_allclose(features[10:10 + len(want)], (want - made.facts["mean"]) / made.facts["std"],
                                   atol=2e-3)


def test_levels_of_bands_are_refused_for_cepstral_coefficients():
    for level in ({"dynamic_range": 30}, {"noise_floor": 6}):
        with pytest.raises(UserError, match="are of bands, not of --coefficients: leave these out"):
            APP.check(Settings(coefficients=13, **level))


def test_sentences_end_where_the_last_sound_ends():
    rng = np.random.default_rng(0)
    for sentences, silence, ends in ((True, 1e-4, 3000), (False, 1e-4, 4800), (True, 0.1, 4800)):
        made, _, _ = built(sentences, dynamic_range=30)
        size = made.facts["max_samples"]
        sound = np.where(np.arange(size) < 3000, 0.1, silence) * rng.normal(size=size)
        raw = {"samples": tf.constant(sound[None], tf.float32), "length": tf.constant([4800])}
        frames, step = int(made.preprocess(raw)["frames"][0]), made.features.hop_size
        heard = frames * step + made.features.window_size - step - 2 * 0.1 * RATE  # of the clip, without its margins
        assert abs(heard - ends) <= 3 * step, (sentences, silence, heard)


def test_a_longer_recording_is_cut_and_a_shorter_one_filled_up():
    made, _, _ = built()
    size = made.facts["max_samples"]
    for count in (size + 5, 100, 0):
        raw = {"samples": np.full(count + 7, 16384, np.int16), "length": np.array(count, np.int32)}
        piece = next(iter(APP.cut(raw, made.inputs, made.facts)))
        assert piece["samples"].shape == (size,) and piece["samples"].dtype == np.float32
        assert piece["length"] == min(count, size) and piece["samples"].sum() == 0.5 * min(count, size)


# Data

def write(path, seconds=0.3, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(int(seconds * rate))) * 0.5, rate, "PCM_16")


def test_the_sample_is_spoken_digits_of_six_speakers():
    dataset = data.load(Settings(data="sample", rate=RATE))
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 420, "validation": 60,
                                                                            "test": 300}
    assert dataset.labels == list(data.DIGITS) and dataset.group == "speaker" and dataset.public
    test = dataset.splits["test"]
    assert len(set(test.meta["speaker"])) == 6
    assert test.meta["file"][0] == "0_george_0.flac" and test.columns["label"][0] == 0
    assert (np.bincount(test.columns["label"]) == 30).all()


def test_the_sample_joined_is_strings_of_one_speakers_words():
    words, dataset = (data.load(Settings(data=name, rate=RATE)) for name in ("sample", "sample:joined"))
    assert {name: len(split) for name, split in dataset.splits.items()} == data.STRINGS
    again = data.load(Settings(data="sample:joined", rate=RATE)).splits["test"].columns["samples"]
    assert np.array_equal(again.values, dataset.splits["test"].columns["samples"].values)
    test, spoken, single = dataset.splits["test"], data.texts(dataset.splits["test"]), words.splits["test"]
    assert {len(text.split()) for text in spoken} == set(range(3, 8)) and not dataset.labels and dataset.public
    # Its words are found in it, in their order, as clips of that speaker.
    whole = test.columns["samples"].row(0).astype(float)
    found = {}
    for row, (label, speaker) in enumerate(zip(single.columns["label"], single.meta["speaker"], strict=True)):
        clip = single.columns["samples"].row(row).astype(float)
        if speaker == test.meta["speaker"][0] and len(clip) < len(whole):
            alike = scipy.signal.correlate(whole, clip, "valid", "fft")
            at = int(alike.argmax())
            if alike[at] > 0.95 * np.linalg.norm(clip) * np.linalg.norm(whole[at:at + len(clip)]):
                found[at] = data.DIGITS[label]
    assert [found[at] for at in sorted(found)] == spoken[0].split()


def test_a_folder_for_each_word(tmp_path):
    for name in ("yes/a_nohash_0.wav", "yes/b_nohash_1.wav", "no/a_nohash_0.wav", "_background_noise_/x.wav"):
        write(tmp_path / name)
    dataset = data.load(Settings(data=str(tmp_path), rate=4000))
    train = dataset.splits["train"]
    assert dataset.labels == ["no", "yes"] and list(train.columns["label"]) == [0, 1, 1]
    assert train.meta["speaker"] == ["a", "a", "b"] and (train.columns["length"] == 1200).all()


def test_tables_name_files_texts_and_speakers(tmp_path):
    write(tmp_path / "clips" / "1.wav")
    write(tmp_path / "2.flac")
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\nann\t1.wav\tHello  World\nbob\t2.flac\tGood day\n")
    dataset = data.load(Settings(data=str(tmp_path), rate=RATE))
    train = dataset.splits["train"]
    assert [bytes(train.columns["text"].row(row)).decode() for row in range(2)] == ["hello world", "good day"]
    assert train.meta["speaker"] == ["ann", "bob"] and not dataset.labels
    (tmp_path / "all.csv").write_text("file,label,split\n2.flac,yes,train\n2.flac,no,test\n")
    dataset = data.load(Settings(data=str(tmp_path / "all.csv"), rate=RATE))
    assert dataset.labels == ["no", "yes"] and list(dataset.splits) == ["train", "test"]


def test_transcripts_as_librispeech_has_them(tmp_path):
    write(tmp_path / "train" / "84" / "121" / "84-121-0000.flac")
    (tmp_path / "train" / "84" / "121" / "84-121.trans.txt").write_text("84-121-0000 GO DO YOU HEAR\n")
    dataset = data.load(Settings(data=str(tmp_path), rate=RATE))
    train = dataset.splits["train"]
    assert bytes(train.columns["text"].row(0)) == b"go do you hear" and train.meta["speaker"] == ["84"]


@pytest.mark.parametrize("files,words", [
    ({}, ["no sounds"]),
    ({"train.csv": "path,label\nx.wav,yes\n"}, ["line 2", "x.wav"]),
    ({"train.csv": "a,b\n1,2\n"}, ["column of files", "a, b"]),
    ({"train.csv": "path,b\n1,2\n"}, ["texts or words"]),
    ({"train.csv": "path,label,split\n1.wav,yes,some\n"}, ["line 2", "some"]),
    ({"train.csv": "path,label\n1.wav,yes\n", "test.csv": "path,text\n1.wav,yes\n"}, ["differ"]),
    ({"a.trans.txt": "84-1 HELLO\n"}, ["line 1", "84-1"])])
def test_data_that_cannot_be_read_are_refused(tmp_path, files, words):
    if files:
        write(tmp_path / "1.wav")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        data.load(Settings(data=str(tmp_path), rate=RATE))
    assert all(word in str(error.value) for word in words), error.value


def test_words_are_not_sentences():
    facts = Facts({"rate": RATE, "symbols": ["a"], "of": "characters"})
    with pytest.raises(UserError, match="trained on sentences"):
        data.load(Settings(data="sample"), facts)


# Reports and answers

def test_sentences_are_scored_by_their_words():
    facts = Facts({"symbols": [" ", "a", "b"], "of": "characters", "rate": RATE, "hop": 0.01})
    scorer = SentenceScorer(facts)
    for index, (truth, symbols) in enumerate([("a b", [1, 0, 2]), ("ab b", [1, 0, 2, 0, 1]), ("b", [])]):
        answer = {"symbols": np.array([*symbols, -1, -1]), "count": np.array(len(symbols)),
                  "frames": np.arange(len(symbols) + 2)}
        scorer.update({"samples": np.zeros(900, np.int16), "length": np.array(900),
                       "text": np.frombuffer(truth.encode(), np.uint8), "meta": {"index": index, "speaker": "s"}},
                      answer)
    report = scorer.report()  # of five words one is another, one more and one missing
    assert report.metrics["word_error_rate"] == pytest.approx(3 / 5)
    assert report.metrics["accuracy"] == pytest.approx(2 / 5) and report.examples == 3
    assert [row["truth"] for row in report.tables["mistakes"]] == ["ab b", "b"]


def test_words_are_scored_by_speaker():
    scorer, clip = WordScorer(Facts({"labels": ["x", "y"], "rate": RATE})), np.zeros(300, np.int16)
    for index, (truth, label, speaker) in enumerate([(0, 0, "a"), (1, 0, "b"), (1, 1, "b")]):
        scorer.update({"samples": clip, "length": np.array(300), "label": truth,
                       "meta": {"index": index, "speaker": speaker}},
                      {"label": np.array(label), "probabilities": np.eye(2)[label]})
    assert scorer.report().tables["speakers"] == [{"speaker": "b", "accuracy": 0.5, "support": 2},
                                                  {"speaker": "a", "accuracy": 1.0, "support": 1}]


def test_a_sentence_as_json_tells_when_each_symbol_was_said():
    facts = Facts({"symbols": ["hello", "you"], "of": "words", "hop": 0.01})
    answer = {"symbols": np.array([1, 0, -1]), "frames": np.array([5, 20, -1]), "confidences": np.array([0.5, 1, -1]),
              "count": np.array(2)}
    made = APP.to_json({}, answer, facts)
    assert made["text"] == "you hello" == APP.show({}, answer, facts)
    assert made["symbols"][1] == {"symbol": "hello", "second": 0.3, "confidence": 1}  # 20 frames less 0.1 s of silence
    assert made["symbols"][0] == {"symbol": "you", "second": 0.0, "confidence": 0.5}


def test_speakers_and_transcripts_are_examined():
    def split(rows):
        texts, speakers = zip(*rows, strict=True)
        return Split({"text": to_bytes(texts), "length": np.full(len(rows), 800)},
                     {"file": [f"{number}.wav" for number in range(len(rows))], "speaker": speakers})
    dataset = data.Dataset("made", {"train": split([("ab", "x"), ("", "x"), ("a" * 20, "y")]),
                                    "test": split([("ac", "x"), ("a", "z")])})
    said = data.examine(dataset, "characters", lambda samples: samples / 160 + 10)  # 15 frames each
    for word, note in zip(("1 of 2 speakers", "empty", "more characters", "'c' in 0.wav"), said, strict=True):
        assert word in note
    assert "1.wav" in said[1] and "2.wav" in said[2]
    assert data.needed("aab", "characters") == 4 and data.needed("no no yes", "words") == 4


@pytest.mark.parametrize("rate", [4000, RATE])
def test_tfds_sets_with_sound(tmp_path, write_tfds, rate):
    import tensorflow_datasets as tfds
    tone = (np.sin(np.arange(RATE // 2) / 10) * 20_000).astype(np.int64)
    write_tfds(tmp_path, "made_words", {"audio": tfds.features.Audio(sample_rate=RATE),
                                        "label": tfds.features.ClassLabel(names=["no", "yes"])},
               {"train": [{"audio": tone, "label": 1}, {"audio": tone[:1000], "label": 0}]})
    write_tfds(tmp_path, "made_texts", {"speech": tfds.features.Audio(sample_rate=RATE), "id": tfds.features.Text(),
                                        "text": tfds.features.Text(), "speaker_id": np.int64},
               {"train": [{"speech": tone, "id": "a", "text": "GO  ON", "speaker_id": 7}]})
    write_tfds(tmp_path, "made_mute", {"speech": tfds.features.Audio(sample_rate=RATE)}, {"train": [{"speech": tone}]})
    words = data.load(Settings(data="tfds:made_words", data_dir=str(tmp_path), rate=rate))
    train = words.splits["train"].columns
    assert words.labels == ["no", "yes"] and list(train["label"]) == [1, 0]
    assert list(train["length"]) == [rate // 2, 1000 * rate // RATE]
    if rate == RATE:
        assert np.array_equal(train["samples"].row(0), tone)
    sentences = data.load(Settings(data="tfds:made_texts", data_dir=str(tmp_path), rate=rate)).splits["train"]
    assert bytes(sentences.columns["text"].row(0)) == b"go on" and sentences.meta["speaker"] == ["7"]
    with pytest.raises(UserError, match="no sound with a class or a text"):
        data.load(Settings(data="tfds:made_mute", data_dir=str(tmp_path), rate=rate))


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 175, 176, 300, 1001])
def test_windows_cover_a_recording_and_overlap_by_a_quarter(length):
    places = starts(length, 100)
    assert places[0] == 0 and places[-1] + 100 >= length and (length > 100) == (len(places) > 1)
    assert all(25 <= one + 100 - other < 100 for one, other in zip(places, places[1:], strict=False))
    assert length <= 100 or places[-1] + 100 == length


def test_a_long_recording_of_sentences_is_joined_from_its_windows():
    facts = Facts({"rate": 1000, "max_samples": 100, "hop": 0.01, "symbols": list("abcdef"), "of": "characters"})
    said = {10: 0, 60: 1, 80: 2, 130: 3, 150: 4, 240: 5}  # by sample
    raw = {"samples": np.zeros(250, np.int16), "length": np.array(250)}

    def answer(start):
        inside = [(at - start, symbol) for at, symbol in said.items() if start <= at < start + 100]
        frames, symbols = zip(*[((at + 100) // 20, symbol) for at, symbol in inside], strict=True)  # 0.1 s of silence
        return {"symbols": np.array([*symbols, -1]), "frames": np.array([*frames, -1]),
                "confidences": np.array([0.5] * len(symbols) + [-1]), "count": np.array(len(symbols))}
    made = APP.join(raw, iter([answer(start) for start in starts(250, 100)]), {}, facts)
    assert APP.show(raw, made, facts) == "abcdef"
    assert np.abs(made["frames"] * 20 - 100 - np.array(list(said))).max() <= 20


def test_a_long_recording_of_words_is_what_its_surest_window_says():
    facts = Facts({"rate": 1000, "max_samples": 100, "labels": ["x", "y"]})
    answers = [{"label": np.array(0), "probabilities": np.array([0.6, 0.4])},
               {"label": np.array(1), "probabilities": np.array([0.1, 0.9])}]
    assert APP.join({"length": np.array(150)}, iter(answers), {}, facts)["label"] == 1


def test_a_run_gives_log_probabilities_and_behind_the_last_frame_nothing_is_said():
    made, network, dataset = built(sentences=True)
    size = made.facts["max_samples"]
    raw = {"samples": tf.constant(np.random.default_rng(3).normal(size=(2, size)), tf.float32),
           "length": tf.constant([size, 1000])}
    answers = made.pipeline(network, details=True)(raw)
    given = answers["log_probabilities"].numpy()
    np.testing.assert_allclose(np.exp(given).sum(-1), 1, atol=1e-5)
    last = -(-int(made.features.frames(1000 + sum(made.margins))) // 2)
    assert (given[1, last:, -1] == 0).all() and (given[1, last:, :-1] < -1e8).all() and (given[1, :last, -1] < 0).all()
    validation = dataset.splits["train"]
    rows = iter([{"log_probabilities": given[0]}] * 6)
    assert made.calibrate(network, validation, lambda raws: (next(rows) for _ in raws)).keys() == {"alpha", "beta"}


def test_settings_that_do_not_fit_are_refused(tmp_path):
    for options, word in (({"coefficients": 41}, "--mels"), ({"lm_text": str(tmp_path / "none")}, "no such file")):
        with pytest.raises(UserError, match=word):
            APP.check(Settings(**options))
    for sentences, options, word in ((False, {"symbols": "words"}, "--symbols means nothing to single words"),
                                     (True, {"label_smoothing": 0.1}, "--label-smoothing means nothing to sentences")):
        with pytest.raises(UserError, match=word):
            built(sentences, **options)


def test_rare_words_weigh_more_where_asked():
    made, _, dataset = built(class_weights="balanced")
    columns = dataset.splits["train"].columns
    weights = made.weight({"label": tf.constant(columns["label"])}).numpy()
    np.testing.assert_allclose(weights, 1.0)  # two of each
    assert built()[0].weight({"label": tf.constant(columns["label"])}) is None

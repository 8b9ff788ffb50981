"""What TensorBoard is given of a report."""

import io
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from shared.evaluation.report import Gallery, Report, Sounds
from shared.training.callbacks import DRAW_SECONDS, TensorBoard

CLIPS = [np.arange(-32768, 32768, 7).astype(np.int16), np.array([5], np.int16), np.zeros(0, np.int16)]


def report(epoch):
    return Report({"accuracy": 0.5}, {"heard": [{"truth": "zero", "given": f"{epoch}"}]},
                  {"heard": Gallery("Heard", [np.zeros((9, 9), "uint8")], [f"{epoch}"]),
                   "sounds": Sounds("Sounds", CLIPS, 8000, ["zero", "one", "none"])}, 1)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Of eight epochs, every second one scored, the sixth a minute after the fourth: (tag, plugin, step, description,
    value) of each."""
    run = SimpleNamespace(tensorboard=tmp_path_factory.mktemp("run"))
    validate = SimpleNamespace(records=[{"epoch": epoch + 1, "loss": 1.0, "learning_rate": 0.1} for epoch in range(8)])
    board = TensorBoard(run, validate, 10)
    board.set_params({"epochs": 8})
    for epoch in range(8):
        if epoch == 5:
            board.drawn -= DRAW_SECONDS
        validate.report = report(epoch) if epoch % 2 else None
        board.on_epoch_begin(epoch)
        board.on_epoch_end(epoch)
    [path] = (run.tensorboard / "validation").glob("events*")
    return [(value.tag, value.metadata.plugin_data.plugin_name, event.step, value.metadata.summary_description,
             make_ndarray(value.tensor))
            for event in EventFileLoader(str(path)).Load() for value in event.summary.value]


def test_sounds_are_written_once_sample_by_sample(events):
    sounds = [event for event in events if event[1] == "audio"]
    assert [(tag, step, caption) for tag, _, step, caption, _ in sounds] == [
        ("report/sounds/01", 2, "zero"), ("report/sounds/02", 2, "one"), ("report/sounds/03", 2, "none")]
    for (*_, value), clip in zip(sounds, CLIPS, strict=True):
        with wave.open(io.BytesIO(value.ravel()[0])) as file:
            assert file.getparams()[:4] == (1, 2, 8000, len(clip))
            assert file.readframes(len(clip)) == clip.tobytes()


def test_texts_are_written_at_every_scoring_and_pictures_once_a_minute(events):
    assert [step for _, plugin, step, *_ in events if plugin == "images"] == [2, 6, 8]
    texts = [(step, value.item().decode()) for _, plugin, step, _, value in events if plugin == "text"]
    assert [step for step, _ in texts] == [2, 4, 6, 8]
    assert all(f"| zero | {step - 1} |" in text for step, text in texts)


def test_a_name_means_one_kind_of_thing(events):  # of two kinds TensorBoard shows the first
    kinds = {(tag, plugin) for tag, plugin, *_ in events}
    assert len({tag for tag, _ in kinds}) == len(kinds)

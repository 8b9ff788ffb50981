"""What TensorBoard's projector plugin reads of what is written for it."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from shared.training.projector import write_projector


def test_tensorboard_serves_vectors_and_names(tmp_path):
    folder = tmp_path / "run" / "train"
    with tf.summary.create_file_writer(str(folder)).as_default():
        tf.summary.scalar("loss", 1.0, 1)
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    write_projector(folder, {"words": (["film", "电影", "a\tb"], vectors)})

    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(tmp_path)).Reload()
    plugin = ProjectorPlugin(base_plugin.TBContext(
        logdir=str(tmp_path), multiplexer=events,
        data_provider=data_provider.MultiplexerDataProvider(events, str(tmp_path))))
    serve = plugin.get_plugin_apps()

    def get(route, **query):
        answer = Client(serve[route]).get(route, query_string={"run": "run/train", **query})
        assert answer.status_code == 200
        return answer
    [described] = get("/info").json["embeddings"]
    assert described["tensorName"] == "words" and described["tensorShape"] == [3, 4]
    assert get("/metadata", name="words").get_data(as_text=True) == "film\n电影\na b\n"
    served = np.frombuffer(get("/tensor", name="words").get_data(), np.float32).reshape(3, 4)
    np.testing.assert_allclose(served, vectors, rtol=1e-4)


def test_without_vectors_nothing_is_written(tmp_path):
    write_projector(tmp_path, {})
    assert not any(tmp_path.iterdir())

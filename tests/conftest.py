import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the commands have it


@pytest.fixture(scope="session")
def write_tfds():
    """A function that writes a prepared set of TensorFlow Datasets: rows, dicts of arrays, by split name."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def write(top, name, features, splits, keys=None):
        features = tfds.features.FeaturesDict(features)
        folder = top / name / "1.0.0"
        folder.mkdir(parents=True)
        own = {"data_dir": str(folder), "dataset_name": name, "filetype_suffix": "tfrecord"}
        infos = []
        for split, rows in splits.items():
            template = tfds.core.ShardedFileTemplate(split=split, **own)
            written = [features.serialize_example(row) for row in rows]
            with tf.io.TFRecordWriter(str(template.sharded_filepath(shard_index=0, num_shards=1))) as writer:
                for row in written:
                    writer.write(row)
            infos.append(tfds.core.SplitInfo(name=split, shard_lengths=[len(written)],
                                             num_bytes=sum(map(len, written)), filename_template=template))
        tfds.folder_dataset.write_metadata(data_dir=str(folder), features=features, split_infos=infos,
                                           supervised_keys=keys,
                                           filename_template=tfds.core.ShardedFileTemplate(**own))
    return write

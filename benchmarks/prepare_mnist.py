"""Puts the four original MNIST files where `tfds:mnist` finds them without a network.

    python -m benchmarks.prepare_mnist SOURCE DATA_DIR
    pocketconv mnist fit --data tfds:mnist --data-dir DATA_DIR

SOURCE is a folder or a tar file with train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz,
t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz (Y. LeCun, C. Cortes, C. Burges). With a network none of this
is needed: TFDS downloads the same images by itself.
"""

import argparse
import gzip
import os
import tarfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

VERSION = "3.0.1"


def idx(source: Path, name: str, header: int) -> np.ndarray:
    """The values of an idx file, read from a folder or a tar file."""
    if source.is_dir():
        content = next(source.rglob(name)).read_bytes()
    else:
        with tarfile.open(source) as archive:
            member = next(m for m in archive.getmembers() if Path(m.name).name == name)
            content = archive.extractfile(member).read()
    return np.frombuffer(gzip.decompress(content), np.uint8)[header:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args()
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(28, 28, 1)),
                                           "label": tfds.features.ClassLabel(num_classes=10)})
    folder = args.data_dir / "mnist" / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    names = {"data_dir": str(folder), "dataset_name": "mnist", "filetype_suffix": "tfrecord"}
    infos = []
    for split, stem in (("train", "train"), ("test", "t10k")):
        images = idx(args.source, f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
        labels = idx(args.source, f"{stem}-labels-idx1-ubyte.gz", 8)
        template = tfds.core.ShardedFileTemplate(split=split, **names)
        size = 0
        with tf.io.TFRecordWriter(str(template.sharded_filepath(shard_index=0, num_shards=1))) as writer:
            for image, label in zip(images, labels, strict=True):
                row = features.serialize_example({"image": image, "label": int(label)})
                writer.write(row)
                size += len(row)
        infos.append(tfds.core.SplitInfo(name=split, shard_lengths=[len(labels)], num_bytes=size,
                                         filename_template=template))
        print(f"{split}: {len(labels)} images")
    tfds.folder_dataset.write_metadata(data_dir=str(folder), features=features, split_infos=infos,
                                       supervised_keys=("image", "label"),
                                       filename_template=tfds.core.ShardedFileTemplate(**names))


if __name__ == "__main__":
    main()

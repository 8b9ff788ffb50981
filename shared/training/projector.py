"""TensorBoard's embedding projector: learned vectors with their names, as points that can be turned and searched."""

from pathlib import Path

import numpy as np

MOST = 10_000  # vectors: more than the page draws smoothly


def write_projector(folder: Path, embeddings: dict[str, tuple[list[str], np.ndarray]]) -> None:
    """Writes what the projector reads into a folder that holds event files.

    Args:
        folder: one that TensorBoard takes for a run.
        embeddings: labels and float vectors `[n, dimension]` by the table's name; the first 10,000 are shown.
    """
    from tensorboard.plugins import projector  # slow to import, and needed once a training
    config = projector.ProjectorConfig()
    for name, (labels, vectors) in embeddings.items():
        # A name is one line of the table, whatever it holds.
        lines = (" ".join(label.split()) or repr(label) for label in labels[:MOST])
        (folder / f"{name}.labels.tsv").write_text("".join(line + "\n" for line in lines), "utf-8")
        np.savetxt(folder / f"{name}.tsv", vectors[:MOST], "%.5g", "\t")
        config.embeddings.add(tensor_name=name, tensor_path=f"{name}.tsv", metadata_path=f"{name}.labels.tsv")
    if embeddings:
        projector.visualize_embeddings(str(folder), config)

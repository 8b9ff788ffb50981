"""A linear classifier of many sparse features that knows from the start how each is spread over the classes."""

from typing import Any

import keras
import numpy as np

ops = keras.ops


@keras.saving.register_keras_serializable("pocketconv")
class NaiveBayesVotes(keras.layers.Layer):
    """Each feature's vote for each class: its log-count ratio times a trained weight.

    The ratio is what naive Bayes would say, and says how far a weight can move an answer: features that stand in all
    classes alike stay silent, however often they are seen. Add the votes of a text's features for its logits.

    Args:
        size: how many features there are; feature 0 is padding.
        classes: how many classes.
        scale: what the weights begin with; 1 votes as naive Bayes does.
        **kwargs: base layer keyword arguments (`name`, `dtype`, ...).

    Input shape: int32 of any shape `[...]`, from 0 to `size - 1`.

    Output shape: `[..., classes]`, in the compute dtype.

    Example:

    >>> votes = NaiveBayesVotes(3, 2)
    >>> votes.build((None, None))
    >>> votes.set_counts(np.array([[0, 0], [9, 0], [4, 4]]))  # of each feature in the texts of each class
    >>> np.round(votes(np.array([[1, 2]])), 1)
    array([[[ 1.6, -1.6],
            [-0.5,  0.5]]], dtype=float32)

    Reference:
        [Wang and Manning 2012, Baselines and Bigrams](https://aclanthology.org/P12-2018/); with more than two
        classes each is set against all others.
    """

    def __init__(self, size: int, classes: int, scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.classes, self.scale = size, classes, scale

    def build(self, input_shape: Any) -> None:
        shape = (self.size, self.classes)
        self.ratios = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="ratios")
        self.kernel = self.add_weight(shape=shape, initializer=keras.initializers.Constant(self.scale), name="kernel")

    def set_counts(self, counts: np.ndarray) -> None:
        """Sets the ratios by how often each feature stands in each class, `[size, classes]`."""
        counts = counts.astype(np.float64) + 1
        own, others = counts, counts.sum(1, keepdims=True) - counts
        ratios = np.log(own / own.sum(0)) - np.log(others / others.sum(0))
        ratios[0] = 0
        self.ratios.assign(ratios.astype(np.float32))

    def call(self, inputs: Any) -> Any:
        # Multiplied before the lookup: in a shipped file that is one table.
        return ops.take(self.ratios * self.kernel, inputs, axis=0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return *input_shape, self.classes

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "classes": self.classes, "scale": self.scale}

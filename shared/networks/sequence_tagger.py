"""A tagger that is trained by its CRF."""

from typing import Any

import keras
import tensorflow as tf

from shared.layers.crf import CRF


@keras.saving.register_keras_serializable("pocketconv")
class SequenceTagger(keras.Model):
    """A functional model that ends in a `CRF` and has its loss: `compile(optimizer)` and `fit(x, labels)` do.

    The loss is the mean over sequences of the negative log-likelihood. What the model gives are the CRF's emissions;
    ask the CRF for labels. Labels are integers `[batch, time]`, -1 in the padding, which lies on the right and changes
    neither loss nor gradients. Sample weights, `[batch]`, weigh sequences.

    Args:
        inputs, outputs: of the functional model; the outputs are what a `CRF` layer gave.
        name: of the model.
        token_loss: how much of a softmax cross-entropy of each token's emissions alone, summed over a sequence, is
            added to its negative log-likelihood.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: there is not one `CRF` layer.

    Example:

    >>> words = keras.Input([None], dtype="int32")
    >>> x = keras.layers.Embedding(100, 16)(words)
    >>> tagger = SequenceTagger(words, CRF(5)(keras.layers.Dense(5)(x)))
    >>> tagger.compile("adam")
    >>> sentences, labels = np.array([[7, 8, 9], [3, 4, 0]]), np.array([[0, 1, 2], [4, 0, -1]])
    >>> history = tagger.fit(sentences, labels, verbose=0)
    >>> best, score = tagger.crf.decode(tagger.predict(sentences, verbose=0), lengths=[3, 2])

    Reference:
        [Collobert et al. 2011](https://www.jmlr.org/papers/v12/collobert11a.html): sentence-level log-likelihood
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, *, token_loss: float = 0.0, **kwargs: Any):
        # Arguments in the order of Keras' functional models, so that it saves and loads this one as such.
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        if len([layer for layer in self.layers if isinstance(layer, CRF)]) != 1:
            raise ValueError("A SequenceTagger needs one CRF layer, whose output is its own.")
        self.token_loss = token_loss

    @property
    def crf(self) -> CRF:
        """The layer whose loss this is."""
        return next(layer for layer in self.layers if isinstance(layer, CRF))

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Any:
        losses = -self.crf.log_likelihood(y, y_pred)
        if self.token_loss:
            used = tf.cast(y, tf.int32) >= 0
            tokens = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.maximum(tf.cast(y, tf.int32), 0), tf.where(tf.expand_dims(used, 2), y_pred, 0.0))
            losses += self.token_loss * tf.reduce_sum(tf.where(used, tokens, 0.0), 1)
        if sample_weight is not None:
            losses *= tf.reshape(tf.cast(sample_weight, losses.dtype), tf.shape(losses))
        return tf.reduce_mean(losses) + sum(self.losses)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"token_loss": self.token_loss}

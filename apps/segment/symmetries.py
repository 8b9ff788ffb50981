"""Ways an image can lie, all of which are answered, so that their mean is surer than any one of them."""

from collections.abc import Callable

import tensorflow as tf

Way = tuple[bool, bool, bool]  # whether rows and columns change places, and then the order of rows, of columns
WAYS: dict[str, list[Way]] = {
    "none": [], "mirror": [(False, False, False), (False, False, True)],
    "all": [(turned, down, back) for turned in (False, True) for down in (False, True) for back in (False, True)]}


def mean_over(ways: list[Way], network: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """The mean of what a network says of each way, each laid as the image lies.

    Args:
        network: of `[n, h, w, c]` to `[n, h, w, d]`, called once for all ways.
        images: `[n, h, w, c]`; square where rows and columns change places.
    """
    laid = network(tf.concat([lay(images, way) for way in ways], 0))
    back = [lay_back(one, way) for one, way in zip(tf.split(laid, len(ways)), ways, strict=True)]
    return tf.add_n(back) / len(ways)


def lay(images: tf.Tensor, way: Way) -> tf.Tensor:
    return mirrored(transposed(images, way), way)


def lay_back(images: tf.Tensor, way: Way) -> tf.Tensor:
    return transposed(mirrored(images, way), way)


def transposed(images: tf.Tensor, way: Way) -> tf.Tensor:
    return tf.transpose(images, [0, 2, 1, 3]) if way[0] else images


def mirrored(images: tf.Tensor, way: Way) -> tf.Tensor:
    for axis in (1, 2):
        images = tf.reverse(images, [axis]) if way[axis] else images
    return images

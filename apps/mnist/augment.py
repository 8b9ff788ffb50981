"""Augmentation of small centred images: shift, rotation, scale, shear and elastic bending in one resampling."""

import math

import tensorflow as tf

from shared.data.stateless import uniform
from shared.data.warp import affine, elastic, sample

CELLS = 4  # knots of the elastic field a side


def distort(images: tf.Tensor, keys: tf.Tensor, rotate: float, scale: float, shear: float, shift: float,
            bend: float, mirror: bool) -> tf.Tensor:
    """Each image moved by its own random field.

    Args:
        images: float32 `[batch, height, width, channels]`, 0 where there is nothing.
        keys: uint32 `[batch]`.
        rotate: largest angle, degrees.
        scale, shear: largest change, as a share.
        shift, bend: largest movement, as a share of the side.
        mirror: flip left and right for every second image.
    """
    height, width = images.shape[1:3]

    def between(draw: int, most: float) -> tf.Tensor:
        return uniform(keys, draw, (), -most, most)

    flip = tf.where(uniform(keys, 6) < 0.5, -1.0, 1.0) if mirror else 1.0
    field = affine(height, width, between(0, rotate * math.pi / 180), tf.exp(between(1, scale)),
                   flip * tf.exp(between(2, scale)), between(3, shear), between(4, shift * height),
                   between(5, shift * width))
    bent = elastic(uniform(keys, 7, (2, CELLS + 3, CELLS + 3), -1, 1), height, width, bend * height)
    return sample(images, (field[0] + bent[0], field[1] + bent[1]))


def erase(images: tf.Tensor, keys: tf.Tensor, share: float) -> tf.Tensor:
    """A random rectangle of up to `share` of each side set to 0 in every second image (Zhong et al. 2017)."""
    height, width = images.shape[1:3]

    def band(size: int, draw: int) -> tf.Tensor:
        length = uniform(keys, draw) * share * size
        start = uniform(keys, draw + 1, (), -0.25, 1.0) * size
        at = tf.range(size, dtype=tf.float32)
        return (at >= start[:, None]) & (at < (start + length)[:, None])

    hit = band(height, 20)[:, :, None] & band(width, 22)[:, None, :] & (uniform(keys, 24) < 0.5)[:, None, None]
    return tf.where(hit[..., None], 0.0, images)

"""Augmentation of images and their masks together: one resampling for all that moves pixels, then light, colour and
haze."""

import math
from typing import Any

import tensorflow as tf

from shared.data.stateless import uniform
from shared.data.warp import Field, affine, elastic, mirrored

CELLS = 6  # knots of the elastic field a side
VEIL = 2  # the same of haze, which is wider than any object


def field(keys: tf.Tensor, settings: Any, size: tuple[int, int], source: tuple[int, int]) -> Field:
    """Where each pixel of the sampled tiles comes from.

    Args:
        keys: uint32 `[batch]`.
        settings: the app's, for `flip`, `rotate`, `enlarge`, `shrink`, `stretch` and `bend`.
        size: height and width of what is sampled.
        source: of the images that are sampled from.
    """
    def between(draw: int, least: float, most: float) -> tf.Tensor:
        return uniform(keys, draw, (), least, most)

    def sign(draw: int, on: bool) -> tf.Tensor | float:
        return tf.where(uniform(keys, draw) < 0.5, -1.0, 1.0) if on else 1.0

    scale = tf.exp(between(0, -math.log(settings.shrink), math.log(settings.enlarge)))
    stretch = tf.exp(between(1, -math.log(settings.stretch) / 2, math.log(settings.stretch) / 2))
    scale_y = scale / stretch * sign(2, settings.flip == "both")
    scale_x = scale * stretch * sign(3, settings.flip != "none")
    angle = between(4, -settings.rotate, settings.rotate) * math.pi / 180
    # The tile may lie anywhere in its source, and a shrunken source anywhere in its tile.
    room_y, room_x = tf.abs(source[0] * scale - size[0]) / 2, tf.abs(source[1] * scale - size[1]) / 2
    rows, columns = affine(*size, angle, scale_y, scale_x, tf.zeros_like(scale), between(5, -1, 1) * room_y,
                           between(6, -1, 1) * room_x, source)
    if not settings.bend:
        return rows, columns
    bent = elastic(uniform(keys, 7, (2, CELLS + 3, CELLS + 3), -1, 1), *size, settings.bend)
    return rows + bent[0], columns + bent[1]


def inside(at: Field, settings: Any, source: tuple[int, int]) -> Field:
    """The field, mirrored at the image's border where tiles are cut from a larger whole."""
    return mirrored(at, *source) if settings.fit_image == "tile" else at


def light(images: tf.Tensor, keys: tf.Tensor, brightness: float, color: float) -> tf.Tensor:
    """Another exposure of each image: gamma, contrast, brightness, and the balance of colours.

    Args:
        images: float32 `[batch, h, w, channels]`, 0 to 255.
        keys: uint32 `[batch]`.
        brightness: largest change of gamma, contrast (by factors of e to this power) and brightness (by this times
            the image's own standard deviation: dim images are not blacked out).
        color: the same of each channel's share.
    """
    def factor(draw: int, most: float, shape: tuple[int, ...] = (1, 1, 1)) -> tf.Tensor:
        return tf.exp(uniform(keys, draw, shape, -most, most))

    if brightness:
        images = 255 * tf.pow(tf.clip_by_value(images / 255, 1e-4, 1.0), factor(20, brightness))
        mean = tf.reduce_mean(images, [1, 2, 3], keepdims=True)
        images = (images - mean) * factor(21, brightness) + mean
        spread = tf.math.reduce_std(images, [1, 2, 3], keepdims=True)
        images += uniform(keys, 22, (1, 1, 1), -brightness, brightness) * spread
    if color and images.shape[-1] > 1:
        images *= factor(23, color, (1, 1, int(images.shape[-1])))
    return tf.clip_by_value(images, 0.0, 255.0)


def haze(images: tf.Tensor, keys: tf.Tensor, most: float) -> tf.Tensor:
    """Light scattered over parts of each image, as by what lies out of focus: smooth, and never darker.

    Args:
        images: float32 `[batch, h, w, channels]`, 0 to 255.
        keys: uint32 `[batch]`.
        most: what is added at most, as a share of the image's brightest pixel.
    """
    if not most:
        return images
    height, width = images.shape[1:3]
    smooth, _ = elastic(uniform(keys, 24, (2, VEIL + 3, VEIL + 3), -1, 1), height, width, 1.0)
    veil = tf.square(tf.clip_by_value(2 * smooth, 0.0, 1.0))[..., None]  # of a half of the image none
    peak = tf.reduce_max(images, [1, 2, 3], keepdims=True)
    return tf.minimum(images + uniform(keys, 25, (1, 1, 1), 0, most) * peak * veil, 255.0)

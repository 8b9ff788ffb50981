"""Moving the pixels of a batch of images: affine maps and elastic fields, sampled in one pass."""

import numpy as np
import tensorflow as tf

Field = tuple[tf.Tensor, tf.Tensor]  # where each output pixel comes from: rows and columns, float32 [batch, h, w]


def affine(height: int, width: int, angle: tf.Tensor, scale_y: tf.Tensor, scale_x: tf.Tensor, shear: tf.Tensor,
           shift_y: tf.Tensor, shift_x: tf.Tensor, source: tuple[int, int] | None = None) -> Field:
    """A field that rotates, scales and shears about the centre, then shifts; all arguments float32 `[batch]`.

    Args:
        height, width: of what is sampled, in pixels.
        angle: radians, counter-clockwise as one sees it.
        scale_y, scale_x: factors above 1 enlarge.
        shear: columns moved for each row.
        shift_y, shift_x: pixels, downwards and to the right.
        source: height and width of the images that are sampled from, where they are larger or smaller.
    """
    from_height, from_width = source or (height, width)
    y = tf.range(height, dtype=tf.float32) - (height - 1) / 2
    x = tf.range(width, dtype=tf.float32) - (width - 1) / 2

    def each(a: tf.Tensor) -> tf.Tensor:
        return tf.reshape(a, [-1, 1, 1])

    y = tf.reshape(y, [1, height, 1]) - each(shift_y)
    x = tf.reshape(x, [1, 1, width]) - each(shift_x)
    cos, sin = each(tf.cos(angle)), each(tf.sin(angle))
    rows = (cos * y + sin * x) / each(scale_y)
    columns = (cos * x - sin * y) / each(scale_x) + each(shear) * rows
    return rows + (from_height - 1) / 2, columns + (from_width - 1) / 2


def _smooth(size: int, cells: int) -> np.ndarray:
    """Cubic B-spline weights `[size, cells + 3]` from a coarse grid to pixels: twice differentiable."""
    at = (np.arange(size) + 0.5) / size * cells + 1.0  # one knot of margin at either end
    distance = np.abs(at[:, None] - np.arange(cells + 3)[None])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def elastic(noise: tf.Tensor, height: int, width: int, strength: float) -> Field:
    """A smooth random displacement to be added to a field (Simard et al. 2003, by splines in place of a blur).

    Args:
        noise: uniform in [-1, 1), float32 `[batch, 2, cells + 3, cells + 3]`.
        strength: largest displacement of a knot, in pixels.
    """
    cells = int(noise.shape[-1]) - 3
    rows, columns = tf.constant(_smooth(height, cells)), tf.constant(_smooth(width, cells).T)
    moved = strength * tf.matmul(tf.matmul(rows, noise), columns)
    return moved[:, 0], moved[:, 1]


def mirrored(field: Field, height: int, width: int) -> Field:
    """The field with what it asks for outside of images of this size reflected back into them."""
    def fold(at: tf.Tensor, size: int) -> tf.Tensor:
        last = float(size - 1)
        return tf.clip_by_value(last - tf.abs(last - tf.abs(at)), 0.0, last)
    return fold(field[0], height), fold(field[1], width)


def nearest(labels: tf.Tensor, field: Field, fill: int) -> tf.Tensor:
    """The labels, `[batch, h, w]`, nearest to the places of `field`; `fill` outside."""
    height, width = labels.shape[1:]
    rows, columns = (tf.cast(tf.round(at), tf.int32) for at in field)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    base = tf.reshape(tf.range(tf.shape(labels)[0]) * (height * width), [-1, 1, 1])
    flat = base + tf.clip_by_value(rows, 0, height - 1) * width + tf.clip_by_value(columns, 0, width - 1)
    return tf.where(inside, tf.gather(tf.reshape(labels, [-1]), flat), tf.cast(fill, labels.dtype))


def sample(images: tf.Tensor, field: Field, fill: float = 0.0) -> tf.Tensor:
    """Bilinear samples of `images`, float32 `[batch, h, w, channels]`, at `field`; `fill` outside."""
    height, width, channels = images.shape[1:]
    padded = tf.pad(images - fill if fill else images, [[0, 0], [1, 1], [1, 1], [0, 0]])  # outside is one ring
    rows = tf.clip_by_value(field[0] + 1.0, 0.0, height + 1.0)
    columns = tf.clip_by_value(field[1] + 1.0, 0.0, width + 1.0)
    top, left = tf.minimum(tf.floor(rows), height), tf.minimum(tf.floor(columns), width)
    down, right = tf.expand_dims(rows - top, -1), tf.expand_dims(columns - left, -1)
    pitch = width + 2
    per_image = (height + 2) * pitch
    batch = tf.shape(images)[0]
    base = tf.reshape(tf.range(batch) * per_image, [-1, 1, 1])
    corner = base + tf.cast(top, tf.int32) * pitch + tf.cast(left, tf.int32)
    flat = tf.reshape(padded, [batch * per_image, channels])

    def at(step: int) -> tf.Tensor:
        return tf.gather(flat, corner + step)

    upper = at(0) * (1.0 - right) + at(1) * right
    lower = at(pitch) * (1.0 - right) + at(pitch + 1) * right
    out = upper * (1.0 - down) + lower * down
    return out + fill if fill else out

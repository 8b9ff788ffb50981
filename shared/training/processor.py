"""What the processor is good at that training asks for."""

import time

import tensorflow as tf


def seconds(dtype: tf.DType) -> float:
    """The quickest of three steps of a 3x3 convolution and its gradients, computed in `dtype`."""
    images, kernel = tf.zeros([4, 64, 64, 64], dtype), tf.zeros([3, 3, 64, 64], dtype)

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            found = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tape.gradient(found, [images, kernel])

    def once() -> float:
        start = time.process_time()
        step()
        return time.process_time() - start

    once()
    return min(once() for _ in range(3))


def gains_by_bfloat16() -> bool:
    """Whether it computes faster in bfloat16: having instructions is not enough, some take twice float32's time."""
    return seconds(tf.bfloat16) < 0.9 * seconds(tf.float32)

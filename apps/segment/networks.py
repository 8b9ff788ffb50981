"""The networks of `--model`. Each maps normalised images `[n, h, w, c]` of any fixed size to logits
`[n, h, w, classes]`, float32."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from shared.layers.atrous_spatial_pyramid_pooling import AtrousSpatialPyramidPooling
from shared.layers.max_pooling_with_indices import MaxPoolingWithIndices
from shared.layers.max_unpooling import MaxUnpooling
from shared.networks.blocks import Style, convolution, residual, separable

L = keras.layers
Settings = Any  # apps.segment.app.Settings: imported there, it would load TensorFlow
MOMENTUM = 0.97  # of normalisation: data sets with masks are small, and so are their epochs
RATES = (6, 12, 18)  # of the pyramid at output stride 16, in the paper, for sides of 513 pixels


def build(images: Any, settings: Settings, classes: int) -> Any:
    """The network that the settings name; images are padded to what its halvings divide, the answer is cut again."""
    factor = 16 if settings.model == "deeplab" else 2**settings.depth
    edges = [(-size % factor // 2, -size % factor - -size % factor // 2) for size in images.shape[1:3]]
    padded = any(map(any, edges))
    x = L.ZeroPadding2D(edges)(images) if padded else images
    style = replace(Style.of(settings), momentum=MOMENTUM)
    x = NETWORKS[settings.model](x, style, settings, classes)
    return L.Cropping2D(edges, dtype="float32")(x) if padded else x


def plain(x: Any, style: Style, filters: int, stride: int = 1, rate: int = 1) -> Any:
    """Two 3x3 convolutions, as in U-Net and SegNet."""
    return convolution(convolution(x, style, filters, 3, stride, rate=rate), style, filters, 3, rate=rate)


def separable_pair(x: Any, style: Style, filters: int, stride: int = 1, rate: int = 1) -> Any:
    """Two depthwise separable 3x3 convolutions."""
    return separable(separable(x, style, filters, 3, stride, rate), style, filters, 3, rate=rate)


BLOCKS: dict[str, Callable[..., Any]] = {"plain": plain, "residual": residual, "separable": separable_pair}


def levels(settings: Settings) -> list[int]:
    """Filters of each level: doubled at each halving, up to the widest."""
    return [min(settings.width * 2**level, settings.widest) for level in range(settings.depth + 1)]


def logits(x: Any, style: Style, classes: int) -> Any:
    return L.Conv2D(classes, 1, dtype="float32", name="logits", **style.kernel())(x)


def unet(x: Any, style: Style, settings: Settings, classes: int) -> Any:
    """U-Net (Ronneberger et al. 2015), padded and batch-normalised, enlarging by repetition, not by transposed
    convolution."""
    block, filters, skips = BLOCKS[settings.block], levels(settings), []
    for width in filters[:-1]:
        x = block(x, style, width)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    x = L.SpatialDropout2D(settings.dropout)(block(x, style, filters[-1]))
    for width, skip in zip(reversed(filters[:-1]), reversed(skips), strict=True):
        x = L.UpSampling2D()(convolution(x, style, width, 1))
        x = block(L.Concatenate()([x, skip]), style, width)
    return logits(x, style, classes)


def segnet(x: Any, style: Style, settings: Settings, classes: int) -> Any:
    """SegNet (Badrinarayanan et al. 2017): the decoder puts values back where the encoder's maxima were; with
    `encoder_addition` (the paper's SegNet-Basic-EncoderAddition) to the encoder's features."""
    block, filters, seen = BLOCKS[settings.block], levels(settings)[:-1], []
    for width in filters:
        features = block(x, style, width)
        x, indices = MaxPoolingWithIndices()(features)
        seen.append((features, indices))
    x = L.SpatialDropout2D(settings.dropout)(x)
    for level in reversed(range(settings.depth)):
        features, indices = seen[level]
        x = MaxUnpooling()([x, indices])
        if settings.encoder_addition:
            x = L.Add()([x, features])
        x = convolution(convolution(x, style, filters[level]), style, filters[max(level - 1, 0)])
    return logits(x, style, classes)


def deeplab(x: Any, style: Style, settings: Settings, classes: int) -> Any:
    """DeepLab V3+ (Chen et al. 2018): backbone, atrous spatial pyramid, and a decoder that sees fine features."""
    light, height = settings.backbone == "separable", x.shape[1]
    fine, coarse = (resnet_v2 if settings.backbone == "resnet_v2" else backbone)(x, style, settings)
    reach = 16 / settings.output_stride * min(1, max(x.shape[1:3]) / 513)  # not far past a small image's edges
    rates = tuple(max(1, round(rate * reach)) for rate in RATES)
    x = AtrousSpatialPyramidPooling(settings.widest, rates, separable=light, activation=style.activation,
                                    dropout=settings.dropout)(coarse)
    width = settings.width * settings.decoder_stride  # twice the size, half the filters
    x = L.UpSampling2D(fine.shape[1] // x.shape[1], interpolation="bilinear")(convolution(x, style, width, 1))
    x = L.Concatenate()([x, convolution(fine, style, width, 1)])
    x = BLOCKS["separable" if light else "plain"](x, style, width)
    x = logits(x, style, classes)
    if x.shape[1] == height:
        return x
    return L.UpSampling2D(height // x.shape[1], interpolation="bilinear", dtype="float32")(x)


def backbone(x: Any, style: Style, settings: Settings) -> tuple[Any, Any]:
    """(features at the decoder's stride, features at the output stride); atrous where a halving is left out."""
    block = BLOCKS["separable" if settings.backbone == "separable" else "residual"]
    seen = {1: convolution(x, style, settings.width, 3)} if settings.decoder_stride == 1 else {}
    x = seen[2] = convolution(seen.get(1, x), style, settings.width, 3, 2)
    stride, rate = 2, 1
    for level in range(1, 5):
        width = min(settings.width * 2**level, settings.widest)
        halve = 2 if stride < settings.output_stride else 1
        rate, stride = rate if halve == 2 else 2 * rate, stride * halve
        x = block(x, style, width, halve)
        for _ in range(settings.depth - 1):
            x = L.Add()([x, block(x, style, width, 1, rate)])
        seen[stride] = x
    return seen[settings.decoder_stride], x


def resnet_v2(x: Any, style: Style, settings: Settings) -> tuple[Any, Any]:
    """keras-cv's ResNet V2 of random weights, its last stages atrous at output stride 8."""
    from keras_cv.models import ResNetV2Backbone
    # its stem has 64 filters, and a first stage of basic blocks must have as many
    widths = [64, *(min(settings.width * 2**level, settings.widest) for level in (2, 3))]
    coarse = settings.output_stride == 16
    body = ResNetV2Backbone(stackwise_filters=widths, stackwise_blocks=[max(2, settings.depth)] * 3,
                            stackwise_strides=[1, 2, 2 if coarse else 1],
                            stackwise_dilations=[1, 1, 1 if coarse else 2], block_type="basic_block",
                            include_rescaling=False, input_shape=x.shape[1:])
    # of each stride the last features, but those at the output's end come normalised and activated
    by_stride = {x.shape[1] // layer.output.shape[1]: layer.output for layer in body.layers}
    return keras.Model(body.input, [by_stride[settings.decoder_stride], body.output], name="resnet_v2")(x)


NETWORKS: dict[str, Callable[..., Any]] = {"unet": unet, "segnet": segnet, "deeplab": deeplab}

"""What goes into a pipeline and comes out, by name: the one description that all artifacts share."""

from dataclasses import dataclass

import numpy as np

from shared.errors import UserError

DTYPES = ("float32", "int32", "uint8")  # all that browsers and phones take


@dataclass(frozen=True)
class Tensor:
    """Shape without the batch axis (None: any length) and dtype of one named input or output."""

    shape: tuple[int | None, ...]
    dtype: str


def check_raw(raw: dict[str, np.ndarray], inputs: dict[str, Tensor]) -> None:
    """Raises UserError where a batch of raw inputs does not fit a signature; LiteRT never casts."""
    for name, spec in inputs.items():
        if name not in raw:
            raise UserError(f"The model wants an input '{name}', but the data have only {', '.join(sorted(raw))}.")
        array = raw[name]
        fits = array.ndim == len(spec.shape) + 1 and all(
            want in (None, got) for want, got in zip(spec.shape, array.shape[1:], strict=True))
        if not fits or array.dtype != np.dtype(spec.dtype):
            raise UserError(f"The model takes '{name}' as {spec.dtype} {list(spec.shape)}, "
                            f"but this data gives {array.dtype} {list(array.shape[1:])}.")

"""What `--from` buys: few images of other digits, starting from a network trained on MNIST, against training anew.

    python -m benchmarks.transfer SOURCE --run RUN_ON_MNIST [--images 200] [--seeds 3]

SOURCE is a folder or a tar file with X_kannada_MNIST_test-idx3-ubyte.gz and y_kannada_MNIST_test-idx1-ubyte.gz: the
10,000 images of the test file of Kannada-MNIST (V. U. Prabhu 2019, arXiv:1908.01242), from the GitHub repository
vinayprabhu/Kannada_MNIST, folder data/output_tensors/MNIST_format. `--images` of them, drawn by the seed with every
class in its share, are trained on (a fifth of them to choose the epoch by); all others are the test split. The command
for each training is printed, so that it can be typed by hand.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.prepare_mnist import idx

FLAGS = "--model allconv --epochs 40 --batch-size 16 --learning-rate 0.001 --dropout 0.3 --validation 0.2"


def write_folders(images: np.ndarray, labels: np.ndarray, count: int, seed: int, folder: Path) -> None:
    """Class folders `train` (`count` images) and `test` (all others)."""
    random = np.random.default_rng(seed)
    chosen = {index for label in range(10)
              for index in random.permutation(np.flatnonzero(labels == label))[:count // 10].tolist()}
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / ("train" if index in chosen else "test") / f"kannada {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index:05d}.png", compress_level=1)


def accuracy(flags: str, run: Path) -> float:
    """Trains and gives the accuracy on the test split."""
    def command(verb: str, arguments: str) -> str:
        line = [sys.executable, "-m", "apps", "mnist", verb, *shlex.split(arguments)]
        print("$ pocketconv", *line[3:], flush=True)
        done = subprocess.run(line, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout
    command("fit", f"{flags} --run {run}")
    return json.loads(command("evaluate", f"--artifact {run} --json"))["metrics"]["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="a run of --model allconv on MNIST")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    images = idx(args.source, "X_kannada_MNIST_test-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = idx(args.source, "y_kannada_MNIST_test-idx1-ubyte.gz", 8)
    found: dict[str, list[float]] = {"from MNIST": [], "anew": []}
    with tempfile.TemporaryDirectory() as top:
        for seed in range(args.seeds):
            folder = Path(top) / f"kannada-{seed}"
            write_folders(images, labels, args.images, seed, folder)
            flags = f"{FLAGS} --data {folder} --seed {seed}"
            found["from MNIST"].append(accuracy(f"{flags} --from {args.run.resolve()}", Path(top) / f"from-{seed}"))
            found["anew"].append(accuracy(flags, Path(top) / f"anew-{seed}"))
    for name, values in found.items():
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        print(f"{name:10} {100 * np.mean(values):.2f} % ± {100 * error:.2f}   "
              f"({', '.join(f'{100 * value:.2f}' for value in values)})")
    gain = np.subtract(found["from MNIST"], found["anew"])
    print(f"gain {100 * gain.mean():.2f} points ± {100 * np.std(gain, ddof=1) / np.sqrt(len(gain)):.2f}")


if __name__ == "__main__":
    main()

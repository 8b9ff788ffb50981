"""The CRF's loss, forward and backward, here against pytorch-crf: the same numbers, interleaved, one thread each.

    python -m benchmarks.crf_speed [--torch-python PYTHON] [--rounds 30] [--batch 32] [--time 128] [--tags 17] [--xla]

Needs `pip install torch pytorch-crf`, here or in another environment whose Python is then given. Both compute the mean
negative log-likelihood of the same sequences, of which the shortest are half as long as the longest, and its gradients
by emissions and weights; that loss and gradients agree is checked first. Ours is a plain `tf.function`, as in `fit`,
or compiled by XLA. Times are wall clock; what counts is the ratio in one run, since machines differ and are shared.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

from shared.layers.crf import CRF

# Run by the other Python, which need not have this project: a round for each line it reads.
THEIRS = """
import sys, time
import numpy as np, torch
from torchcrf import CRF
torch.set_num_threads(1)
data = np.load(sys.argv[1])
crf = CRF(data["transitions"].shape[0], batch_first=True)
with torch.no_grad():
    crf.transitions.copy_(torch.tensor(data["transitions"]))
    crf.start_transitions.copy_(torch.tensor(data["first"]))
    crf.end_transitions.copy_(torch.tensor(data["last"]))
emissions = torch.tensor(data["emissions"], requires_grad=True)
labels = torch.tensor(data["labels"]).long()
mask, labels = labels >= 0, labels.clamp(min=0)
variables = [emissions, crf.transitions, crf.start_transitions, crf.end_transitions]
for _ in sys.stdin:
    begun = time.perf_counter()
    loss = -crf(emissions, labels, mask=mask, reduction="mean")
    gradients = torch.autograd.grad(loss, variables)
    print(time.perf_counter() - begun, loss.item(), *(g.abs().sum().item() for g in gradients), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default=sys.executable, help="Python of an environment with pytorch-crf")
    parser.add_argument("--rounds", type=int, default=30, help="timed rounds of each, after three to warm up")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--time", type=int, default=128, help="longest sequence")
    parser.add_argument("--tags", type=int, default=17)
    parser.add_argument("--xla", action="store_true", help="compile ours by XLA")
    args = parser.parse_args()
    there = subprocess.run([args.torch_python, "-c", "import torch, torchcrf"], capture_output=True)
    if there.returncode:
        raise SystemExit(f"{args.torch_python} has no pytorch-crf: pip install torch pytorch-crf there, or give "
                         "--torch-python the Python of an environment that has it.")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    random = np.random.default_rng(0)
    crf = CRF(args.tags)
    crf.build((None, None, args.tags))
    crf.set_weights([random.normal(size=weight.shape) / 2 for weight in crf.weights])
    lengths = random.integers(args.time // 2, args.time + 1, args.batch)
    lengths[0] = args.time
    drawn = random.integers(0, args.tags, (args.batch, args.time))
    labels = tf.constant(np.where(np.arange(args.time) < lengths[:, None], drawn, -1), tf.int32)
    emissions = tf.constant(random.normal(size=(args.batch, args.time, args.tags)), tf.float32)

    @tf.function(autograph=False, jit_compile=args.xla)
    def step(labels, emissions):
        variables = [emissions, *(weight.value for weight in crf.weights)]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            loss = -tf.reduce_mean(crf.log_likelihood(labels, emissions))
        return loss, tape.gradient(loss, variables)

    def ours() -> list[float]:
        begun = time.perf_counter()
        loss, gradients = step(labels, emissions)
        loss = loss.numpy()
        took = time.perf_counter() - begun
        return [took, loss, *(float(tf.reduce_sum(tf.abs(tf.convert_to_tensor(g)))) for g in gradients)]

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        names = [weight.name for weight in crf.weights]
        np.savez(data, labels=labels, emissions=emissions, **dict(zip(names, crf.get_weights(), strict=True)))
        # Idle threads of PyTorch would otherwise spin and slow both.
        child = subprocess.Popen([args.torch_python, "-c", THEIRS, data], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"})
        asked, answered = child.stdin, child.stdout
        assert asked and answered

        def theirs() -> list[float]:
            print(file=asked, flush=True)
            return [float(number) for number in answered.readline().split()]

        np.testing.assert_allclose(ours()[1:], theirs()[1:], rtol=1e-3)
        times = np.array([[theirs()[0], ours()[0]] for _ in range(args.rounds + 3)])[3:] * 1000
        asked.close()
        child.wait()
    ratio = times[:, 1] / times[:, 0]
    print(f"({args.batch}, {args.time}, {args.tags}), loss and gradients agree")
    for name, column in zip(("pytorch-crf", "ours, XLA" if args.xla else "ours"), times.T, strict=True):
        print(f"{name:12} median {np.median(column):7.2f} ms   least {column.min():7.2f} ms")
    print(f"{np.median(ratio):.2f} of pytorch-crf's time (least {ratio.min():.2f}, most {ratio.max():.2f} of "
          f"{args.rounds} rounds)")


if __name__ == "__main__":
    main()

"""How training scales over processes: samples a second with one process and with two.

    python benchmarks/processes.py                  # an MLP and a ResNet-18
    python benchmarks/processes.py --workloads mlp --rounds 7

Each process has one thread and a batch of its own; their gradients are added up by a store of type
'dist_sync'. One process, two at a time that share nothing (the most that the machine can do), and
two that train together run in turns, and the median of the rounds counts. It needs mpi4py and an
MPI library: pip install mpi4py mpich.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

# Programs at the same time, processes of each, and what that is.
KINDS = ((1, 1, "one process"), (2, 1, "two that share nothing"), (1, 2, "two processes"))


def mlp(mx):
    """784 -> 1024 -> 1024 -> 10, a batch of 128: 1.9 million weights, 7.3 MiB."""
    net = mx.gluon.nn.HybridSequential()
    for units in (1024, 1024):
        net.add(mx.gluon.nn.Dense(units, activation="relu"))
    net.add(mx.gluon.nn.Dense(10))
    return net, (128, 784)


def resnet18(mx):
    """ResNet-18 for ImageNet, a batch of 8 images of 112 x 112: 11.7 million weights, 44.6 MiB."""
    return mx.gluon.model_zoo.vision.resnet18_v1(), (8, 3, 112, 112)


WORKLOADS = {"mlp": mlp, "resnet18": resnet18}


def train(name, steps, warm_up):
    """Seconds of a step in this process: all of it, and of that what the store takes.

    A quarter of the steps are faster: other programs do not spoil all of them.
    """
    import mxtape as mx

    store = mx.kv.create("dist_sync")
    mx.random.seed(0)
    net, shape = WORKLOADS[name](mx)
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    options = {"learning_rate": 0.01, "momentum": 0.9}
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", options, kvstore=store)
    x, y = mx.nd.random.normal(shape=shape), mx.nd.arange(shape[0]) % 10
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    took, spent = [], []
    for _ in range(warm_up + steps):
        began = time.perf_counter()
        with mx.autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        before = time.perf_counter()
        trainer.step(shape[0] * store.num_workers)
        mx.nd.waitall()
        took.append(time.perf_counter() - began)
        spent.append(time.perf_counter() - before)
    if store.rank == 0:
        step, update = (sorted(times[warm_up:])[steps // 4] for times in (took, spent))
        rate = shape[0] * store.num_workers / step
        print(json.dumps({"rate": rate, "step": step, "store": update}))


def start(name, size, steps, warm_up):
    mpirun = Path(sys.executable).with_name("mpirun")
    return subprocess.Popen(
        [
            *(mpirun if mpirun.exists() else "mpirun", "-n", str(size)),
            *(sys.executable, __file__, "--inside", name, str(steps), str(warm_up)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def measure(copies, *arguments):
    """What so many programs find that run at the same time, added up where it is a rate."""
    programs = [start(*arguments) for _ in range(copies)]
    found = [json.loads(program.communicate()[0].splitlines()[-1]) for program in programs]
    return {**found[0], "rate": sum(one["rate"] for one in found)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5)
    arguments = parser.parse_args()
    for name in arguments.workloads:
        rounds = [
            [measure(n, name, size, arguments.steps, arguments.warm_up) for n, size, _ in KINDS]
            for _ in range(arguments.rounds)
        ]
        for (_, _, what), found in zip(KINDS, zip(*rounds)):
            rate, step, store = (
                statistics.median(one[key] for one in found) for key in ("rate", "step", "store")
            )
            print(
                f"{name}, {what}: {rate:.1f} samples/s, a step {1e3 * step:.1f} ms, of which "
                f"{1e3 * store:.1f} ms are the sums and the update"
            )
        one, apart, two = ([found["rate"] for found in kind] for kind in zip(*rounds))
        for what, others in (("one process", one), ("two that share nothing", apart)):
            ratio = statistics.median(x / y for x, y in zip(two, others))
            print(f"{name}: {ratio:.2f} times the samples of {what}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        train(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()

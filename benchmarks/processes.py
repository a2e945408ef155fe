"""How training scales over processes: samples a second with one process and with two.

    python benchmarks/processes.py                  # an MLP and a ResNet-18
    python benchmarks/processes.py --workloads mlp --rounds 40

Each process has one thread and a batch of its own; their gradients are added up by a store of type
'dist_sync'. One process, two at a time that share nothing (the most that the machine can do), and
two that train together are all started first; then they take turns, and wait (SIGSTOP) while
others have theirs. So a machine that is now slow and now fast is so for all of them. The median of
the rounds counts. Linux only; it needs mpi4py and an MPI library: pip install mpi4py mpich.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Programs at the same time, processes of each, and what that is.
KINDS = ((1, 1, "one process"), (2, 1, "two that share nothing"), (1, 2, "two processes"))

WARM_UP = 5  # steps


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


# With the seconds of a turn.
WORKLOADS = {"mlp": (mlp, 0.5), "resnet18": (resnet18, 4.0)}


def train(make, core):
    """Trains until it is killed, the first process on a core, the second on the one after it.

    Writes lines: the number of the process; then, by the first process, when a step began, what it
    took, and what the store took of that, in seconds.
    """
    import mxtape as mx

    print("process", os.getpid(), flush=True)
    store = mx.kv.create("dist_sync")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[(core + store.rank) % len(cores)]})
    mx.random.seed(0)
    net, shape = make(mx)
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    options = {"learning_rate": 0.01, "momentum": 0.9}
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", options, kvstore=store)
    x, y = mx.nd.random.normal(shape=shape), mx.nd.arange(shape[0]) % 10
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    while True:
        began = time.monotonic()
        with mx.autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        before = time.monotonic()
        trainer.step(shape[0] * store.num_workers)
        mx.nd.waitall()
        ended = time.monotonic()
        if store.rank == 0:
            print("step", began, ended - began, ended - before, shape[0], flush=True)


class Program:
    """A training of so many processes, which go on only in a turn, until a stack is left."""

    def __init__(self, stack, name, size, core=0):
        self._size = size
        output = tempfile.NamedTemporaryFile()  # noqa: SIM115  # the stack closes it
        self._output = stack.enter_context(output)
        self._processes: list = []
        mpirun = Path(sys.executable).with_name("mpirun")
        self._launcher = subprocess.Popen(
            [
                *(mpirun if mpirun.exists() else "mpirun", "-n", str(size)),
                *(sys.executable, __file__, "--inside", name, str(core)),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=self._output,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(self._end)
        while len(self._lines("step")) < WARM_UP:
            if self._launcher.poll() is not None:
                raise SystemExit(f"{name} with {size} processes ended, {self._launcher.returncode}")
            time.sleep(0.1)
        self._processes = [int(pid) for (pid,) in self._lines("process")]
        self.signal(signal.SIGSTOP)

    def _lines(self, kind):
        rows = [line.split() for line in Path(self._output.name).read_text().splitlines()]
        return [row[1:] for row in rows if row[:1] == [kind]]

    def signal(self, number):
        for process in self._processes:
            os.kill(process, number)

    def steps(self, turns):
        """Of each turn: samples a second, seconds of a step, and those of the store.

        A quarter of the steps are faster: other programs do not spoil all of them.
        """
        rows = [[float(number) for number in row] for row in self._lines("step")]
        for begin, end in turns:
            inside = [row for row in rows if begin < row[0] < row[0] + row[1] < end]
            if not inside:
                raise SystemExit(f"a step takes longer than a turn of {end - begin:.1f} s")
            took, spent = (sorted(row[i] for row in inside)[len(inside) // 4] for i in (1, 2))
            yield inside[0][3] * self._size / took, took, spent

    def _end(self):
        self.signal(signal.SIGKILL)
        if not self._processes:
            self._launcher.terminate()
        self._launcher.wait()


def turn(programs, seconds):
    """Has programs go on for a while; when that was."""
    for program in programs:
        program.signal(signal.SIGCONT)
    begin = time.monotonic()
    time.sleep(seconds)
    end = time.monotonic()
    for program in programs:
        program.signal(signal.SIGSTOP)
    return begin, end


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    for name in arguments.workloads:
        seconds = WORKLOADS[name][1]
        with contextlib.ExitStack() as stack:
            kinds = [
                [Program(stack, name, size, core) for core in range(copies)]
                for copies, size, _ in KINDS
            ]
            rounds = [[turn(kind, seconds) for kind in kinds] for _ in range(arguments.rounds)]
            # By kind and round, of each program.
            found = [
                list(zip(*(list(program.steps(turns)) for program in kind)))
                for kind, turns in zip(kinds, zip(*rounds))
            ]
        for (_, _, what), rows in zip(KINDS, found):
            rate = statistics.median(sum(one[0] for one in row) for row in rows)
            step, store = (statistics.median(row[0][i] for row in rows) for i in (1, 2))
            print(
                f"{name}, {what}: {rate:.1f} samples/s, a step {1e3 * step:.1f} ms, of which "
                f"{1e3 * store:.1f} ms are the sums and the update"
            )
        one, apart, two = ([sum(one[0] for one in row) for row in rows] for rows in found)
        # Who trains together waits for the slower one: its core may have less to give.
        slower = [len(row) * min(one[0] for one in row) for row in found[1]]
        whats = ("one process", "two that share nothing", "two like the slower one of these")
        for what, others in zip(whats, (one, apart, slower)):
            ratios = sorted(x / y for x, y in zip(two, others))
            low, high = (ratios[len(ratios) * i // 4] for i in (1, 3))
            print(
                f"{name}: {statistics.median(ratios):.2f} times the samples of {what}; in half of "
                f"the rounds {low:.2f} to {high:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        train(WORKLOADS[sys.argv[2]][0], int(sys.argv[3]))
    else:
        main()

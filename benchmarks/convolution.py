"""What a convolution layer costs: milliseconds of its forward pass, and of forward and backward.

    python benchmarks/convolution.py --torch-python /path/to/python

Layers in float32, without bias, under the threads that OMP_NUM_THREADS says. Libraries take turns,
round by round, so that a slow moment of the machine hits them all; each figure is the least of the
rounds, and the ratio is mxtape's to PyTorch's.
"""

import argparse
import json
import os
import sys
import time

import numpy as np
from peers import (
    LIBRARIES,
    Worker,
    WorkerFailed,
    add_peer_arguments,
    chosen,
    machine,
    print_table,
    serve,
)

# Images, channels, height and width, filters, kernel, stride, pad, groups.
LAYERS = {
    "3x3, 64 to 64": (32, 64, 56, 64, 3, 1, 1, 1),
    "1x1, 256 to 128": (16, 256, 28, 128, 1, 1, 0, 1),
    "7x7 by 2, 3 to 64": (8, 3, 112, 64, 7, 2, 3, 1),
    "3x3, 512 to 512": (16, 512, 7, 512, 3, 1, 1, 1),
    "3x3 of 96 groups": (16, 96, 28, 96, 3, 1, 1, 96),
    "3x3, one image": (1, 64, 56, 64, 3, 1, 1, 1),
}
SERIES = ("forward", "both")


def layer_function(name, library, shape):
    """Return (layer(x, w), x, w) for a library."""
    images, channels, size, filters, kernel, stride, pad, groups = shape
    x = library.variable(pattern((images, channels, size, size)))
    w = library.variable(pattern((filters, channels // groups, kernel, kernel)))
    if name == "torch":
        conv2d = library.module.nn.functional.conv2d
        return lambda: conv2d(x, w, stride=stride, padding=pad, groups=groups)
    convolution = library.module.nd.Convolution
    return lambda: convolution(
        x,
        w,
        kernel=(kernel, kernel),
        num_filter=filters,
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=groups,
        no_bias=True,
    )


def pattern(shape):
    """Return numbers between -1 and 1, the same for every library."""
    count = int(np.prod(shape))
    return np.cos(np.arange(count, dtype="float32")).reshape(shape)


def make_measure(name):
    library = LIBRARIES[name]()
    if name == "torch":
        library.module.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
        ones_like = library.module.ones_like
    else:
        ones_like = library.module.nd.ones_like
    layers, heads = {}, {}

    def measure(what, layer=None):
        if what == "about":
            return library.version
        if layer not in layers:
            layers[layer] = layer_function(name, library, LAYERS[layer])
            measure("both", layer)  # the first time, when primitives and memory are made
        run = layers[layer]
        began = time.perf_counter()
        if what == "forward":
            with library.no_record():
                run()
        else:
            with library.record():
                y = run()
            if layer not in heads:
                heads[layer] = ones_like(y)
            y.backward(heads[layer])
        library.sync()
        return 1e3 * (time.perf_counter() - began)

    return measure


def run(pythons, rounds, names):
    """Return {library: {"version", layer: {series: [ms of each round]}}}."""
    workers, results = [], {}
    try:
        for library, python in pythons.items():
            worker = Worker(__file__, library, python)
            try:
                results[library] = {"version": worker.ask(what="about")}
            except WorkerFailed as failure:
                raise SystemExit(f"{library} under {python}: {failure}") from None
            workers.append(worker)
        for layer in names:
            for series in SERIES:
                for _ in range(rounds):
                    for worker in workers:
                        ms = worker.ask(what=series, layer=layer)
                        figures = results[worker.library].setdefault(layer, {})
                        figures.setdefault(series, []).append(ms)
    finally:
        for worker in workers:
            worker.stop()
    return results


def report(results, names):
    rows = []
    for layer in names:
        row = [layer]
        for series in SERIES:
            least = {library: min(figures[layer][series]) for library, figures in results.items()}
            row += [f"{ms:.2f}" for ms in least.values()]
            both = {"mxtape", "torch"} <= least.keys()
            row.append(f"{least['mxtape'] / least['torch']:.2f}" if both else "-")
        rows.append(row)
    header = ["layer"]
    for series in SERIES:
        header += [f"{series}, {library}" for library in results] + ["ratio"]
    print_table(header, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="turns per library (9)")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    add_peer_arguments(parser)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(make_measure(arguments.worker))
        return 0
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {arguments.rounds}")
    pythons = chosen(arguments)
    print(machine())
    results = run(pythons, arguments.rounds, arguments.layers)
    report(results, arguments.layers)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

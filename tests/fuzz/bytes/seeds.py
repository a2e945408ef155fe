"""Writes what the fuzzers of the readers of bytes begin with: seeds.py FOLDER."""

import json
import sys
from pathlib import Path

import numpy as np

import mxtape as mx
from mxtape import autograd, nd

DTYPES = ("float32", "float64", "float16", "uint8", "int8", "int32", "int64", "bool")
SYMBOLS = Path(__file__).resolve().parents[2] / "conformance" / "symbols"


def arrays(folder):
    of_each = [nd.array(np.arange(6).reshape(2, 3), dtype=dtype) for dtype in DTYPES]
    nd.save(str(folder / "list"), of_each)
    nd.save(str(folder / "dict"), dict(zip(DTYPES, of_each)))
    nd.save(str(folder / "one"), nd.ones((1,)))
    nd.save(str(folder / "none"), [])
    nd.save(str(folder / "empty"), [nd.zeros((0, 3)), nd.array(2.0)])
    nd.save(str(folder / "axes"), [nd.ones((1, 2, 1, 2, 1, 2))])
    for stype in ("csr", "row_sparse"):
        some = nd.array([[0, 1, 0], [0, 0, 0], [2, 0, 3]]).tostype(stype)
        nd.save(str(folder / stype), [some, nd.sparse.zeros(stype, (2, 3)), some.astype("int64")])
    whole = (folder / "list").read_bytes()
    (folder / "cut").write_bytes(whole[: len(whole) // 2])
    # Arrays of the older versions: the first with extents of 32 bits, without a magic number.
    word = np.array([2, 2, 3, 1, 0, 0], "<u4").tobytes()
    old = np.array([0x112, 0, 1], "<u8").tobytes() + word + np.ones(6, "<f4").tobytes()
    (folder / "old").write_bytes(old + np.array([0], "<u8").tobytes())


def graphs(folder):
    x, w, b = nd.ones((2, 3)), nd.ones((4, 3)), nd.ones((4,))
    for array in (x, w, b):
        array.attach_grad()
    with autograd.record():
        layer = nd.FullyConnected(x, w, b, num_hidden=4)
        y = nd.concat(nd.Activation(layer, act_type="relu"), layer * 2 + 1, dim=1)
        z = nd.reshape(nd.slice_axis(y, axis=1, begin=0, end=4), shape=(-1,))
    (folder / "layers").write_text(autograd.get_symbol(z).tojson())
    for path in sorted(SYMBOLS.rglob("*.json"))[:40]:
        if path.stat().st_size < 8000:
            (folder / path.name).write_bytes(path.read_bytes())
    variable = {"op": "null", "name": "x", "inputs": []}
    graph = {"nodes": [variable], "arg_nodes": [0], "heads": [[0, 0, 0]]}
    (folder / "variable").write_text(json.dumps(graph))


def tensors(folder):
    for i, flags in enumerate((0, 8, 16, 32, 64, 64 + 8, 128 + 64, 2, 4)):
        body = bytes([flags, 2, 32, 2, 2, 3, 3, 1, 0, 0, 0, 0])
        (folder / str(i)).write_bytes(body)


def main():
    for name, write in {"params": arrays, "json": graphs, "dlpack": tensors}.items():
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder)


if __name__ == "__main__":
    assert mx.__version__
    main()

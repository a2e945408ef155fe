"""Makes the checkpoints that cross between mxtape and MXNet 1.9.1, and what they predict.

    python examples/module_digits.py --quick --prefix tests/conformance/checkpoints/lenet
    python make_checkpoints.py data DIGITS.npz     # under mxtape: the digits
    MXNET-PYTHON make_checkpoints.py train DIGITS.npz   # and saves examples/models/digits
    MXNET-PYTHON make_checkpoints.py predict   # what both files predict

tests/python/test_checkpoints.py loads both with mxtape and compares. Only the third epoch's network
and parameters of the first line are kept.
"""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[2] / "examples"
PREFIXES = {"lenet": (HERE / "lenet", 3), "digits": (EXAMPLES / "models" / "digits", 6)}


def images(count=7):
    """Images that do not depend on the data set."""
    return np.round(np.random.RandomState(3).random_sample((count, 1, 8, 8)) * 16) / 16


def predictions(mx, prefix, epoch):
    """What a checkpoint predicts; batches of 4, so that the last one is padded."""
    module = mx.mod.Module.load(str(prefix), epoch, label_names=["softmax_label"])
    rows = mx.io.NDArrayIter(images().astype("float32"), np.zeros(7), 4)
    module.bind(rows.provide_data, rows.provide_label, for_training=False)
    return module.predict(rows).asnumpy()


def _example(mx, digits):
    """The example's program, run by MXNet, with the digits that were written down."""
    sys.modules["mxtape"] = mx
    sys.path.insert(0, str(EXAMPLES))
    saved = np.load(digits)
    common = importlib.import_module("common")
    common.load_digits = lambda: (
        (saved["images"], saved["labels"]),
        (saved["held_out"], saved["answers"]),
    )
    return importlib.import_module("module_digits")


def main(task, digits=None):
    if task == "data":
        sys.path.insert(0, str(EXAMPLES))
        (x, y), (held_out, answers) = importlib.import_module("common").load_digits()
        np.savez(digits, images=x, labels=y, held_out=held_out, answers=answers)
        return
    import mxnet as mx

    if task == "train":
        prefix, epochs = PREFIXES["digits"]
        prefix.parent.mkdir(exist_ok=True)
        mx.random.seed(0)
        np.random.seed(0)  # noqa: NPY002 (NDArrayIter shuffles with it)
        options = types.SimpleNamespace(contexts=1, resume=0, epochs=epochs, quick=True)
        _example(mx, digits).run(options, str(prefix))
        for path in prefix.parent.glob("digits-*"):
            if path.suffix == ".states" or path.name not in (
                "digits-symbol.json",
                f"digits-{epochs:04d}.params",
            ):
                path.unlink()
    else:
        found = {name: predictions(mx, *where).tolist() for name, where in PREFIXES.items()}
        (HERE / "predictions.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

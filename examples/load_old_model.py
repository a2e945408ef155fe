"""Load a model that MXNet saved, look at it, evaluate it, and teach it something new.

    python examples/load_old_model.py                    # evaluate and fine-tune: a second
    python examples/load_old_model.py --summary          # the layers, and how many weights each has
    python examples/load_old_model.py --plot lenet       # a picture, lenet.pdf; needs graphviz
    python examples/load_old_model.py --prefix DIR/NAME --epoch 7 # another checkpoint

MXNet 1.9.1 trained `models/digits-symbol.json` and `models/digits-0006.params`, by the program
`module_digits.py`. Here its layers below the last learn another thing: whether a digit is drawn
with a loop, as 0, 6, 8 and 9 are. First only the new layer learns, from a few samples; then all do.
The program exits with status 1 if an accuracy on what is held out stays below what it should reach.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from common import accuracy_status, load_digits, require_positive

import mxtape as mx

MODEL, EPOCH = Path(__file__).with_name("models") / "digits", 6
ACCURACY, TUNED_ACCURACY = 0.96, 0.96

BATCH, SAMPLES = 50, 500
WITH_A_LOOP = (0, 6, 8, 9)
HEAD = {"epochs": 10, "learning_rate": 0.3}
WHOLE = {"epochs": 10, "learning_rate": 0.1}


def accuracy(module, images, labels):
    """The share of images for which the module's highest score is the label's."""
    scores = module.predict(mx.io.NDArrayIter(images, None, BATCH)).asnumpy()
    return float((scores.argmax(axis=1) == labels).mean())


def evaluate(symbol, arg_params, aux_params, images, labels):
    """The accuracy of a network and its parameters, bound for predictions only."""
    module = mx.mod.Module(symbol)
    rows = mx.io.NDArrayIter(images, labels, BATCH)
    module.bind(rows.provide_data, rows.provide_label, for_training=False)
    module.set_params(arg_params, aux_params)
    return accuracy(module, images, labels)


def with_new_head(symbol, below, classes):
    """The network up to an inner output, with a new last layer; and the names below it."""
    features = symbol.get_internals()[below]
    scores = mx.sym.FullyConnected(features, num_hidden=classes, name="loop")
    old = [name for name in features.list_arguments() if name != "data"]
    return mx.sym.SoftmaxOutput(scores, name="softmax"), old


def tune(symbol, arg_params, aux_params, data, plan, fixed=None):
    """Train some parameters more, those that are not fixed. Return the module."""
    module = mx.mod.Module(symbol, fixed_param_names=fixed)
    module.fit(
        mx.io.NDArrayIter(*data, BATCH),
        arg_params=arg_params,
        aux_params=aux_params,
        allow_missing=True,  # the new layer's, which the initializer gives
        initializer=mx.init.Xavier(),
        optimizer_params={"learning_rate": plan["learning_rate"], "momentum": 0.9},
        num_epoch=plan["epochs"],
    )
    return module


def same(name, one, other):
    """Whether a parameter has the same values in two dictionaries."""
    return np.array_equal(one[name].asnumpy(), other[name].asnumpy())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefix", default=str(MODEL), help="the checkpoint (MXNet's)")
    parser.add_argument("--epoch", type=int, default=EPOCH, help=f"its number ({EPOCH})")
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"to tune with ({SAMPLES})")
    parser.add_argument("--seed", type=int, default=0, help="for everything that is random (0)")
    parser.add_argument("--summary", action="store_true", help="print the layers, and stop")
    parser.add_argument("--plot", help="draw the network into this file, and stop")
    arguments = parser.parse_args()
    require_positive(parser, "samples", arguments.samples)

    symbol, arg_params, aux_params = mx.model.load_checkpoint(arguments.prefix, arguments.epoch)
    if arguments.summary:
        mx.viz.print_summary(symbol, shape={"data": (1, 1, 8, 8)})
        return 0
    if arguments.plot:
        print(mx.viz.plot_network(symbol, shape={"data": (1, 1, 8, 8)}).render(arguments.plot))
        return 0

    mx.random.seed(arguments.seed)
    np.random.seed(arguments.seed)  # noqa: NPY002 (NDArrayIter shuffles with it)
    (images, labels), (held_out, answers) = (
        (scans.reshape((-1, 1, 8, 8)), digits) for scans, digits in load_digits()
    )
    weights = sum(value.size for value in arg_params.values())
    print(f"{arguments.prefix}: {len(arg_params)} parameters, {weights} weights")
    before = evaluate(symbol, arg_params, aux_params, held_out, answers)
    print(f"which digit, as MXNet trained it:     {100 * before:.2f} % of {len(answers)} held out")

    loops, answers = (np.isin(digits, WITH_A_LOOP) * 1.0 for digits in (labels, answers))
    data = images[: arguments.samples], loops[: arguments.samples]
    network, old = with_new_head(symbol, "tanh3_output", classes=2)
    head = tune(network, arg_params, aux_params, data, HEAD, fixed=old)
    print(f"with a loop or not, new layer only:   {100 * accuracy(head, held_out, answers):.2f} %")
    new_arg, new_aux = head.get_params()
    changed = [n for n in old if not same(n, arg_params, new_arg)]
    whole = tune(network, new_arg, new_aux, data, WHOLE)
    after = accuracy(whole, held_out, answers)
    print(f"with a loop or not, all layers tuned: {100 * after:.2f} %")

    if changed:
        print(f"the layers that were fixed have changed: {', '.join(changed)}")
        return 1
    return accuracy_status(before, ACCURACY) or accuracy_status(after, TUNED_ACCURACY)


if __name__ == "__main__":
    sys.exit(main())

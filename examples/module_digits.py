"""Train a LeNet on handwritten digits with `Module.fit`, as MXNet programs do.

    python examples/module_digits.py                     # 12 epochs
    python examples/module_digits.py --quick             # 3 epochs, to see that everything works
    python examples/module_digits.py --contexts 2        # each batch shared out over two contexts
    python examples/module_digits.py --prefix /tmp/lenet # keep the checkpoints there
    python examples/module_digits.py --prefix /tmp/lenet --resume 4 # go on after epoch 4

The data are the 1,797 scanned digits of 8 x 8 pixels that come with scikit-learn; a fifth of them
is held out. After every epoch the network, its parameters and the optimizer's states are saved;
MXNet 1.9.1 loads them too. The program exits with status 1 if the accuracy on what is held out
stays below what the run should reach, or if the last checkpoint, loaded again, predicts otherwise.
"""

import argparse
import logging
import os
import sys
import tempfile

import numpy as np
from common import accuracy_status, load_digits, parse_arguments, require_resumable

import mxtape as mx

FULL_EPOCHS, FULL_ACCURACY = 12, 0.97
QUICK_EPOCHS, QUICK_ACCURACY = 3, 0.9

BATCH = 64
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4


def lenet(filters=(12, 24), hidden=48, classes=10):
    """8 x 8 pixels -> filters -> 4 x 4 -> more filters -> 2 x 2 -> hidden -> scores."""
    x = mx.sym.Variable("data")
    for i, count in enumerate(filters, 1):
        x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=count, name=f"conv{i}")
        x = mx.sym.Activation(x, act_type="tanh", name=f"tanh{i}")
        x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name=f"pool{i}")
    x = mx.sym.FullyConnected(mx.sym.Flatten(x, name="flat"), num_hidden=hidden, name="fc1")
    x = mx.sym.Activation(x, act_type="tanh", name="tanh3")
    x = mx.sym.FullyConnected(x, num_hidden=classes, name="fc2")
    return mx.sym.SoftmaxOutput(x, name="softmax")


def iterators():
    """What to learn from, shuffled, and what is held out, in batches; the last one is padded."""
    (images, labels), (held_out, answers) = load_digits()
    train = mx.io.NDArrayIter(images.reshape((-1, 1, 8, 8)), labels, BATCH, shuffle=True)
    test = mx.io.NDArrayIter(held_out.reshape((-1, 1, 8, 8)), answers, BATCH)
    return train, test, answers


def accuracy_of(module, test, answers):
    """The accuracy; unlike `module.score` it does not count what pads the last batch."""
    return float((module.predict(test).asnumpy().argmax(axis=1) == answers).mean())


def fit(module, train, test, epochs, prefix, resume):
    """Train, and save a checkpoint after each epoch."""
    steps = len(train.idx) // BATCH + 1
    schedule = mx.lr_scheduler.FactorScheduler(steps * 4, factor=0.5, base_lr=LEARNING_RATE)
    module.fit(
        train,
        eval_data=test,
        eval_metric=["acc", "ce"],
        initializer=mx.init.Xavier(),
        optimizer_params={
            "learning_rate": LEARNING_RATE,
            "momentum": MOMENTUM,
            "wd": WEIGHT_DECAY,
            "lr_scheduler": schedule,
        },
        batch_end_callback=mx.callback.Speedometer(BATCH, frequent=10),
        epoch_end_callback=mx.callback.module_checkpoint(
            module, prefix, save_optimizer_states=True
        ),
        begin_epoch=resume,
        num_epoch=epochs,
    )


def run(arguments, prefix):
    train, test, answers = iterators()
    context = [mx.cpu(i) for i in range(arguments.contexts)]
    if arguments.resume:
        module = mx.mod.Module.load(
            prefix, arguments.resume, load_optimizer_states=True, context=context
        )
    else:
        module = mx.mod.Module(lenet(), context=context)
    fit(module, train, test, arguments.epochs, prefix, arguments.resume)

    accuracy = accuracy_of(module, test, answers)
    print(f"held-out accuracy {100 * accuracy:.2f} %")
    again = mx.mod.Module.load(prefix, arguments.epochs)
    again.bind(test.provide_data, test.provide_label, for_training=False)
    if not np.allclose(again.predict(test).asnumpy(), module.predict(test).asnumpy(), atol=1e-5):
        print("the checkpoint, loaded again, predicts otherwise")
        return 1
    return accuracy_status(accuracy, QUICK_ACCURACY if arguments.quick else FULL_ACCURACY)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contexts", type=int, default=1, help="how many share each batch (1)")
    parser.add_argument("--prefix", help="where to keep checkpoints (nowhere)")
    parser.add_argument("--resume", type=int, default=0, help="the epoch to go on after")
    enough = f", and {100 * QUICK_ACCURACY:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    if arguments.contexts < 1:
        parser.error(f"--contexts must be at least 1, not {arguments.contexts}")
    require_resumable(parser, arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    mx.random.seed(arguments.seed)
    np.random.seed(arguments.seed)  # noqa: NPY002 (NDArrayIter shuffles with it)
    with tempfile.TemporaryDirectory() as folder:
        return run(arguments, arguments.prefix or os.path.join(folder, "lenet"))


if __name__ == "__main__":
    sys.exit(main())

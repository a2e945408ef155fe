"""What the examples share: the command line, the scanned digits, the tumours, a progress bar, Adam,
derivatives, and steps of Gluon networks."""

import hashlib
import math
import sys

import numpy as np

from mxtape import autograd, nd

SPLIT_SEED = 0  # the same samples are held out in every run, whatever --seed is


def parse_arguments(parser, unit, meaning, full, quick, goal=""):
    """Add --UNIT, a count, --seed and --quick to the parser, and read the command line.

    The count is `full` when it is not given, `quick` with --quick.
    """
    parser.add_argument(f"--{unit}", type=int, help=f"{meaning} ({full})")
    parser.add_argument("--seed", type=int, default=0, help="for everything that is random (0)")
    parser.add_argument("--quick", action="store_true", help=f"{quick} {unit}{goal}")
    arguments = parser.parse_args()
    count = getattr(arguments, unit)
    if count is None:
        count = quick if arguments.quick else full
        setattr(arguments, unit, count)
    require_positive(parser, unit, count)
    return arguments


def require_positive(parser, unit, count):
    if count < 1:
        parser.error(f"--{unit} must be at least 1, not {count}")


def require_resumable(parser, arguments):
    """Refuse a --resume that names no epoch, or has no --prefix."""
    if not 0 <= arguments.resume < arguments.epochs:
        parser.error(f"--resume must be less than the {arguments.epochs} epochs")
    if arguments.resume and not arguments.prefix:
        parser.error("--resume needs the --prefix of the checkpoints")


def split(*arrays):
    """Shuffle arrays alike. Return four fifths of each to learn from, and a fifth held out."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(arrays[0]))
    held_out = len(order) // 5
    return tuple(tuple(a[part] for a in arrays) for part in (order[held_out:], order[:held_out]))


def load_digits():
    """Return (images, labels) to train on and (images, labels) held out, as NumPy arrays.

    Images are float32 of shape (n, 64) in 0..1, labels float32 of shape (n,).
    """
    from sklearn.datasets import load_digits as load

    scans = load()
    return split((scans.data / 16).astype("float32"), scans.target.astype("float32"))


def load_tumours():
    """Return (features, signs) to learn from and (features, signs) held out, float64.

    Features have mean 0 and deviation 1, and a last column of ones; signs are 1 (benign) and -1.
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    parts = split(data.data, 2.0 * data.target - 1)
    learnt = parts[0][0]
    mean, deviation = learnt.mean(axis=0), learnt.std(axis=0)

    def arrays(features, signs):
        features = np.column_stack([(features - mean) / deviation, np.ones(len(signs))])
        return [nd.array(v, dtype="float64") for v in (features, signs)]

    return [arrays(*part) for part in parts]


def batches(count, size):
    """The slices that cut `count` samples into batches; the last one may be smaller."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class Adam:
    def __init__(self, weights, learning_rate, weight_decay=0.0):
        self.weights, self.steps = weights, 0
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.means = [nd.zeros_like(w) for w in weights]
        self.variances = [nd.zeros_like(w) for w in weights]

    def step(self, share, rescale_grad=1.0):
        """Move every weight; `share` is what is left of the learning rate."""
        self.steps += 1
        # The averages start from zero: their first values are too small by known factors.
        start = math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for w, mean, variance in zip(self.weights, self.means, self.variances):
            nd.adam_update(
                w,
                w.grad,
                mean,
                variance,
                lr=self.learning_rate * share * start,
                wd=self.weight_decay,
                rescale_grad=rescale_grad,
                out=w,
            )


def show_digits(drawings):
    """Print images of shape (n, 64), in 0..1, side by side, in characters."""
    shades = np.array(list(" .:-=+*#%@"))
    rows = shades[(drawings.reshape((-1, 8, 8)) * 9.99).astype(int)]
    for i in range(8):
        print("  ".join("".join(np.repeat(drawing[i], 2)) for drawing in rows))


class ProgressBar:
    """One line that redraws itself on a terminal, and a plain line now and then elsewhere."""

    def __init__(self, total, stream=None, width=28):
        self.total, self.width = total, width
        self.stream = sys.stdout if stream is None else stream
        self.every = max(1, total // 8)

    def update(self, done, text):
        if self.stream.isatty():
            filled = self.width * done // self.total
            bar = "█" * filled + "░" * (self.width - filled)
            end = "\n" if done == self.total else ""
            self.stream.write(f"\repoch {done:3}/{self.total} {bar} {text}{end}")
        elif done % self.every == 0 or done == self.total:
            self.stream.write(f"epoch {done:3}/{self.total}  {text}\n")
        self.stream.flush()


def take_step(trainer, loss_of, *batch, before=lambda: None):
    """Move a Gluon network's weights against the gradient of a loss. Return the loss, per sample.

    `loss_of(*batch)` gives a loss for each sample; the trainer takes their mean's gradient.
    `before` is called when the gradients are there, those of the sum, and may change them.
    """
    with autograd.record():
        loss = loss_of(*batch)
    loss.backward()
    before()
    trainer.step(loss.shape[0])
    return loss


def train_epoch(trainer, batches, loss_of):
    """Take a step for each batch. Return the mean loss."""
    total = count = 0
    for batch in batches:
        loss = take_step(trainer, loss_of, *batch)
        total, count = total + loss.sum().asscalar(), count + loss.shape[0]
    return float(total / count)


def digest(parameters):
    """Eight letters that tell whether Gluon parameters have the same bits."""
    whole = hashlib.sha256()
    for parameter in parameters.values():
        whole.update(parameter.data().astype("float32").asnumpy().tobytes())
    return whole.hexdigest()[:8]


def accuracy_status(accuracy, required):
    """The status to exit with, which an accuracy below the one required makes a failure."""
    if accuracy < required:
        print(f"that is less than the {100 * required:g} % that this run should reach")
        return 1
    return 0


def gradient(objective, x):
    """Return the objective at x, of shape (1,), and its gradient, as NumPy arrays."""
    with autograd.record():
        loss = objective(x)
    loss.backward()
    return loss.asscalar(), x.grad.asnumpy()


def gradient_and_hessian(objective, x):
    """The same, and the matrix of second derivatives: one more backward for each of its rows."""
    with autograd.record():
        loss = objective(x)
        first = autograd.grad(loss, x, create_graph=True)[0]
        elements = [first[i : i + 1] for i in range(len(first))]
    rows = [autograd.grad(element, x, retain_graph=True)[0] for element in elements]
    return loss.asscalar(), first.asnumpy(), nd.stack(*rows).asnumpy()


def walk_downhill(objective, x, aim, length, limit, tolerance, report, slack=0.0):
    """Change x in place until no element of the objective's slope exceeds the tolerance.

    `aim(x, length)` returns loss, slope, a direction and how far to try it first, after a step of
    `length`. Half of that is tried next, until the loss falls as it should. Return the loss, the
    steps taken, and whether it is a minimum.
    """
    for step in range(limit + 1):
        loss, slope, direction, length = aim(x, length)
        report(step, loss, slope)
        if abs(slope).max() < tolerance or step == limit:
            break
        here = x.asnumpy()
        while length > 1e-12:
            x[:] = nd.array(here + length * direction, dtype="float64")
            target = loss + 1e-4 * length * (direction @ slope) + slack * loss
            if objective(x).asscalar() <= target:
                break
            length /= 2
    return loss, step, abs(slope).max() < tolerance

"""Fit a Gaussian process to real data by Newton's method, with exact second derivatives.

    python examples/gaussian_process.py                      # Newton's method
    python examples/gaussian_process.py --method gradient    # first derivatives only, to compare

The data are the 442 patients of the diabetes study that comes with scikit-learn: body mass index,
and how far the disease went in a year. The process says what to expect at each index and how
sure that is. It has three numbers to be found: amplitude, length scale and noise. They minimise the
negative log likelihood, a function of Cholesky factors (`nd.linalg.potrf`, `trsm`, `sumlogdiag`)
whose gradient and Hessian come from `autograd`: the Hessian is the gradient of the gradient.

A fifth of the patients is held out. The program checks its likelihood against scikit-learn's own,
and exits with status 1 if they differ, or if it does not come to a minimum. It needs scikit-learn.
"""

import argparse
import math
import sys
import time

import numpy as np
from common import gradient, gradient_and_hessian, require_positive, split, walk_downhill

from mxtape import nd

NAMES = ("amplitude", "length scale", "noise")
START = (0.5, 0.5, 0.2)
TOLERANCE = 1e-6  # of the gradient's largest element, at a minimum


def load_patients():
    """Return (x, y) to learn from and (x, y) held out: float64, standardised, of shape (n, 1)."""
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True)
    parts = split(features[:, 2:3], target[:, None])
    learnt = parts[0]
    return [
        [nd.array((v - of.mean()) / of.std(), dtype="float64") for v, of in zip(part, learnt)]
        for part in parts
    ]


class GaussianProcess:
    """A process with a squared exponential kernel; `theta` holds the logarithms of its numbers."""

    def __init__(self, x, y):
        self.x, self.y = x, y
        self.squares = squared_distances(x, x)
        self.eye = nd.eye(x.shape[0], dtype="float64")

    def kernel(self, theta, squares):
        amplitude, scale, _ = (nd.exp(theta[i : i + 1]).reshape((1, 1)) for i in range(3))
        return amplitude * amplitude * nd.exp(squares / (-2.0 * scale * scale))

    def covariance(self, theta):
        noise = nd.exp(theta[2:3]).reshape((1, 1))
        return self.kernel(theta, self.squares) + noise * noise * self.eye

    def loss(self, theta):
        """Return the negative log likelihood of the data, shape (1,)."""
        factor = nd.linalg.potrf(self.covariance(theta))
        white = nd.linalg.trsm(factor, self.y)
        constant = 0.5 * self.x.shape[0] * math.log(2 * math.pi)
        return 0.5 * (white * white).sum() + nd.linalg.sumlogdiag(factor) + constant

    def predict(self, theta, x):
        """Return mean and variance of what would be observed at `x`."""
        factor = nd.linalg.potrf(self.covariance(theta))
        across = nd.linalg.trsm(factor, self.kernel(theta, squared_distances(self.x, x)))
        mean = nd.linalg.gemm2(across, nd.linalg.trsm(factor, self.y), transpose_a=True)
        known = (across * across).sum(axis=0)
        return mean, (nd.exp(2 * theta[0:1]) + nd.exp(2 * theta[2:3]) - known).reshape((-1, 1))


def squared_distances(a, b):
    return nd.square(a - b.reshape((1, -1)))


def newton_direction(slope, hessian):
    """Minus hessian^-1 slope; away from a minimum, with every curvature taken as positive."""
    vectors, curvatures = (
        found.asnumpy() for found in nd.linalg.syevd(nd.array(hessian, dtype="float64"))
    )
    curvatures = np.abs(curvatures)
    return -vectors.T @ (vectors @ slope / np.maximum(curvatures, 1e-3 * curvatures.max()))


def fit(process, method, limit, report):
    """Walk downhill from START. Return (theta, loss, steps taken, whether it is a minimum)."""
    theta = nd.array(np.log(START), dtype="float64")
    theta.attach_grad()

    def aim(theta, length):
        if method == "newton":
            loss, slope, hessian = gradient_and_hessian(process.loss, theta)
            direction, length = newton_direction(slope, hessian), 1.0
        else:
            loss, slope = gradient(process.loss, theta)
            direction, length = -slope, 2 * length
        # No step of more than 1 in the logarithms.
        return loss, slope, direction / max(1.0, abs(direction).max()), length

    found = walk_downhill(process.loss, theta, aim, 1e-2, limit, TOLERANCE, report)
    return theta, *found


def reference_loss(process, theta):
    """The same likelihood as scikit-learn computes it."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    amplitude, scale, noise = np.exp(theta.asnumpy())
    kernel = ConstantKernel(amplitude**2) * RBF(scale) + WhiteKernel(noise**2)
    regressor = GaussianProcessRegressor(kernel, optimizer=None)
    regressor.fit(process.x.asnumpy(), process.y.asnumpy()[:, 0])
    return -regressor.log_marginal_likelihood_value_


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=("newton", "gradient"), default="newton")
    parser.add_argument("--steps", type=int, help="at most (newton 30, gradient 300)")
    arguments = parser.parse_args()
    limit = arguments.steps
    if limit is None:
        limit = 30 if arguments.method == "newton" else 300
    require_positive(parser, "steps", limit)

    train, test = load_patients()
    process = GaussianProcess(*train)
    print(f"{len(train[1])} patients to learn from, {len(test[1])} held out; {arguments.method}")

    def report(step, loss, slope):
        if arguments.method == "newton" or step % 20 == 0:
            print(f"step {step:3}  loss {loss:.9f}  largest slope {abs(slope).max():.2e}")

    began = time.perf_counter()
    theta, loss, steps, found = fit(process, arguments.method, limit, report)
    seconds = time.perf_counter() - began
    print(f"{steps} steps, loss {loss:.9f}, {seconds:.2f} s: {1e3 * seconds / steps:.0f} ms a step")
    print(", ".join(f"{n} {v:.6f}" for n, v in zip(NAMES, np.exp(theta.asnumpy()))))

    mean, variance = process.predict(theta, test[0])
    error = mean - test[1]
    rmse = math.sqrt(nd.square(error).mean().asscalar())
    density = (nd.square(error) / variance + nd.log(2 * math.pi * variance)).mean().asscalar() / 2
    spread = math.sqrt(nd.square(test[1]).mean().asscalar())
    inside = (nd.abs(error) <= 1.96 * nd.sqrt(variance)).mean().asscalar()
    print(f"held out: error {rmse:.4f} (the mean's: {spread:.4f}), log loss {density:.4f}")
    print(f"          {100 * inside:.0f} % of the patients are inside the 95 % interval")

    expected = reference_loss(process, theta)
    print(f"scikit-learn's loss there: {expected:.9f}")
    if abs(loss - expected) > 1e-7 * abs(expected):
        print("the two losses differ")
        return 1
    if not found:
        print(f"not a minimum after {steps} steps")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Logistic regression as an operator of one's own, minimised by Newton's method.

    python examples/custom_logistic.py                       # Newton's method
    python examples/custom_logistic.py --method chebyshev    # third derivatives too: fewer steps
    python examples/custom_logistic.py --method gradient     # first derivatives only, to compare

The data are the 569 tumours of the breast cancer data that come with scikit-learn: 30 numbers each,
and whether the tumour was benign. The whole objective, likelihood and penalty, is one operator
written in Python (`mx.operator`), with a backward pass of its own. That pass is written with `nd`
operators, so it can be differentiated in turn, and so can its gradient: `autograd` takes Hessians
and third derivatives through `nd.Custom`.

A fifth of the tumours is held out. The program checks what it found against scikit-learn's
LogisticRegression, and exits with status 1 if they differ, or if it does not come to a minimum.
"""

import argparse
import sys
import time
from functools import partial

import numpy as np
from common import (
    gradient,
    gradient_and_hessian,
    load_tumours,
    require_positive,
    walk_downhill,
)

import mxtape as mx
from mxtape import autograd, nd

PENALTY = 1.0  # times half the square of the coefficients; scikit-learn's 1 / C
TOLERANCE = 1e-8  # of the gradient's largest element, at a minimum
AGREEMENT = 1e-6  # between our coefficients and scikit-learn's
LIMITS = {"newton": 30, "chebyshev": 30, "gradient": 400}


class LogisticLoss(mx.operator.CustomOp):
    """sum of log(1 + exp(-sign * features . weights)) + penalty / 2 * |weights but the last|^2."""

    def __init__(self, penalty):
        super().__init__()
        self.penalty = penalty

    def penalised(self, weights):
        """The weights, with a zero for the last one: the intercept goes free."""
        return nd.concat(weights[:-1], nd.zeros((1,), dtype=weights.dtype), dim=0)

    def forward(self, is_train, req, in_data, out_data, aux):
        features, signs, weights = in_data
        margins = signs * nd.dot(features, weights)
        losses = nd.relu(-margins) + nd.log1p(nd.exp(-nd.abs(margins)))  # no overflow
        penalty = 0.5 * self.penalty * nd.square(self.penalised(weights)).sum()
        self.assign(out_data[0], req[0], losses.sum() + penalty)

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        features, signs, weights = in_data
        pulls = -signs * nd.sigmoid(-signs * nd.dot(features, weights))
        slope = nd.dot(features, pulls, transpose_a=True) + self.penalty * self.penalised(weights)
        self.assign(in_grad[2], req[2], nd.broadcast_mul(slope, out_grad[0]))


@mx.operator.register("logistic_loss")
class LogisticLossProp(mx.operator.CustomOpProp):
    """Describes the operator: nd.Custom(features, signs, weights, op_type="logistic_loss")."""

    def __init__(self, penalty="1"):
        super().__init__(need_top_grad=True)
        self.penalty = float(penalty)

    def list_arguments(self):
        return ["features", "signs", "weights"]

    def infer_shape(self, in_shape):
        count, width = in_shape[0]
        return [[count, width], [count], [width]], [[1]], []

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return LogisticLoss(self.penalty)


def objective(data, weights):
    """The negative log likelihood with its penalty, shape (1,)."""
    features, signs = data
    return nd.Custom(features, signs, weights, op_type="logistic_loss", penalty=PENALTY)


def third_derivative(data, weights, direction):
    """Third derivatives applied to a direction twice: the gradient of direction . H direction."""
    direction = nd.array(direction, dtype="float64")
    with autograd.record():
        first = autograd.grad(objective(data, weights), weights, create_graph=True)[0]
        along = nd.dot(first, direction)
        second = autograd.grad(along, weights, create_graph=True)[0]
        curvature = nd.dot(second, direction)
    return autograd.grad(curvature, weights)[0].asnumpy()


def solve(hessian, right):
    """Return hessian^-1 right, through the Cholesky factor: the objective is strictly convex."""
    factor = nd.linalg.potrf(nd.array(hessian, dtype="float64"))
    right = nd.array(right, dtype="float64").reshape((-1, 1))
    half = nd.linalg.trsm(factor, right)
    return nd.linalg.trsm(factor, half, transpose=True).asnumpy()[:, 0]


def fit(data, method, limit, report):
    """Walk downhill from zero. Return (weights, loss, steps taken, whether it is a minimum)."""
    weights = nd.zeros((data[0].shape[1],), dtype="float64")
    weights.attach_grad()
    loss_at = partial(objective, data)

    def aim(weights, length):
        if method == "gradient":
            loss, slope = gradient(loss_at, weights)
            return loss, slope, -slope, 2 * length
        loss, slope, hessian = gradient_and_hessian(loss_at, weights)
        direction = -solve(hessian, slope)
        if method == "chebyshev":
            bent = direction - 0.5 * solve(hessian, third_derivative(data, weights, direction))
            direction = bent if bent @ slope < 0 else direction
        return loss, slope, direction, 1.0

    # Near the minimum the fall is less than what the sum can show.
    found = walk_downhill(loss_at, weights, aim, 1e-3, limit, TOLERANCE, report, slack=1e-14)
    return weights, *found


def reference_weights(data):
    """The same minimum as scikit-learn finds it."""
    from sklearn.linear_model import LogisticRegression

    features, signs = (v.asnumpy() for v in data)
    model = LogisticRegression(C=1 / PENALTY, solver="newton-cg", tol=1e-10, max_iter=1000)
    model.fit(features[:, :-1], signs)
    return np.append(model.coef_[0], model.intercept_)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=tuple(LIMITS), default="newton")
    defaults = ", ".join(f"{name} {limit}" for name, limit in LIMITS.items())
    parser.add_argument("--steps", type=int, help=f"at most ({defaults})")
    arguments = parser.parse_args()
    limit = LIMITS[arguments.method] if arguments.steps is None else arguments.steps
    require_positive(parser, "steps", limit)

    train, test = load_tumours()
    print(f"{len(train[1])} tumours to learn from, {len(test[1])} held out; {arguments.method}")

    def report(step, loss, slope):
        if arguments.method != "gradient" or step % 100 == 0:
            print(f"step {step:3}  loss {loss:.12f}  largest slope {abs(slope).max():.2e}")

    began = time.perf_counter()
    weights, loss, steps, found = fit(train, arguments.method, limit, report)
    seconds = time.perf_counter() - began
    print(
        f"{steps} steps, loss {loss:.12f}, {seconds:.2f} s: {1e3 * seconds / steps:.1f} ms a step"
    )

    right = nd.dot(test[0], weights) * test[1] > 0
    print(f"held-out accuracy {100 * right.mean().asscalar():.2f} %")

    expected = nd.array(reference_weights(train), dtype="float64")
    apart = nd.abs(weights - expected).max().asscalar()
    print(f"scikit-learn's loss {objective(train, expected).asscalar():.12f}")
    print(f"largest difference of a coefficient {apart:.1e}")
    if not found:
        print(f"not a minimum after {steps} steps")
        return 1
    if apart > AGREEMENT:
        print("that is too much")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draw from the posterior of a logistic regression by Hamiltonian Monte Carlo.

    python examples/hamiltonian_monte_carlo.py             # 4 chains of 1000 draws
    python examples/hamiltonian_monte_carlo.py --quick     # of 300, to see that everything works

The data are the tumours of the breast cancer study that comes with scikit-learn: 30 measurements
and an intercept, each coefficient with a normal prior. A draw is a point that moves as in physics:
the energy is the negative log posterior, whose gradient from `autograd` is the force, and every
path starts with a random momentum. The four chains are the rows of one array: their energies are a
vector, and one `backward` of its sum gives the forces of all.

The first tenth is thrown away; meanwhile the step is set so that four paths of five are accepted.
Coordinates in which the Laplace approximation is a unit normal make paths short. Shown are the
acceptance, the effective sample size and R-hat (Geyer's sums; chains split in halves), and how far
means and deviations are from those of the approximation, beside the standard errors. A draw tends
to lie across from the one before, so they say more about the means than independent ones. The
program exits with status 1 if the chains have not mixed or are worth fewer than 100 draws each, or
if they do worse on tumours held out than the approximation's centre.
"""

import argparse
import sys
import time

import numpy as np
from common import gradient_and_hessian, load_tumours, parse_arguments

from mxtape import autograd, nd

FULL_DRAWS, QUICK_DRAWS = 1000, 300
CHAINS, LEAPS, WANTED = 4, 5, 0.8
PRIOR = 1.0  # deviation of each coefficient


def energies(weights, features, signs):
    """Minus the log posterior of each row of weights, but for a constant; shape (rows,)."""
    margins = nd.broadcast_mul(nd.dot(weights, features, transpose_b=True), signs.reshape((1, -1)))
    likelihood = nd.Activation(-margins, act_type="softrelu").sum(axis=1)
    return likelihood + 0.5 / PRIOR**2 * nd.square(weights).sum(axis=1)


def force(energy, places):
    """Return the energy of each row of places, and minus its gradient, as a new array."""
    places.attach_grad()
    with autograd.record():
        energy = energy(places)
    energy.backward()
    return energy, -places.grad


def leap(energy, places, momenta, push, step, count):
    """Move on the paths by `count` leapfrog steps. Return places, momenta, energies and forces."""
    for _ in range(count):
        momenta = momenta + (step / 2) * push
        places = places + step * momenta
        level, push = force(energy, places)
        momenta = momenta + (step / 2) * push
    return places, momenta, level, push


def sample(energy, places, draws, random, leaps=LEAPS, step=0.5):
    """Return draws of shape (draws, chains, n), the shares of paths accepted, and the step.

    A tenth as many draws come before, in which the step is adapted.
    """
    level, push = force(energy, places)
    kept, accepted = [], []
    warm = max(50, draws // 10)
    for i in range(-warm, draws):
        momenta = nd.array(random.normal(0, 1, places.shape), dtype="float64")
        length = step * random.uniform(0.8, 1.2)  # no path comes back to where it began
        ends = leap(energy, places, momenta, push, length, leaps)
        gain = level - ends[2] + 0.5 * (nd.square(momenta) - nd.square(ends[1])).sum(axis=1)
        gain = np.nan_to_num(gain.asnumpy(), nan=-np.inf)
        chances = np.exp(np.minimum(gain, 0))
        take = nd.array(random.uniform(size=len(chances)) < chances, dtype="float64")
        places = nd.where(take, ends[0], places)
        level, push = nd.where(take, ends[2], level), nd.where(take, ends[3], push)
        if i < 0:
            step *= np.exp((chances.mean() - WANTED) / (1 + (i + warm) / 10))
        else:
            kept.append(places.asnumpy())
            accepted.append(chances.mean())
    return np.stack(kept), np.mean(accepted), step


def r_hat(draws):
    """How much wider all half-chains together are than each alone, for every coefficient."""
    half = len(draws) // 2
    parts = np.concatenate([draws[:half], draws[-half:]], axis=1)
    within = parts.var(axis=0, ddof=1).mean(axis=0)
    between = parts.mean(axis=0).var(axis=0, ddof=1)
    return np.sqrt((half - 1) / half + between / within)


def effective_size(draws):
    """How many independent draws say as much about the mean, for every coefficient."""
    count, chains, _ = draws.shape
    centred = draws - draws.mean(axis=(0, 1))
    spectrum = np.abs(np.fft.rfft(centred, 2 * count, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, axis=0)[:count].mean(axis=1) / count
    pairs = (covariance / covariance[0])[: count // 2 * 2].reshape(count // 2, 2, -1).sum(axis=1)
    # Sums of neighbours fall and stay positive, until they are noise.
    pairs = np.minimum.accumulate(pairs * (np.minimum.accumulate(pairs, axis=0) > 0), axis=0)
    return count * chains / np.maximum(2 * pairs.sum(axis=0) - 1, 1 / np.log10(count * chains))


def laplace(energy, size, limit=30):
    """The mode, by Newton's method, and the lower factor of the inverse Hessian there."""
    w = nd.zeros((size,), dtype="float64")
    w.attach_grad()
    for _ in range(limit):
        _, slope, hessian = gradient_and_hessian(lambda w: energy(w.reshape((1, -1))), w)
        w[:] = w - nd.array(np.linalg.solve(hessian, slope), dtype="float64")
        if abs(slope).max() < 1e-9:
            break
    return w.asnumpy(), np.linalg.cholesky(np.linalg.inv(hessian))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "draws", "of each chain", FULL_DRAWS, QUICK_DRAWS)
    random = np.random.RandomState(arguments.seed)
    train, test = load_tumours()
    mode, factor = laplace(lambda w: energies(w, *train), train[0].shape[1])
    centre, scale = (nd.array(a, dtype="float64") for a in (mode.reshape(1, -1), factor.T))

    def energy(places):
        return energies(centre + nd.dot(places, scale), *train)

    start = nd.array(random.normal(0, 2, (CHAINS, len(mode))), dtype="float64")
    began = time.perf_counter()
    places, accepted, step = sample(energy, start, arguments.draws, random)
    seconds = time.perf_counter() - began
    draws = mode + places @ factor.T

    sizes, ratio = effective_size(draws), r_hat(draws).max()
    print(
        f"{CHAINS} chains of {arguments.draws} draws, {LEAPS} leaps of {step:.3f}: {seconds:.1f} s"
    )
    print(f"accepted {accepted:.1%}, largest R-hat {ratio:.4f}")
    print(f"effective sample size {sizes.min():.0f} to {sizes.max():.0f} of {CHAINS * len(draws)}")
    deviations = np.linalg.norm(factor, axis=1)
    apart = (draws.mean(axis=(0, 1)) - mode) / deviations
    wider = draws.std(axis=(0, 1)) / deviations
    print(
        f"from the Laplace approximation: means by up to {abs(apart).max():.2f} deviations "
        f"(standard error {1 / np.sqrt(sizes.min()):.2f}), deviations {wider.min():.2f} to "
        f"{wider.max():.2f} times as large"
    )
    margins = (test[0].asnumpy() @ draws.reshape(-1, len(mode)).T) * test[1].asnumpy()[:, None]
    chances = (1 / (1 + np.exp(-margins))).mean(axis=1)
    alone = 1 / (1 + np.exp(-(test[0].asnumpy() @ mode) * test[1].asnumpy()))
    losses = [-np.log(c).mean() for c in (chances, alone)]
    print(f"held out: loss {losses[0]:.4f} with all draws, {losses[1]:.4f} with the mode only")
    if not ratio <= 1.05 or sizes.min() < 100 * CHAINS:
        print("the chains have not mixed")
        return 1
    if losses[0] > losses[1]:
        print("the draws predict worse than the mode")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

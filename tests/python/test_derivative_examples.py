"""The examples of what derivatives are for: they run, and agree with what is known otherwise."""

import re

import numpy as np
import pytest

from test_examples import load, run_in_place


@pytest.fixture
def scans():
    return pytest.importorskip("sklearn")


@pytest.fixture
def wave():
    pytest.importorskip("scipy")
    return load("physics_informed")


def test_a_network_solves_the_equation_of_korteweg_and_de_vries(wave, monkeypatch, capsys):
    assert run_in_place("physics_informed", monkeypatch, "--quick") == 0
    errors = [float(share) for share in re.findall(r"([\d.]+)%", capsys.readouterr().out)]
    assert max(errors[:3]) < 5 < 40 < errors[3]
    assert run_in_place("physics_informed", monkeypatch, "--steps", 5) == 1
    assert "that this run should reach" in capsys.readouterr().out


def test_third_derivatives_of_the_soliton_and_of_a_network(wave):
    random = np.random.RandomState(0)
    x, t = (wave.column(random.uniform(*ends, 50)) for ends in (wave.ENDS, (0, 1)))
    network = wave.Network(random)
    with wave.autograd.record():
        assert abs(wave.residual(wave.soliton, x, t)).max().asscalar() < 1e-12
        found = [d.asnumpy() for d in wave.derivatives(network, x, t)]
    step = 1e-3
    away = [network(x + i * step, t).asnumpy() for i in (-3, -2, -1, 0, 1, 2, 3)]
    for order, weights, divisor in [
        (1, [-1, 9, -45, 0, 45, -9, 1], 60),
        (2, [2, -27, 270, -490, 270, -27, 2], 180),
        (3, [1, -8, 13, 0, -13, 8, -1], 8),
    ]:
        numeric = sum(w * u for w, u in zip(weights, away)) / (divisor * step**order)
        np.testing.assert_allclose(found[order], numeric, rtol=1e-4, atol=1e-6)


def test_the_slope_of_the_loss_that_holds_third_derivatives(wave):
    random = np.random.RandomState(1)
    problem, network = wave.Problem(random), wave.Network(random)
    here, direction = network.theta.asnumpy(), random.normal(0, 1, network.theta.shape)

    def loss(shift):
        network.theta[:] = wave.nd.array(here + shift * direction, dtype="float64")
        with wave.autograd.record():
            return problem.loss(network)

    loss(0).backward()
    slope = network.theta.grad.asnumpy() @ direction
    numeric = (loss(1e-5) - loss(-1e-5)).asscalar() / 2e-5
    assert slope == pytest.approx(numeric, rel=1e-7)


def test_a_differential_equation_is_learnt_from_spirals(monkeypatch, capsys):
    assert run_in_place("neural_ode", monkeypatch, "--quick") == 0
    shown = capsys.readouterr().out
    kept = re.findall(r"keeps (\d+) KiB.* (\d+) KiB", shown)
    assert all(int(through) > 20 * int(adjoint) for adjoint, through in kept)
    assert run_in_place("neural_ode", monkeypatch, "--steps", 1) == 1
    assert "that this run should reach" in capsys.readouterr().out


def test_the_adjoint_equation_against_another_solver():
    integrate = pytest.importorskip("scipy.integrate")
    ode = load("neural_ode")
    random = np.random.RandomState(0)
    field, start = ode.Field(random), ode.random_starts(random, 3)
    weights = [w.asnumpy() for w in field.weights]
    target = random.normal(0, 1, (5, 3, 2))
    ode.slope(field, start, ode.nd.array(target, dtype="float64"), True, 8)
    ends = ode.path(field, start, moments=5, fine=8).asnumpy()

    def reference(w1, b1, w2, b2):
        def velocity(_, y):
            y = y.reshape(-1, 2)
            return (np.tanh(y**3 @ w1.T + b1) @ w2.T + b2).ravel()

        times = np.arange(5) * ode.SPACING
        y = start.asnumpy().ravel()
        found = integrate.solve_ivp(
            velocity, times[[0, -1]], y, "DOP853", times, rtol=1e-12, atol=1e-12
        )
        return found.y.T.reshape(5, 3, 2)

    np.testing.assert_allclose(ends, reference(*weights), rtol=1e-7)
    directions = [random.normal(0, 1, w.shape) for w in weights]
    above, below = (
        np.square(reference(*[w + s * d for w, d in zip(weights, directions)]) - target).mean()
        for s in (1e-5, -1e-5)
    )
    slope = sum((w.grad.asnumpy() * d).sum() for w, d in zip(field.weights, directions))
    assert slope == pytest.approx((above - below) / 2e-5, rel=1e-6)


def test_implicit_layers_learn_and_agree_with_unrolled_ones(scans, monkeypatch, capsys):
    assert run_in_place("implicit_layers", monkeypatch, "--quick") == 0
    shown = capsys.readouterr().out
    assert all(float(apart) < 1e-9 for apart in re.findall(r"apart by (\S+)", shown))
    assert run_in_place("implicit_layers", monkeypatch, "--epochs", 1) == 1
    assert "less than the 96 %" in capsys.readouterr().out


def test_a_fixed_point_that_is_not_reached_is_an_error(scans):
    layers = load("implicit_layers")
    layer = layers.FixedPoint(lambda z: 1 - z, layers.nd.zeros((1,)))
    with pytest.raises(ArithmeticError, match="no fixed point after"):
        layer()
    assert layers.FixedPoint(layers.nd.cos, layers.nd.ones((1,)), 1e-6)().asscalar() == (
        pytest.approx(0.739085, rel=1e-5)
    )


def test_gradients_of_implicit_layers_against_differences(scans):
    layers = load("implicit_layers")
    random = np.random.RandomState(0)
    network, tumours = layers.Equilibrium(random, "float64"), layers.Tumours()
    images, labels = (layers.nd.array(a[:20], dtype="float64") for a in layers.load_digits()[0])
    for variable, loss in [
        (network.weights[0], lambda: network.loss(images, labels, layers.by_theorem)),
        (network.weights[1], lambda: network.loss(images, labels, layers.by_theorem)),
        (tumours.penalties, tumours.choose_loss),
    ]:
        loss()
        here, found = variable.asnumpy(), variable.grad.asnumpy()
        direction = here * random.normal(0, 1, here.shape)  # no sign changes: there are norms
        values = []
        for shift in (1e-5, -1e-5):
            variable[:] = layers.nd.array(here + shift * direction, dtype="float64")
            values.append(loss())
        variable[:] = layers.nd.array(here, dtype="float64")
        numeric = (values[0] - values[1]) / 2e-5
        assert (found * direction).sum() == pytest.approx(numeric, rel=1e-5)


def test_the_argmin_layer_gives_the_weights_of_scikit_learn(scans):
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    tumours = load("implicit_layers").Tumours()
    features, signs = (a.asnumpy() for a in tumours.fit)
    model = LogisticRegression(C=10 / len(signs), tol=1e-10, max_iter=1000)
    model.fit(features[:, :-1], signs)
    expected = [*model.coef_[0], model.intercept_[0]]
    np.testing.assert_allclose(tumours.weights().asnumpy(), expected, atol=1e-6)


@pytest.fixture
def monte_carlo():
    pytest.importorskip("sklearn")
    return load("hamiltonian_monte_carlo")


def test_chains_draw_from_the_posterior(monte_carlo, monkeypatch, capsys):
    assert run_in_place("hamiltonian_monte_carlo", monkeypatch, "--quick") == 0
    shown = capsys.readouterr().out
    assert 60 < float(re.search(r"accepted ([\d.]+)%", shown)[1]) < 95
    assert float(re.search(r"R-hat ([\d.]+)", shown)[1]) < 1.05
    assert run_in_place("hamiltonian_monte_carlo", monkeypatch, "--draws", 20) == 1
    assert "have not mixed" in capsys.readouterr().out


def test_draws_from_a_normal_distribution(monte_carlo):
    """The means and the covariance are known, and how far draws may be from them."""
    nd, random = monte_carlo.nd, np.random.RandomState(0)
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    inverse = nd.array(np.linalg.inv(covariance), dtype="float64")
    mean = nd.array([[3.0, -2.0]], dtype="float64")

    def energy(places):
        return 0.5 * (nd.dot(places - mean, inverse) * (places - mean)).sum(axis=1)

    draws, accepted, _ = monte_carlo.sample(energy, nd.zeros((4, 2), dtype="float64"), 1500, random)
    assert 0.6 < accepted < 0.95
    assert monte_carlo.r_hat(draws).max() < 1.01
    apart = (draws.mean(axis=(0, 1)) - [3, -2]) / np.sqrt(np.diag(covariance))
    assert (abs(apart) < 4 / np.sqrt(monte_carlo.effective_size(draws))).all()
    np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), covariance, atol=0.2)


def test_leapfrog_steps_go_back_and_keep_the_energy(monte_carlo):
    nd, random = monte_carlo.nd, np.random.RandomState(0)
    places, momenta = (nd.array(random.normal(0, 1, (3, 5)), dtype="float64") for _ in range(2))

    def energy(places):
        return (nd.square(places) + nd.cosh(places)).sum(axis=1)

    def total(level, momenta):
        return (level + 0.5 * nd.square(momenta).sum(axis=1)).asnumpy()

    level, push = monte_carlo.force(energy, places)
    drifts = []
    for count in (20, 40):
        ends = monte_carlo.leap(energy, places, momenta, push, 1 / count, count)
        drifts.append(abs(total(ends[2], ends[1]) - total(level, momenta)).max())
        back = monte_carlo.leap(energy, ends[0], -ends[1], ends[3], 1 / count, count)
        np.testing.assert_allclose(back[0].asnumpy(), places.asnumpy(), atol=1e-12)
        np.testing.assert_allclose(back[1].asnumpy(), -momenta.asnumpy(), atol=1e-12)
    assert drifts[0] / drifts[1] == pytest.approx(4, rel=0.1)  # of the second order


def test_diagnostics_of_chains(monte_carlo):
    noise = np.random.RandomState(0).normal(0, 1, (4000, 4, 1))
    assert monte_carlo.r_hat(noise)[0] == pytest.approx(1, abs=0.002)
    assert monte_carlo.r_hat(noise + np.array([[0], [0], [0], [2]]))[0] > 1.2
    assert monte_carlo.r_hat(noise + np.linspace(0, 2, 4000)[:, None, None])[0] > 1.1
    assert monte_carlo.effective_size(noise)[0] == pytest.approx(16000, rel=0.1)
    for memory in (0.8, -0.4):  # what a chain keeps of the draw before: the share is known
        chains = noise.copy()
        for i in range(1, len(chains)):
            chains[i] += memory * chains[i - 1]
        expected = 16000 * (1 - memory) / (1 + memory)
        assert monte_carlo.effective_size(chains)[0] == pytest.approx(expected, rel=0.15)


def test_the_centre_of_the_posterior_is_what_scikit_learn_finds(monte_carlo):
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    features, signs = monte_carlo.load_tumours()[0]
    mode, factor = monte_carlo.laplace(lambda w: monte_carlo.energies(w, features, signs), 31)
    model = LogisticRegression(fit_intercept=False, tol=1e-10, max_iter=1000)
    x = features.asnumpy()
    np.testing.assert_allclose(mode, model.fit(x, signs.asnumpy()).coef_[0], atol=1e-5)
    chances = 1 / (1 + np.exp(-x @ mode))
    hessian = (x * (chances * (1 - chances))[:, None]).T @ x + np.eye(31)
    np.testing.assert_allclose(factor @ factor.T @ hessian, np.eye(31), atol=1e-9)


def test_a_network_learns_to_learn_sinusoids(monkeypatch, capsys):
    assert run_in_place("meta_learning", monkeypatch, "--quick") == 0
    after = re.findall(r"inner steps: (.*)", capsys.readouterr().out)
    together, learnt = ([float(error) for error in line.split(", ")] for line in after)
    assert learnt == sorted(learnt, reverse=True)
    assert learnt[-1] < together[-1] / 2
    assert run_in_place("meta_learning", monkeypatch, "--steps", 5) == 1
    assert "as this run should reach" in capsys.readouterr().out


def test_the_gradient_through_the_inner_steps_is_exact():
    """Without second derivatives the weights' is another, by more than a tenth."""
    meta = load("meta_learning")
    random = np.random.RandomState(0)
    learner = meta.Learner(random, "float64")
    tasks = meta.random_tasks(random, 5, dtype="float64")
    here = [v.asnumpy() for v in learner.variables]
    directions = [random.normal(0, 1, v.shape) for v in here]

    def slope(second_order=True):
        learner.loss(tasks, second_order=second_order)
        return sum((v.grad.asnumpy() * d).sum() for v, d in zip(learner.variables, directions))

    exact, approximate = slope(), slope(second_order=False)
    losses = []
    for shift in (1e-5, -1e-5):
        for variable, value, direction in zip(learner.variables, here, directions):
            variable[:] = meta.nd.array(value + shift * direction, dtype="float64")
        losses.append(learner.loss(tasks))
    assert exact == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6)
    assert abs(approximate - exact) > 0.1 * abs(exact)


def test_tasks_are_learnt_side_by_side_as_they_are_alone():
    meta = load("meta_learning")
    random = np.random.RandomState(0)
    learner = meta.Learner(random, "float64")
    learn, _ = meta.random_tasks(random, 4, dtype="float64")
    together = meta.adapt(learner.weights, learner.rates, learn, 3)
    for i in range(4):
        data = [a[i : i + 1] for a in learn]
        weights = [w.copy() for w in learner.weights]
        for _ in range(3):
            for weight in weights:
                weight.attach_grad()
            with meta.autograd.record():
                error = meta.errors(weights, data)
            error.backward()
            weights = [w - r * w.grad for w, r in zip(weights, learner.rates)]
        for alone, rows in zip(weights, together):
            np.testing.assert_allclose(rows[i : i + 1].asnumpy(), alone.asnumpy(), rtol=1e-9)
        assert not np.allclose(weights[0].asnumpy(), learner.weights[0].asnumpy())


@pytest.fixture
def private(scans):
    return load("private_gradients")


def test_digits_are_learnt_in_private(private, monkeypatch, capsys):
    assert run_in_place("private_gradients", monkeypatch, "--quick") == 0
    epsilons = re.findall(r"epsilon ([\w.]+)", capsys.readouterr().out)
    assert epsilons[0] == "inf"
    assert 0.1 < float(epsilons[1]) < 5
    assert run_in_place("private_gradients", monkeypatch, "--steps", 1) == 1
    assert "less than the 92 %" in capsys.readouterr().out


def test_one_scan_moves_the_sum_by_no_more_than_the_bound(private):
    network = private.Network(np.random.RandomState(0))
    images, labels = (private.nd.array(a[:40]) for a in private.load_digits()[0])
    gradients = private.autograd.vmap(network.gradients)(images, labels)
    bound = 2.7
    sums, lengths = private.clipped_sum(gradients, bound)
    lengths = lengths.asnumpy()
    assert lengths.min() < bound < lengths.max()
    expected = 0
    for i, length in enumerate(lengths):
        row = np.concatenate([g.asnumpy()[i].ravel() for g in gradients])
        assert np.linalg.norm(row) == pytest.approx(length, rel=1e-5)
        expected += row * min(1, bound / length)
        without = [j for j in range(40) if j != i]
        others, _ = private.clipped_sum([g[without] for g in gradients], bound)
        change = np.concatenate([(a - b).asnumpy().ravel() for a, b in zip(sums, others)])
        assert np.linalg.norm(change) == pytest.approx(min(length, bound), rel=1e-4)
    found = np.concatenate([s.asnumpy().ravel() for s in sums])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_of_scans_add_up_to_that_of_their_loss(private):
    nd, network = private.nd, private.Network(np.random.RandomState(0))
    images, labels = (nd.array(a[:20]) for a in private.load_digits()[0])
    gradients = private.autograd.vmap(network.gradients)(images, labels)
    with private.autograd.record():
        loss = -nd.pick(nd.log_softmax(network(images)), labels).sum()
    loss.backward()
    for of_each, weight in zip(gradients, network.weights):
        assert of_each.shape == (20, *weight.shape)
        np.testing.assert_allclose(of_each.sum(axis=0).asnumpy(), weight.grad.asnumpy(), atol=1e-5)


@pytest.mark.parametrize(("order", "share", "noise"), [(2, 0.1, 2.0), (7, 0.1, 1.0), (12, 0.5, 3)])
def test_privacy_is_counted_as_integrals_say(order, share, noise):
    integrate = pytest.importorskip("scipy.integrate")
    private = load("private_gradients")

    def moment(x):
        density = np.exp(-(x**2) / (2 * noise**2)) / (noise * np.sqrt(2 * np.pi))
        ratio = 1 - share + share * np.exp((2 * x - 1) / (2 * noise**2))
        return density * ratio**order

    expected = np.log(integrate.quad(moment, -40, 60, limit=500)[0]) / (order - 1)
    assert private.renyi_divergence(order, share, noise) == pytest.approx(expected, rel=1e-6)
    epsilon = private.privacy(100, share, noise, 1e-5)
    assert private.privacy(100, share, 2 * noise, 1e-5) < epsilon
    assert epsilon < private.privacy(400, share, noise, 1e-5)

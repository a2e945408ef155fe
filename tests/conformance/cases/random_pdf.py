"""Densities and their gradients; shapes, dtypes and errors of the samplers of counts."""

from harness import array, case, data, gradients, values

WHY = {"rtol": 1e-5, "why": "MXNet has float32 constants and a float32 digamma in these"}
TWO = {
    "uniform": ("low", (0, 0.4), "high", (1, 2), (0.5, 0.9)),
    "normal": ("mu", (-1, 1), "sigma", (0.5, 2), (-2, 2)),
    "gamma": ("alpha", (0.5, 3), "beta", (0.5, 2), (0.2, 2)),
    "negative_binomial": ("k", (1, 4), "p", (0.2, 0.8), None),
    "generalized_negative_binomial": ("mu", (1, 4), "alpha", (0.3, 2), None),
}
ONE = {
    "exponential": ("lam", (0.5, 3), (0, 2)),
    "poisson": ("lam", (0.5, 3), None),
}


def drawn(mx, shape, bounds, seed, dtype):
    """Numbers in the bounds, or counts."""
    if bounds is None:
        return array(mx, data(shape, 0, 6, seed=seed).round().astype(dtype))
    return array(mx, data(shape, *bounds, seed=seed, dtype=dtype))


def inputs_of(mx, name, dtype, sample, params):
    bounds = [v for v in (TWO.get(name) or ONE[name]) if not isinstance(v, str)]
    made = {"x": drawn(mx, sample, bounds[-1], 701, dtype)}
    for i, each in enumerate(bounds[:-1]):
        made["ab"[i]] = drawn(mx, params, each, 702 + i, dtype)
    return made


for name in (*TWO, *ONE):
    arguments = "x, a, b" if name in TWO else "x, a"
    for dtype in ("float32", "float64"):
        for label, sample, params in (("rows ", (2, 5), (2,)), ("each ", (4,), (4,))):
            gradients(
                __name__,
                lambda mx, n=name, d=dtype, s=sample, p=params: inputs_of(mx, n, d, s, p),
                f"""
                nd.random_pdf_{name}({arguments})
                nd.random_pdf_{name}({arguments}, is_log=True)
                """,
                prefix=f"{dtype} {label}",
                **(WHY if dtype == "float64" else {}),
            )


def dirichlet(mx, dtype="float64"):
    raw = data((2, 4, 3), 0.1, 1, seed=711, dtype=dtype)
    alpha = array(mx, data((2, 3), 0.5, 3, seed=712, dtype=dtype))
    return {"x": array(mx, raw / raw.sum(axis=-1, keepdims=True)), "a": alpha}


gradients(
    __name__,
    dirichlet,
    """
    nd.random_pdf_dirichlet(x, a)
    nd.random_pdf_dirichlet(x, a, is_log=True)
    nd.random_pdf_dirichlet(x[0], a[0], is_log=True)
    """,
    **WHY,
)
values(
    __name__,
    dirichlet,
    """
    nd.random_pdf_dirichlet(x[0, 0], a[0])
    nd.random_pdf_dirichlet(x, a[:, :2])
    nd.random_pdf_dirichlet(x, a.astype('float32'))
    nd.random_pdf_normal(x, a, a)
    nd.random_pdf_normal(x, a, a[0])
    nd.random_pdf_normal(x, x, x)
    nd.random_pdf_normal(a, x, x)
    nd.random_pdf_normal(x, a.astype('float32'), a)
    nd.random_pdf_poisson(x.astype('int32'), a)
    """,
    **WHY,
)


def made(result):
    """Shapes and dtypes: the numbers are random."""
    if isinstance(result, (list, tuple)):
        return [made(r) for r in result]
    return [result.shape, result.dtype]


SAMPLERS = """
r.negative_binomial()
r.negative_binomial(3, 0.4, shape=3)
r.negative_binomial(3, 0.4, shape=(2, 2), dtype='float64')
r.negative_binomial(2.5, 0.5)
r.negative_binomial(-1, 0.5)
r.negative_binomial(1, -1)
r.negative_binomial(nd.array([3, 4]), nd.array([0.4, 0.5]), shape=3)
r.negative_binomial(nd.array([3, 4]), 0.5)
r.negative_binomial('a', 0.5)
r.negative_binomial_like(nd.ones((2, 2)), k=2, p=0.5)
r.generalized_negative_binomial()
r.generalized_negative_binomial(2.5, 0.4, shape=3)
r.generalized_negative_binomial(0, 0.4, shape=3)
r.generalized_negative_binomial(-1, 0.5)
r.generalized_negative_binomial(1, -1)
r.generalized_negative_binomial(nd.array([3, 4]), nd.array([0.4, 0.5]), shape=(2, 3))
r.generalized_negative_binomial_like(nd.ones((2, 2), dtype='float64'), mu=2, alpha=0.5)
r.multinomial(p)
r.multinomial(p[0])
r.multinomial(p[0], get_prob=True)
r.multinomial(p, shape=4)
r.multinomial(p, shape=(2, 3), get_prob=True)
r.multinomial(p, shape=())
r.multinomial(p, dtype='float32')
r.multinomial(p, dtype='uint8', get_prob=True)
r.multinomial(p, dtype='int64')
r.multinomial(p.astype('float64'), shape=2, get_prob=True)
r.multinomial(p.astype('int32'))
r.multinomial(p.reshape((1, 2, 3)), shape=2)
nd.sample_multinomial(p, shape=2)
nd.random_negative_binomial(k=3, p=0.5, shape=(2,))
nd.sample_generalized_negative_binomial(p, p, shape=(2,))
nd.contrib.rand_zipfian(nd.array([3]), 4, 5)
nd.contrib.rand_zipfian(nd.array([[3, 1, 0]], dtype='int64'), 4, 500)
nd.contrib.rand_zipfian([3], 4, 5)
"""
for line in SAMPLERS.strip().splitlines():

    @case(name=f"sampler {line}")
    def sampler(mx, line=line):
        p = mx.nd.array([[0, 0.25, 0.75], [0.5, 0.5, 0]])
        return made(eval(line, {"nd": mx.nd, "r": mx.nd.random, "p": p}))


@case
def certain_draws(mx):
    p = mx.nd.array([[0, 1, 0], [1, 0, 0]])
    p.attach_grad()
    with mx.autograd.record():
        drawn, logs = mx.nd.random.multinomial(p, shape=2, get_prob=True)
    logs.backward(mx.nd.array([[1, 2], [3, 4]]))
    zero = mx.nd.random.negative_binomial(3, 1, shape=2)
    return [drawn, logs, p.grad, zero, mx.nd.contrib.rand_zipfian(mx.nd.array([3, 0]), 4, 5)[1]]

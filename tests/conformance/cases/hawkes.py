"""Self-exciting processes, products of the columns of matrices, count sketches, Fourier."""

from harness import array, data, gradients, integers, values


def processes(dtype="float32", events=3):
    def build(mx):
        return {
            "mu": array(mx, data((2, 3), 0.5, 1.5, seed=940, dtype=dtype)),
            "alpha": array(mx, data((3,), 0.2, 0.8, seed=941, dtype=dtype)),
            "beta": array(mx, data((3,), 0.5, 2, seed=942, dtype=dtype)),
            "s": array(mx, data((2, 3), 0, 1, seed=943, dtype=dtype)),
            "lags": array(mx, data((2, events), 0.1, 0.6, seed=944, dtype=dtype)),
            "marks": array(mx, integers((2, events), 0, 3, seed=945)),
            "n": mx.nd.array([events, events - 1], dtype=dtype),
            "end": mx.nd.array([3, 2.5], dtype=dtype),
        }

    return build


CALL = "nd.contrib.hawkesll(mu, alpha, beta, s, lags, marks, n, end)"
# MXNet's gradient is of the likelihoods alone, and for the state it is 0: gradients of these are
# held against numeric differentiation, in the gradient matrix.
LIKELIHOOD = CALL + "[0]"
WRT = "mu alpha beta"
gradients(__name__, processes(), LIKELIHOOD, prefix="float32 ", wrt=WRT)
SINGLE = {"rtol": 1e-7, "why": "MXNet takes exponentials in float32"}
gradients(__name__, processes("float64"), LIKELIHOOD, prefix="float64 ", wrt=WRT, **SINGLE)
gradients(__name__, processes(), LIKELIHOOD.replace(" n,", " n * 0,"), wrt=WRT)
gradients(__name__, processes(), LIKELIHOOD.replace("end", "end * 0.1"), wrt=WRT)
values(__name__, processes(), CALL)
values(__name__, processes("float64"), CALL, prefix="float64 ", **SINGLE)
for name in ("lags", "n", "end"):
    gradients(__name__, processes(), CALL, prefix=f"of {name} ", wrt=name)
values(
    __name__,
    processes(),
    f"""
    {CALL.replace("mu", "mu[0]")}
    {CALL.replace("alpha", "alpha[:2]")}
    {CALL.replace("beta", "beta[:2]")}
    {CALL.replace(" s,", " s[:1],")}
    {CALL.replace("lags", "lags[:1]")}
    {CALL.replace("marks", "marks[:, :2]")}
    {CALL.replace(" n,", " n[:1],")}
    {CALL.replace("end", "end[:1]")}
    {CALL.replace("marks", "marks.astype('float32')")}
    {CALL.replace("alpha", "alpha.astype('float64')")}
    {CALL.replace(" n,", " n.astype('float64'),")}
    """,
)
values(__name__, processes(), CALL.replace("marks", "marks + 3"), unsafe=True)


def matrices(dtype="float32"):
    def build(mx):
        return {
            "a": array(mx, data((2, 3), seed=950, dtype=dtype)),
            "b": array(mx, data((4, 3), seed=951, dtype=dtype)),
            "c": array(mx, data((1, 3), seed=952, dtype=dtype)),
        }

    return build


for dtype in ("float32", "float64"):
    values(
        __name__,
        matrices(dtype),
        """
        nd.khatri_rao(a)
        nd.khatri_rao(a, b)
        nd.khatri_rao(a, b, c)
        nd.khatri_rao(b, c, a, b)
        """,
        prefix=f"{dtype} ",
    )
gradients(__name__, matrices(), "nd.khatri_rao(a, b)")
values(
    __name__,
    matrices(),
    """
    nd.khatri_rao(a, b[:, :2])
    nd.khatri_rao(a[0], b[0])
    nd.khatri_rao(a.reshape((1, 2, 3)), b.reshape((1, 4, 3)))
    nd.khatri_rao(a, b.astype('float64'))
    nd.khatri_rao(a.astype('int32'), b.astype('int32'))
    nd.khatri_rao()
    nd.contrib.fft(a)
    nd.contrib.ifft(b.reshape((2, 6)))
    nd.contrib.count_sketch(a, nd.array([[0, 3, 3]]), nd.array([[1, -1, 1]]), out_dim=5)
    """,
)

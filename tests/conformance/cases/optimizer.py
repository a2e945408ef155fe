"""Optimizer updates: clipping, weight decay, rescaling, out= and what is changed in place."""

from harness import array, case, data

SGD = {
    "plain": {"lr": 0.1},
    "decay": {"lr": 0.1, "wd": 0.01},
    "rescaled": {"lr": 0.1, "rescale_grad": 0.25},
    "clipped": {"lr": 0.1, "clip_gradient": 0.5},
    "clip after rescaling": {"lr": 0.1, "rescale_grad": 2.0, "clip_gradient": 0.75, "wd": 0.1},
    "clip zero": {"lr": 0.1, "clip_gradient": 0.0},
    "not lazy": {"lr": 0.1, "lazy_update": False},
}
MOMENTUM = {**{k: {**v, "momentum": 0.9} for k, v in SGD.items()}, "no momentum": {"lr": 0.1}}
ADAM = {
    **SGD,
    "betas": {"lr": 0.1, "beta1": 0.5, "beta2": 0.75},
    "epsilon": {"lr": 0.1, "epsilon": 0.1},
}


def state(mx, seed, dtype, low=-2.0):
    return array(mx, data((2, 3), low, 2, seed=seed, dtype=dtype))


def register(operator, label, arguments, dtype, states):
    options = {}
    if dtype == "float64":
        options = {"rtol": 1e-5, "why": "MXNet rounds the learning rate and its kin to float32"}

    @case(name=f"{dtype} {operator} {label} returned", **options)
    def returned(mx):
        arrays = [state(mx, 131 + i, dtype, 0.0 if i == 3 else -2.0) for i in range(2 + states)]
        result = getattr(mx.nd, operator)(*arrays, **arguments)
        return [result, arrays]

    @case(name=f"{dtype} {operator} {label} three steps in place", **options)
    def in_place(mx):
        arrays = [state(mx, 131 + i, dtype, 0.0 if i == 3 else -2.0) for i in range(2 + states)]
        for _ in range(3):
            result = getattr(mx.nd, operator)(*arrays, out=arrays[0], **arguments)
        return [result is arrays[0], arrays]


for dtype in ("float32", "float64", "float16"):
    for name, table, states in (
        ("sgd_update", SGD, 0),
        ("sgd_mom_update", MOMENTUM, 1),
        ("adam_update", ADAM, 2),
    ):
        for label, arguments in table.items():
            if dtype == "float32" or label in ("plain", "decay", "clipped"):
                register(name, label, arguments, dtype, states)


def failing(name, program):
    @case(name=name)
    def fails(mx):
        w, g = state(mx, 131, "float32"), state(mx, 132, "float32")
        return program(mx.nd, w, g)


failing("sgd_update without lr", lambda nd, w, g: nd.sgd_update(w, g))
failing("sgd_update shapes", lambda nd, w, g: nd.sgd_update(w, g[:1], lr=0.1))
failing("sgd_update dtypes", lambda nd, w, g: nd.sgd_update(w, g.astype("float64"), lr=0.1))
failing("sgd_mom_update without state", lambda nd, w, g: nd.sgd_mom_update(w, g, lr=0.1))
failing("sgd_update lr text", lambda nd, w, g: nd.sgd_update(w, g, lr="0.5"))
failing("sgd_update lr nonsense", lambda nd, w, g: nd.sgd_update(w, g, lr="fast"))
failing("sgd_update unknown", lambda nd, w, g: nd.sgd_update(w, g, lr=0.1, momentum=0.9))
failing("sgd_update on a view", lambda nd, w, g: [nd.sgd_update(w[1], g[1], lr=0.1, out=w[1]), w])
failing("sgd_update keywords", lambda nd, w, g: nd.sgd_update(weight=w, grad=g, lr=0.1))
failing(
    "adam_update out elsewhere",
    lambda nd, w, g: (lambda o, m, v: [nd.adam_update(w, g, m, v, lr=0.1, out=o), o, w, m, v])(
        nd.zeros((2, 3)), nd.zeros((2, 3)), nd.zeros((2, 3))
    ),
)

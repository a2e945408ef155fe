"""mx.initializer: names, fixed values, dumps, create, the size of random values, errors."""

import numpy as np
from harness import attempt, case, data, values

METHODS = (
    "weight bias gamma beta zero one bilinear loc_bias default quantized_weight quantized_bias"
)
NAMES = (
    "fc_weight fc_bias bn_gamma bn_beta a_moving_mean a_running_mean a_moving_var a_running_var "
    "a_moving_inv_var a_moving_avg a_min a_max a_weight_quantize a_bias_quantize upsampling0 "
    "upsampling0_weight stn_loc_x_weight stn_loc_x_bias stn_loc nothing weight WEIGHT fc_weight0 "
    "lstm_init_c x_parameters amax amin_x begin_state"
).split()


def spy(mx):
    """An initializer whose methods say that they were called, and the list of what they said."""
    said = []

    def method(name):
        return lambda self, desc, array: said.append([str(desc), name])

    body = {f"_init_{name}": method(name) for name in METHODS.split()}
    return type("Spy", (mx.init.Initializer,), body)(), said


@case
def methods_by_name(mx):
    initializer, said = spy(mx)
    for name in NAMES:
        initializer(mx.init.InitDesc(name), mx.nd.ones((2,)))
    return said


@case
def methods_by_plain_name(mx):
    initializer, said = spy(mx)
    for name in NAMES:
        initializer(name, mx.nd.ones((2,)))
    return said


@case
def attributes_decide(mx):
    initializer, said = spy(mx)
    results = []
    for own in ('["one", {}]', "one", '{"initializer": "one"}', mx.init.Constant(5), ""):
        x = mx.nd.zeros((2,))
        initializer(mx.init.InitDesc("fc_bias", {"__init__": own}), x)
        results.append(x)
    return [results, said]


@case
def global_init_is_the_first(mx):
    first, given = mx.init.One(), mx.init.Zero()
    free, taken = mx.init.InitDesc("a_weight"), mx.init.InitDesc("a_weight", global_init=given)
    for desc in (free, taken):
        first(desc, mx.nd.ones((2,)))
    return [free.global_init is first, taken.global_init is given, free.attrs, str(free)]


def setup(mx):
    init = mx.init

    def filled(initializer, shape, name="a_weight", plain=False, dtype="float32"):
        x = mx.nd.full(shape, 7, dtype=dtype)
        initializer(name if plain else init.InitDesc(name), x)
        return x

    def own(initializer, shape):
        x = mx.nd.full(shape, 7)
        init.Zero()(init.InitDesc("a", {"__init__": initializer.dumps()}), x)
        return x

    def again(initializer):
        made = init.create(initializer.dumps())
        return [type(made).__name__, made == initializer, made.dumps() == initializer.dumps()]

    def loaded(name, shape=(2,), **arguments):
        arrays = {
            "arg:a": mx.nd.array([1, 2]),
            "aux:b": mx.nd.array([3, 4]),
            "c": mx.nd.array([5, 6]),
            "x_arg:d": mx.nd.array([7, 8]),
        }
        return filled(init.Load(arrays, **arguments), shape, name, plain=True)

    return {"init": init, "filled": filled, "own": own, "again": again, "loaded": loaded}


values(
    __name__,
    setup,
    """
    filled(init.Zero(), (2, 2))
    filled(init.One(), (2, 2))
    filled(init.One(), (2, 2), "a_bias")
    filled(init.One(), (2, 2), "a_beta")
    filled(init.Zero(), (2, 2), "a_gamma")
    filled(init.One(), (2,), "a_min")
    filled(init.Zero(), (2,), "a_max")
    filled(init.One(), (2,), "a_bias_quantize", dtype="int8")
    filled(init.Uniform(), (2,), "nothing")
    filled(init.Uniform(), (2,), "nothing", plain=True)
    filled(init.Uniform(), (2,), "a_running_mean")
    filled(init.Uniform(), (2,), 5, plain=True)
    filled(init.Uniform(), (2,), None, plain=True)
    filled(init.One(), (2,), "a_moving_mean", plain=True)
    filled(init.Zero(), (2,), "a_moving_var", plain=True)
    filled(init.One(), (2,), "a_moving_inv_var", plain=True)
    filled(init.One(), (2,), "a_moving_avg", plain=True)
    filled(init.One(), (6,), "stn_loc_bias", plain=True)
    filled(init.One(), (5,), "stn_loc_bias", plain=True)
    filled(init.One(), (2, 6), "stn_loc_weight", plain=True)
    filled(init.One(), (1, 2, 4, 4), "upsampling0_weight", plain=True)
    filled(init.One(), (2, 4), "upsampling0_weight", plain=True)
    filled(init.Constant(2.5), (2, 2))
    filled(init.Constant(2.5), (2, 2), dtype="float16")
    filled(init.Constant(mx.nd.array([1, 2])), (3, 2))
    filled(init.Constant([[1, 2], [3, 4]]), (2, 2))
    filled(init.Constant(np.array([1, 2])), (2,), dtype="int32")
    filled(init.Constant([1, 2, 3]), (2, 2))
    filled(init.Constant("x"), (2, 2))
    filled(init.Bilinear(), (2, 1, 4, 4))
    filled(init.Bilinear(), (1, 1, 3, 3))
    filled(init.Bilinear(), (1, 1, 3, 5))
    filled(init.Bilinear(), (1, 2, 2, 6))
    filled(init.Bilinear(), (1, 1, 5, 2), dtype="float16")
    filled(init.Bilinear(), (4, 4))
    filled(init.LSTMBias(2), (8,))
    filled(init.LSTMBias(2), (8,), "a_bias")
    own(init.LSTMBias(2), (8,))
    own(init.LSTMBias(), (10,))
    own(init.Constant(3), (2,))
    filled(init.Xavier(), (3,))
    filled(init.Xavier(factor_type="x"), (3, 3))
    filled(init.Xavier(rnd_type="x"), (3, 3))
    filled(init.Initializer(), (2,))
    filled(init.Initializer(), (2,), "a_gamma")
    again(init.Uniform(0.5))
    again(init.Normal())
    again(init.Xavier("gaussian", "in", 2))
    again(init.MSRAPrelu("out", 0.5))
    again(init.Orthogonal(2, "normal"))
    again(init.Bilinear())
    again(init.Constant(3))
    again(init.Zero())
    again(init.One())
    again(init.LSTMBias(2.0))
    again(init.FusedRNN(None, 3, 2, "gru", True))
    init.Uniform().dumps()
    init.Uniform(2).dumps()
    init.Normal(0.5).dumps()
    init.Xavier().dumps()
    init.MSRAPrelu().dumps()
    init.Orthogonal().dumps()
    init.Bilinear().dumps()
    init.Constant(2).dumps()
    init.Constant(mx.nd.array([1, 2])).dumps()
    init.Constant(np.array([1.0, 2.0])).dumps()
    init.LSTMBias().dumps()
    init.FusedRNN(init.Xavier(), 3, 1, "lstm").dumps()
    init.FusedRNN(None, 3, 1, "lstm", True, 2.0).dumps()
    init.Initializer(a=1, b="x").dumps()
    [init.Uniform() == init.Uniform(0.07), init.Uniform() == init.Normal(0.07), init.Zero() == 0]
    [init.MSRAPrelu().magnitude, init.MSRAPrelu(slope=0).magnitude, init.Xavier().magnitude]
    type(init.create("zeros")).__name__, type(init.create("ones")).__name__
    type(init.create("MSRAPrelu")).__name__
    init.create("normal", 2).sigma
    init.create("constant", value=5).value
    init.create(initializer="constant", value=5).value
    init.create('{"initializer": "normal", "sigma": 2}').sigma
    init.create("nonsense")
    init.create("constant")
    init.create(5)
    init.create(None)
    init.create("normal", nonsense=1)
    init.register(int)
    sorted(k for k in mx.registry.get_registry(init.Initializer) if "_" not in k)
    loaded("a")
    loaded("b")
    loaded("c")
    loaded("arg:a")
    loaded("a", (2, 1))
    loaded("q_weight")
    loaded("q_weight", default_init=init.One())
    loaded("a", default_init=init.One())
    init.Load(5)
    init.Load([mx.nd.ones(1)])
    filled(init.Mixed([".*bias", ".*"], [init.One(), init.Zero()]), (2,), "a_weight")
    filled(init.Mixed([".*weight", ".*"], [init.Constant(3), init.Zero()]), (2,), "a_weight")
    filled(init.Mixed(["weight", ".*"], [init.Constant(3), init.Zero()]), (2,), "a_weight")
    filled(init.Mixed(["bias"], [init.Zero()]), (2,), "a_weight")
    init.Mixed(["bias"], [])
    """,
)


def scale(mx, initializer, shape, dtype="float32"):
    """What is the same for every stream of random numbers: the dtype, and bounds or deviation."""
    x = mx.nd.zeros(shape, dtype=dtype)
    mx.random.seed(3)
    initializer(mx.init.InitDesc("a_weight"), x)
    values = x.asnumpy().astype("float64")
    flat = values.reshape(shape[0], -1)
    few = flat if shape[0] <= flat.shape[1] else flat.T
    normed = few @ few.T
    return {
        "dtype": x.dtype,
        "centred": bool(abs(values.mean()) < 0.1 * values.std()),
        "deviation": float("%.1g" % values.std()),  # noqa: UP031
        "largest": float("%.1g" % np.abs(values).max()),  # noqa: UP031
        "orthogonal": bool(np.abs(normed - normed[0, 0] * np.eye(len(few))).max() < 1e-2),
    }


for label, build, shape in (
    ("uniform", lambda init: init.Uniform(), (64, 128)),
    ("uniform 2", lambda init: init.Uniform(2), (64, 128)),
    ("xavier", lambda init: init.Xavier(), (64, 128)),
    ("xavier in", lambda init: init.Xavier(factor_type="in"), (64, 128)),
    ("xavier out", lambda init: init.Xavier(factor_type="out", magnitude=6), (64, 128)),
    ("xavier window", lambda init: init.Xavier(factor_type="in"), (64, 16, 3, 3)),
):

    @case(name=f"random {label}")
    def bounded(mx, build=build, shape=shape):
        return scale(mx, build(mx.init), shape)


for label, build, shape in (
    ("orthogonal", lambda init: init.Orthogonal(), (16, 32)),
    ("orthogonal tall", lambda init: init.Orthogonal(2.0), (32, 16)),
    ("orthogonal window", lambda init: init.Orthogonal(2.0, "normal"), (8, 4, 3, 3)),
):

    @case(name=f"random {label}")
    def orthogonal(mx, build=build, shape=shape):
        found = scale(mx, build(mx.init), shape)
        return {key: found[key] for key in ("dtype", "deviation", "orthogonal")}


for label, build in (
    ("normal", lambda init: init.Normal(0.02)),
    ("xavier gaussian", lambda init: init.Xavier("gaussian", "in", 2)),
    ("msra", lambda init: init.MSRAPrelu("out", 0.25)),
):

    @case(name=f"random {label}")
    def spread(mx, build=build):
        found = scale(mx, build(mx.init), (128, 256))
        return {key: found[key] for key in ("dtype", "centred", "deviation")}


@case
def random_dtypes(mx):
    makers = [mx.init.Uniform(), mx.init.Normal(), mx.init.Xavier(), mx.init.Orthogonal()]
    found = []
    for maker in makers:
        for dtype in ("float16", "float32", "float64"):
            x = mx.nd.zeros((4, 4), dtype=dtype)
            maker(mx.init.InitDesc("a_weight"), x)
            found.append([x.dtype, bool((x != 0).asnumpy().any())])
    return found


@case
def seeds_decide(mx):
    """The same seed gives the same weights, and NumPy's has no part in it."""
    same = []
    for maker in (mx.init.Uniform(), mx.init.Orthogonal(), mx.init.Xavier("gaussian")):
        drawn = []
        for numpy_seed in (1, 2):
            np.random.seed(numpy_seed)  # noqa: NPY002
            mx.random.seed(5)
            x = mx.nd.zeros((4, 4))
            maker(mx.init.InitDesc("a_weight"), x)
            drawn.append(x.asnumpy())
        same.append(bool((drawn[0] == drawn[1]).all()))
    return same


for mode, gates, layers, both in (
    ("lstm", 4, 2, False),
    ("lstm", 4, 1, True),
    ("gru", 3, 1, False),
    ("rnn_tanh", 1, 2, True),
):

    @case(name=f"fused {mode} {layers} {both}")
    def fused(mx, mode=mode, gates=gates, layers=layers, both=both):
        hidden, inputs, ways = 2, 3, 1 + both
        widths = [inputs] + [ways * hidden] * (layers - 1)
        size = sum(ways * gates * hidden * (width + hidden + 2) for width in widths)
        vectors = [mx.nd.full((size,), 9) for _ in range(2)]
        own = mx.init.FusedRNN(mx.init.Constant(0.5), hidden, layers, mode, both, 2.0)
        own._init_weight(mx.init.InitDesc("parameters"), vectors[0])
        desc = mx.init.InitDesc("parameters", global_init=mx.init.Constant(3))
        mx.init.FusedRNN(None, hidden, layers, mode, both)._init_weight(desc, vectors[1])
        return vectors


@case
def subclass_by_a_user(mx):
    class Mine(mx.init.Initializer):
        def __init__(self, a=2):
            super().__init__(a=a)
            self.a = a

        def _init_weight(self, name, arr):
            arr[:] = self.a

        def _init_bias(self, name, arr):
            arr[:] = mx.nd.array(data(arr.shape))

        def _init_default(self, name, arr):
            arr[:] = -1

    mx.init.register(Mine)
    results = []
    for name in ("a_weight", "a_bias", "a_gamma", "other"):
        x = mx.nd.zeros((3,))
        mx.init.create("mine", a=4)(mx.init.InitDesc(name), x)
        results.append(x)
    return [results, Mine(3).dumps(), Mine(3) == Mine(3), Mine(3) == Mine(4)]


@case
def subclass_that_is_called(mx):
    class Mine(mx.init.Xavier):
        def __call__(self, desc, arr):
            if desc.endswith("special"):
                arr[:] = 3
            else:
                super().__call__(desc, arr)

    x, y = mx.nd.zeros((2, 2)), mx.nd.ones((2, 2))
    Mine()(mx.init.InitDesc("special"), x)
    Mine()(mx.init.InitDesc("a_bias"), y)
    return [x, y, attempt(Mine(), mx.init.InitDesc("nothing"), x)]


@case
def verbosity_returns_the_initializer(mx):
    initializer = mx.init.One()
    return initializer.set_verbosity(True) is initializer

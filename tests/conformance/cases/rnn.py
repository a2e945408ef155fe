"""The fused recurrent layer: modes, layers, directions, states, projection, what it refuses."""

from harness import array, data, gradients, integers, values

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}


def parameters(mode, inputs, hidden, layers, directions, project=0):
    """How many numbers the vector of parameters has."""
    out, wide, size = project or hidden, GATES[mode] * hidden, 0
    for layer in range(layers):
        width = out * directions if layer else inputs
        size += directions * (wide * (width + out) + 2 * wide + (out * hidden if project else 0))
    return size


def setup(mode, steps=4, batch=2, layers=1, directions=1, project=0, dtype="float32"):
    def build(mx):
        size = parameters(mode, 3, 2, layers, directions, project)
        lanes = layers * directions
        shapes = {"x": (steps, batch, 3), "w": (size,), "h": (lanes, batch, project or 2)}
        if mode == "lstm":
            shapes["c"] = (lanes, batch, 2)
        return {
            name: array(mx, data(shape, -1, 1, seed=900 + i, dtype=dtype))
            for i, (name, shape) in enumerate(shapes.items())
        }

    return build


def call(mode, layers=1, **params):
    arrays = "x, w, h, c" if mode == "lstm" else "x, w, h"
    options = "".join(f", {name}={value!r}" for name, value in params.items())
    return f"nd.RNN({arrays}, state_size=2, num_layers={layers}, mode={mode!r}{options})"


for mode in GATES:
    for dtype in ("float32", "float64"):
        options = {}
        if (mode, dtype) == ("rnn_relu", "float64"):
            options = {"rtol": 1e-6, "why": "MXNet rounds these states to float32"}
        gradients(
            __name__,
            setup(mode, dtype=dtype),
            f"{call(mode)}\n{call(mode, state_outputs=True)}",
            prefix=f"{dtype} ",
            **options,
        )
    gradients(
        __name__,
        setup(mode, layers=2, directions=2),
        call(mode, layers=2, bidirectional=True, state_outputs=True),
    )
    gradients(__name__, setup(mode, layers=3), call(mode, layers=3))
    gradients(
        __name__, setup(mode, steps=1, batch=1), call(mode, state_outputs=True), prefix="one step "
    )
    # Outside of train mode dropout does nothing.
    values(__name__, setup(mode, layers=2), call(mode, layers=2, p=0.5))

for layers, directions in ((1, 1), (2, 1), (2, 2)):
    for project in (1, 3):
        values(
            __name__,
            setup("lstm", layers=layers, directions=directions, project=project),
            call(
                "lstm",
                layers=layers,
                bidirectional=directions == 2,
                projection_size=project,
                state_outputs=True,
            ),
        )
values(
    __name__,
    setup("lstm"),
    f"""
    {call("lstm", layers=2)}
    {call("lstm", bidirectional=True)}
    {call("lstm", projection_size=3)}
    {call("lstm", p=1.5)}
    {call("lstm", p=-0.5)}
    {call("gru")}
    {call("nonsense")}
    nd.RNN(x, w, h, c, num_layers=1, mode='lstm')
    nd.RNN(x, w, h, c, state_size=2, mode='lstm')
    nd.RNN(x, w, h, c, state_size=2, num_layers=1)
    nd.RNN(x, w, h, c, state_size=0, num_layers=1, mode='lstm')
    nd.RNN(x, w, h, c, state_size=2, num_layers=0, mode='lstm')
    nd.RNN(x, w, h, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w, h, c, x, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x[0], w, h, c, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w[1:], h, c, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w.reshape((1, -1)), h, c, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w, h[0], c, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w, h, c[:, :1], state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w.astype('float64'), h, c, state_size=2, num_layers=1, mode='lstm')
    nd.RNN(x, w, h, c.astype('float64'), state_size=2, num_layers=1, mode='lstm')
    nd.RNN(*[a.astype('int32') for a in (x, w, h, c)], state_size=2, num_layers=1, mode='lstm')
    nd.RNN(data=x, parameters=w, state=h, state_cell=c, state_size=2, num_layers=1, mode='lstm')
    """,
)
values(__name__, setup("gru"), call("gru", projection_size=2), prefix="projected ")


def with_lengths(mode):
    def build(mx):
        arrays = setup(mode, steps=3)(mx)
        return {**arrays, "n": array(mx, integers((2,), 1, 3, seed=910))}

    return build


# On the CPU MXNet takes lengths and does not look at them: only full ones agree.
for mode in ("gru", "lstm"):
    arrays = "x, w, h, c, n" if mode == "lstm" else "x, w, h, n"
    full = "nd.array([3, 3], dtype='int32')"
    values(
        __name__,
        with_lengths(mode),
        f"nd.RNN({arrays[:-1]}{full}, state_size=2, num_layers=1, mode={mode!r}, "
        "use_sequence_length=True)\n"
        f"nd.RNN({arrays}, state_size=2, num_layers=1, mode={mode!r})\n"
        f"nd.RNN({arrays[:-1]}n[:1], state_size=2, num_layers=1, mode={mode!r}, "
        "use_sequence_length=True)",
        prefix="lengths ",
    )

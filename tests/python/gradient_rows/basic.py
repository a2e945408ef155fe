"""Rows of the operators that copy, convert, stop gradients or make constants."""

from gradient_row import Row


def nothing(mx, *inputs):
    """The draws count as constants."""
    return mx.nd.zeros_like(inputs[0])


ROWS = [
    Row("Reshape", [(3, 4)], {"shape": (2, -1)}),
    Row("_copy", [(3, 4)]),
    Row("Cast", [(3, 4)], {"dtype": "float64"}),
    Row("zeros_like", [(3, 4)]),
    Row("ones_like", [(3, 4)]),
    Row("BlockGrad", [(3, 4)], loss=lambda mx, x: mx.nd.zeros_like(x), note="stops gradients"),
    Row("make_loss", [(3, 4)], loss=lambda mx, x: x, note="starts a gradient of ones"),
    *[
        Row(f"_random_{name}_like", [(3, 4)], loss=nothing, note="random")
        for name in ("uniform", "normal", "exponential", "gamma", "poisson")
    ],
    *[
        Row(f"_sample_{name}", [(3,)] * count, domain=(0.5, 2), loss=nothing, note="random")
        for name, count in (
            ("uniform", 2),
            ("normal", 2),
            ("exponential", 1),
            ("gamma", 2),
            ("poisson", 1),
        )
    ],
]

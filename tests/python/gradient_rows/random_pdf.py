"""Densities of distributions; samplers, to whose parameters no gradient flows."""

from gradient_row import Ints, Row


def nothing(mx, *inputs):
    """What operators claim to differentiate that let no gradient flow."""
    return mx.nd.zeros_like(inputs[0])


COUNT = Ints((2, 3), below=5)


def rows(name, sample, params, domain):
    """The density and its logarithm, for one parameter a row of samples and for one each."""
    made = []
    for is_log in (False, True):
        op = f"_random_pdf_{name}"
        made.append(Row(op, [sample] + [(2,)] * params, {"is_log": is_log}, domain))
    if not isinstance(sample, Ints):
        made.append(Row(op, [(3,)] + [(3,)] * params, {"is_log": True}, domain))
    return made


ROWS = [
    *rows("uniform", (2, 3), 2, ((0.5, 0.9), (0, 0.4), (1, 2))),
    *rows("normal", (2, 3), 2, ((-1, 1), (-1, 1), (0.5, 2))),
    *rows("gamma", (2, 3), 2, ((0.5, 2), (0.7, 3), (0.5, 2))),
    *rows("exponential", (2, 3), 1, ((0.1, 2), (0.5, 2))),
    *rows("poisson", COUNT, 1, ((0, 1), (0.5, 3))),
    *rows("negative_binomial", COUNT, 2, ((0, 1), (1, 3), (0.2, 0.8))),
    *rows("generalized_negative_binomial", COUNT, 2, ((0, 1), (1, 3), (0.3, 2))),
    Row("_random_pdf_dirichlet", [(2, 2, 3), (2, 3)], {}, ((0.1, 0.8), (0.5, 2))),
    Row("_random_pdf_dirichlet", [(2, 3), (3,)], {"is_log": True}, ((0.1, 0.8), (0.5, 2))),
    *(
        Row(f"_random_{name}_like", [(3, 4)], loss=nothing, note="random")
        for name in ("negative_binomial", "generalized_negative_binomial")
    ),
    *(
        Row(f"_sample_{name}", [(3,), (3,)], domain=(0.5, 0.9), loss=nothing, note="random")
        for name in ("negative_binomial", "generalized_negative_binomial")
    ),
    # The logarithms of the drawn probabilities: test_random_counts.py.
    Row("_sample_multinomial", [(2, 3)], domain=(0.5, 0.9), loss=nothing, note="random"),
]

"""Layers that work element by element, and the sum of many arrays."""

from gradient_row import Row

ROWS = [
    Row("Activation", [(3, 4)], {"act_type": act})
    for act in ("relu", "sigmoid", "softrelu", "softsign", "tanh")
]
ROWS += [
    Row("Dropout", [(3, 4)], {"p": 0.0, "mode": "always"}),
    Row("Dropout", [(3, 4)], {"p": 1.0, "mode": "always"}, note="drops everything: gradient 0"),
    Row("add_n", [(3, 4)] * 3),
    Row("add_n", [(3, 4)]),
]

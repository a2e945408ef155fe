"""Operators that are declared for the sake of sparse arrays."""

from gradient_row import Row

ROWS = [Row("_scatter_elemwise_div", [(3, 4), (3, 4)], domain=(0.5, 2))]

"""What random programs (tests/fuzz) have found, each as the shortest program that showed it."""

import pytest

from mxtape import autograd, nd
from mxtape.base import MXNetError


class SumAndProduct(autograd.Function):
    def forward(self, x, y):
        self.save_for_backward(x, y)
        return x + y, x * y

    def backward(self, ds, dp):
        x, y = self.saved_tensors
        return ds + dp * y, ds + dp * x


def test_the_second_output_of_a_function_whose_graph_was_freed():
    """The freed node had no outputs any more, and a gradient for its second one was put there."""
    x = nd.array([2.0])
    x.attach_grad()
    with autograd.record():
        _, product = SumAndProduct()(x, x)
        y = nd.sin(product)
    product.backward()
    assert x.grad.asscalar() == 4
    with pytest.raises(MXNetError, match="has been freed"):
        y.backward()
    assert x.grad.asscalar() == 4

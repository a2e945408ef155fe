"""What mxtape does not have says so when it is called."""

import inspect

import pytest

import mxtape as mx
from mxtape.ndarray import unsupported


@pytest.mark.parametrize("name", list(unsupported.CONTRIB))
def test_operators_that_are_not_there(name):
    function = getattr(mx.nd.contrib, name)
    x = mx.nd.ones((2,))
    reason = "sampling of graphs is" if name.startswith("dgl_") else "quantized arrays are"
    with pytest.raises(mx.MXNetError, match=f"contrib.{name}: {reason} not in mxtape"):
        function(x)
    assert reason in function.__doc__
    assert "kwargs" in inspect.signature(function).parameters


def test_images_are_decoded_elsewhere():
    with pytest.raises(mx.MXNetError, match=r"mx\.image\.imdecode decodes"):
        mx.nd.imdecode(b"")


def test_names_that_are_nowhere():
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        mx.nd.sparse.absent  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        mx.nd.contrib.absent  # noqa: B018

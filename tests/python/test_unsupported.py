"""What mxtape does not have says so when it is called."""

import inspect

import pytest

import mxtape as mx
from mxtape.ndarray import unsupported


@pytest.mark.parametrize("name", list(unsupported.CONTRIB))
def test_operators_on_storage_that_is_not_there(name):
    function = getattr(mx.nd.contrib, name)
    x = mx.nd.ones((2,))
    kind = "sparse" if name.startswith("dgl_") or name in ("edge_id", "getnnz") else "quantized"
    with pytest.raises(mx.MXNetError, match=f"contrib.{name}: {kind} arrays are not in mxtape"):
        function(x)
    assert kind in function.__doc__
    assert "kwargs" in inspect.signature(function).parameters


def test_images_are_decoded_elsewhere():
    with pytest.raises(mx.MXNetError, match=r"mx\.image\.imdecode decodes"):
        mx.nd.imdecode(b"")


def test_names_that_are_nowhere():
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        mx.nd.sparse.absent  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        mx.nd.contrib.absent  # noqa: B018

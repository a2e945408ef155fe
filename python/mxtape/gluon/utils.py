"""Batches on several contexts, gradient norms, files: ``mx.gluon.utils``."""

import collections
import hashlib
import math
import os
import warnings
import weakref
from typing import Any

from .. import _missing, ndarray
from .._loader import core as _core
from ..base import MXNetError
from ..util import is_np_array, is_np_shape  # noqa: F401 (is_np_array is offered)

__all__ = [
    "check_sha1",
    "clip_global_norm",
    "download",
    "replace_file",
    "split_and_load",
    "split_data",
]


def split_data(data, num_slice, batch_axis=0, even_split=True) -> list[ndarray.NDArray]:
    """Cuts an array into slices along one axis.

    Parameters
    ----------
    data : NDArray
    num_slice : int
        How many slices.
    batch_axis : int, default 0
        The axis that is cut.
    even_split : bool, default True
        Whether all slices must have the same size. Otherwise the sizes differ by one at most, and
        the larger slices come first.

    Returns
    -------
    list of NDArray

    Raises
    ------
    ValueError
        The axis cannot be cut into slices of one size, or it has fewer elements than `num_slice`.

    Examples
    --------
    >>> import mxtape as mx
    >>> batch = mx.nd.arange(5)
    >>> [part.shape for part in mx.gluon.utils.split_data(batch, 2, even_split=False)]
    [(3,), (2,)]
    """
    if num_slice < 1:
        raise ValueError(f"split_data: num_slice must be 1 or more, got {num_slice}")
    size = data.shape[batch_axis]
    if even_split and size % num_slice != 0:
        raise ValueError(
            f"split_data: axis {batch_axis} of shape {data.shape} cannot be cut into {num_slice} "
            f"slices of one size; use a batch size that is a multiple of {num_slice}, or "
            "even_split=False"
        )
    bounds = [0]
    for i in range(num_slice):
        bounds.append(bounds[-1] + size // num_slice + (i < size % num_slice))
    if batch_axis == 0:
        return [data[begin:end] for begin, end in zip(bounds, bounds[1:])]
    return [
        ndarray.slice_axis(data, axis=batch_axis, begin=begin, end=end)
        for begin, end in zip(bounds, bounds[1:])
    ]


def split_and_load(data, ctx_list, batch_axis=0, even_split=True) -> list[ndarray.NDArray]:
    """Cuts an array into as many slices as there are contexts, and puts one on each.

    Parameters
    ----------
    data : NDArray or array_like
    ctx_list : list of Context
    batch_axis, even_split
        As for :func:`split_data`.

    Returns
    -------
    list of NDArray

    Examples
    --------
    >>> import mxtape as mx
    >>> parts = mx.gluon.utils.split_and_load([[1, 2], [3, 4]], [mx.cpu(0), mx.cpu(1)])
    >>> [part.context for part in parts], parts[1].asnumpy().tolist()
    ([cpu(0), cpu(1)], [[3.0, 4.0]])
    """
    if not isinstance(ctx_list, (list, tuple)) or not ctx_list:
        raise ValueError(
            "split_and_load: ctx_list must be a list of contexts such as [mx.cpu()], got "
            f"{ctx_list}"
        )
    if not isinstance(data, ndarray.NDArray):
        data = ndarray.array(data, ctx=ctx_list[0])
    if len(ctx_list) == 1:
        return [data.as_in_context(ctx_list[0])]
    slices = split_data(data, len(ctx_list), batch_axis, even_split)
    return [part.as_in_context(ctx) for part, ctx in zip(slices, ctx_list)]


def clip_global_norm(arrays, max_norm, check_isfinite=True) -> Any:
    """Scales arrays in place, so that the 2-norm of all of them together is at most `max_norm`.

    Parameters
    ----------
    arrays : list of NDArray, or one
        On any contexts, of any storage types.
    max_norm : float
    check_isfinite : bool, default True
        Whether to look at the norm, and warn when it is infinite or NaN.

    Returns
    -------
    numpy.float32 or NDArray
        The norm before; an array of shape (1,) where `check_isfinite` is False.

    Examples
    --------
    >>> import mxtape as mx
    >>> gradient = mx.nd.array([3.0, 4.0])
    >>> print(mx.gluon.utils.clip_global_norm([gradient], 1.0))
    5.0
    >>> print(gradient.asnumpy())
    [0.6 0.8]
    """
    if isinstance(arrays, ndarray.NDArray):
        arrays = [arrays]
    if not arrays:
        raise AssertionError("clip_global_norm: arrays is empty")
    ctx = arrays[0].context
    squares = [_sum_of_squares(array).as_in_context(ctx) for array in arrays]
    norm = ndarray.sqrt(ndarray.add_n(*squares))
    total: Any = norm.asscalar() if check_isfinite else norm
    if check_isfinite and not math.isfinite(total):
        warnings.warn(
            f"clip_global_norm: the norm is {total}: the scaled arrays have no meaning",
            UserWarning,
            stacklevel=2,
        )
    scale = ndarray.minimum(max_norm / (norm + 1e-8), 1.0)
    for array in arrays:
        factor = scale.astype(array.dtype).as_in_context(array.context)
        array *= factor if array.stype == "default" else factor.asscalar()
    return total


def _sum_of_squares(array):
    if array.stype != "default":
        array = (
            _core.sparse_parts(array)[0] if _core.is_canonical(array) else array.tostype("default")
        )
    flat = array.reshape((-1,)).astype("float32", copy=False)
    return ndarray.dot(flat, flat).reshape((1,))


def check_sha1(filename, sha1_hash):
    """Whether the SHA-1 of a file is `sha1_hash`, in hexadecimal digits."""
    digest = hashlib.sha1(usedforsecurity=False)
    with open(filename, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == sha1_hash


def replace_file(src, dst):
    """Renames a file; one that is called `dst` already is replaced, at once or not at all."""
    os.replace(src, dst)


def download(url, path=None, overwrite=False, sha1_hash=None, retries=5, verify_ssl=True):
    """The name of the local file for a URL. Nothing is ever downloaded.

    Parameters
    ----------
    url : str
        Its last part is the file's name.
    path : str, optional
        A folder in which the file is, or the name of the file. The current folder by default.
    overwrite : bool, default False
        True asks for the file to be downloaded again, which raises.
    sha1_hash : str, optional
        The SHA-1 that the file must have.
    retries, verify_ssl
        Not used.

    Returns
    -------
    str

    Raises
    ------
    MXNetError
        There is no such file, or it has another SHA-1. The message says which file was looked for.
    """
    name = local_name(url, path)
    if overwrite:
        problem = "overwrite=True asks for a download"
    elif not os.path.isfile(name):
        problem = "there is no such file"
    elif sha1_hash and not check_sha1(name, sha1_hash):
        problem = f"its SHA-1 is not {sha1_hash}"
    else:
        return name
    raise MXNetError(
        f"download: {url} was looked for as the file {os.path.abspath(name)}: {problem}. mxtape "
        "downloads nothing; put the file there"
    )


def local_name(url, path=None):
    """The file that :func:`download` looks for."""
    last = url.split("/")[-1]
    if not last:
        raise AssertionError(f"download: the URL {url!r} does not end in the name of a file")
    if path is None:
        return last
    path = os.path.expanduser(os.fspath(path))
    return os.path.join(path, last) if os.path.isdir(path) else path


class HookHandle:
    """Stands for a hook that was registered; :meth:`detach` removes it.

    It is a ``with`` block too, at whose end the hook is removed.
    """

    def __init__(self):
        self._id = None
        self._hooks_dict_ref = None

    def attach(self, hooks_dict, hook):
        """Puts `hook` into `hooks_dict`, an OrderedDict, under a number of its own."""
        if self._hooks_dict_ref is not None:
            raise AssertionError("a HookHandle stands for one hook, and this one has been attached")
        self._hooks_dict_ref, self._id = weakref.ref(hooks_dict), id(hook)
        hooks_dict.update({self._id: hook})

    def detach(self):
        """Removes the hook; once removed, does nothing."""
        hooks = self._hooks_dict_ref and self._hooks_dict_ref()
        if hooks is not None:
            hooks.pop(self._id, None)

    def __enter__(self):
        return self

    def __exit__(self, ptype, value, trace):
        self.detach()

    def __getstate__(self):
        return self._hooks_dict_ref and self._hooks_dict_ref(), self._id

    def __setstate__(self, state):
        hooks, self._id = state
        self._hooks_dict_ref = weakref.ref(collections.OrderedDict() if hooks is None else hooks)


def _get_repo_url():
    """The address of MXNet's files, or that in the variable MXNET_GLUON_REPO, with a slash."""
    address = os.environ.get(
        "MXNET_GLUON_REPO", "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
    )
    return address if address.endswith("/") else address + "/"


def _get_repo_file_url(namespace, filename):
    """The address of one of these files. Nothing here downloads it.

    >>> from mxtape.gluon.utils import _get_repo_file_url
    >>> _get_repo_file_url("gluon/dataset/mnist", "labels.gz").rpartition(".com/")[2]
    'gluon/dataset/mnist/labels.gz'
    """
    return f"{_get_repo_url()}{namespace}/{filename}"


def shape_is_known(shape):
    """Whether a shape has no unknown extent: 0, or -1 under NumPy's shapes; False for None.

    >>> from mxtape.gluon.utils import shape_is_known
    >>> shape_is_known((2, 0)), shape_is_known((2, 3)), shape_is_known(None)
    (False, True, False)
    """
    if shape is None:
        return False
    unknown = -1 if is_np_shape() else 0
    if any(extent < unknown for extent in shape):
        raise AssertionError(f"the shape {shape} has a negative extent")
    return unknown not in shape and (len(shape) > 0 or unknown == -1)


def _indent(text, spaces):
    """The text with all lines but the first moved to the right."""
    return text.replace("\n", "\n" + " " * spaces)


def _brief_print_list(names, limit=7):
    """Names for a message; the middle of a long list is left out."""
    names = [f"'{name}'" for name in names]
    if len(names) > limit:
        half = limit // 2
        names = [*names[:half], "...", *names[-half:]]
    return ", ".join(names)


def __getattr__(name):
    _missing.refuse(__name__, name)

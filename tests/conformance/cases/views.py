"""Views: what is a constant outside record(), what shares memory, what is the array itself."""

import copy

from harness import attempt, case, values

# How to get at the elements of an array, w of shape (2,), in another array of that shape.
TAKES = {
    "reshape_same": lambda mx, w: w.reshape(w.shape),
    "reshape": lambda mx, w: w.reshape((-1,)),
    "reshape_twice": lambda mx, w: w.reshape((1, 2)).reshape((2,)),
    "nd_reshape": lambda mx, w: mx.nd.reshape(w, shape=(-1,)),
    "full_slice": lambda mx, w: w[:],
    "full_slice_step": lambda mx, w: w[::1],
    "slice": lambda mx, w: w[0:2],
    "slice_from": lambda mx, w: w[0:],
    "slice_to": lambda mx, w: w[:2],
    "ellipsis": lambda mx, w: w[...],
    "empty_key": lambda mx, w: w[()],
    "new_axis": lambda mx, w: w[None][0],
    "new_axis_reshaped": lambda mx, w: w[:, None].reshape((2,)),
    "tuple_of_slices": lambda mx, w: w[(slice(None),)],
    "list": lambda mx, w: w[[0, 1]],
    "array": lambda mx, w: w[mx.nd.array([0, 1])],
    "T": lambda mx, w: w.T,
    "T_of_a_matrix": lambda mx, w: w.reshape((1, 2)).T.reshape((2,)),
    "expand_dims": lambda mx, w: w.expand_dims(0).reshape((2,)),
    "expand_dims_inplace": lambda mx, w: w.expand_dims(0, inplace=True).reshape((2,)),
    "flatten": lambda mx, w: w.flatten().reshape((2,)),
    "flatten_inplace": lambda mx, w: w.flatten(inplace=True).reshape((2,)),
    "squeeze": lambda mx, w: w.squeeze(),
    "squeeze_inplace": lambda mx, w: w.squeeze(inplace=True),
    "reshape_like": lambda mx, w: w.reshape_like(mx.nd.ones((2,))),
    "as_nd_ndarray": lambda mx, w: w.as_nd_ndarray(),
    "detach": lambda mx, w: w.detach(),
    "copy": lambda mx, w: w.copy(),
    "copy_copy": lambda mx, w: copy.copy(w),
    "deepcopy": lambda mx, w: copy.deepcopy(w),
    "astype": lambda mx, w: w.astype("float32"),
    "astype_no_copy": lambda mx, w: w.astype("float32", copy=False),
    "as_in_context": lambda mx, w: w.as_in_context(mx.cpu()),
    "copyto": lambda mx, w: w.copyto(mx.cpu()),
    "copyto_array": lambda mx, w: w.copyto(mx.nd.zeros((2,))),
    "nd_array": lambda mx, w: mx.nd.array(w),
    "tostype": lambda mx, w: w.tostype("default"),
    "broadcast_to": lambda mx, w: w.broadcast_to((2,)),
    "broadcast_like": lambda mx, w: w.broadcast_like(mx.nd.ones((2,))),
    "slice_operator": lambda mx, w: w.slice((0,), (2,)),
    "slice_axis": lambda mx, w: w.slice_axis(0, 0, 2),
    "swapaxes": lambda mx, w: w.reshape((1, 2)).swapaxes(0, 1).reshape((2,)),
    "identity": lambda mx, w: mx.nd.identity(w),
    "BlockGrad": lambda mx, w: mx.nd.BlockGrad(w),
    "concatenate_one": lambda mx, w: mx.nd.concatenate([w], always_copy=False),
    "moveaxis": lambda mx, w: mx.nd.moveaxis(w.reshape((1, 2)), 0, 1).reshape((2,)),
    "split": lambda mx, w: mx.nd.split(w, 1, axis=0),
    "dlpack": lambda mx, w: mx.nd.from_dlpack(mx.nd.to_dlpack_for_read(w)),
    "iterate": lambda mx, w: next(iter(w.reshape((1, 2)))),
    "clip": lambda mx, w: w.clip(-10, 10),
}


def taken(mx, take, where, intermediate):
    """The gradient of w * taken, whether it is the array itself, has a gradient, shares memory."""
    ag, w = mx.autograd, mx.nd.array([1.0, 2.0])
    w.attach_grad()
    x = w
    if intermediate:
        with ag.record():
            x = w * 1
    if where == "outside":
        part = take(mx, x)
    with ag.record():
        if where == "pause":
            with ag.pause():
                part = take(mx, x)
        elif where == "record":
            part = take(mx, x)
        y = w * part
    y.backward()
    facts = [part is x, part.grad is not None]
    part[0] = 77
    return [w.grad, *facts, float(x.asnumpy()[0]) == 77]


def declare(name, take):
    for where in ("outside", "pause", "record"):
        for intermediate in (False, True):

            def run(mx, where=where, intermediate=intermediate):
                return taken(mx, take, where, intermediate)

            run.__name__ = f"{name}_{where}{'_intermediate' if intermediate else ''}"
            run.__module__ = __name__
            case(run)


for each in TAKES:
    declare(each, TAKES[each])


def shares(mx, shape, take):
    x = mx.nd.zeros(shape)
    view = take(x)
    view[:] = 1
    return [view.shape, float(x.sum().asscalar()) > 0]


def setup(mx):
    return {"share": lambda shape, take: shares(mx, shape, take)}


# What a key of which some axes have a length of 1 selects lies side by side, or not.
values(
    __name__,
    setup,
    """
    share((4, 1), lambda x: x[1:3, 0:1:2])
    share((4, 1), lambda x: x[1:3, ::-1])
    share((4, 6, 1), lambda x: x[1:3, :, 0:1:2])
    share((4, 6, 1), lambda x: x[1:3, :, ::-1])
    share((4, 6, 1), lambda x: x[1, 2, ::2])
    share((4, 1, 6), lambda x: x[1:3, ::2, ::2])
    share((4, 1, 6), lambda x: x[1:3, ::2])
    share((1, 6), lambda x: x[::2, 1:3])
    share((4, 6), lambda x: x[1:3, 0:1:2])
    share((4, 6), lambda x: x[1:2:5])
    share((4, 6), lambda x: x[2:1:-1])
    share((4, 6), lambda x: x[2:1:-1, 5:4:-1])
    share((4, 6), lambda x: x[0:4:4])
    share((4, 6), lambda x: x[1:2, 0:2:5])
    share((4, 6), lambda x: x[1:2, 0:6:2])
    share((4, 6), lambda x: x[:, :])
    share((4, 6), lambda x: x[[1]])
    """,
)


@case
def full_slice_is_the_array(mx):
    x = mx.nd.zeros((2, 3))
    return [x[:] is x, x[::1] is x, x[()] is x, x[0:] is x, x[...] is x, x[:2] is x]


@case
def write_through_a_constant_view(mx):
    w = mx.nd.array([1.0, 2.0])
    w.attach_grad()
    w.reshape((1, 2))[:] = 5
    with mx.autograd.record():
        y = w * w
    y.backward()
    return [w, w.grad]


@case
def from_numpy_copies(mx):
    import numpy as np

    a = np.arange(6, dtype="float32").reshape(2, 3)
    made = [
        lambda: mx.nd.from_numpy(a.astype(">f4"), zero_copy=False),
        lambda: mx.nd.from_numpy(a.T, zero_copy=False),
        lambda: mx.nd.from_numpy(a[:, ::2], zero_copy=False),
        lambda: mx.nd.from_numpy(np.asfortranarray(a), zero_copy=False),
        lambda: mx.nd.from_numpy(a[::-1], zero_copy=False),
        lambda: mx.nd.from_numpy(np.arange(3, dtype=">i8"), zero_copy=False),
        lambda: mx.nd.from_numpy(a.astype("int16"), zero_copy=False),
        lambda: mx.nd.from_numpy(a.astype("complex64"), zero_copy=False),
        lambda: mx.nd.from_numpy(np.arange(24, dtype=">f8").reshape(2, 3, 4).T, zero_copy=False),
        lambda: mx.nd.from_numpy(np.array(3, dtype=">f4"), zero_copy=False),
    ]
    return [attempt(make) for make in made]


@case
def from_numpy_shares(mx):
    import numpy as np

    a = np.arange(6, dtype="float32").reshape(2, 3)
    made = [
        lambda: mx.nd.from_numpy(a.astype(">f4")),
        lambda: mx.nd.from_numpy(a.T),
        lambda: mx.nd.from_numpy(a[:, ::2]),
        lambda: mx.nd.from_numpy(np.zeros(17, "uint8")[1:].view("float32")),
        lambda: mx.nd.from_numpy(np.frombuffer(bytes(8), "float32")),
    ]
    return [attempt(make) for make in made]


@case
def byte_order(mx):
    import numpy as np

    a = np.arange(6, dtype=">f4").reshape(2, 3)
    x = mx.nd.zeros((2, 3))
    x[:] = a
    y = mx.nd.zeros((2, 3))
    y[0] = a[1]
    indices = np.array([1, 0], dtype=">i4")
    return [
        mx.nd.array(a),
        mx.nd.array(a.T),
        mx.nd.array(a, dtype=a.dtype),
        mx.nd.full((2, 3), a),
        x,
        y,
        x[indices],
        mx.nd.zeros((2,), dtype=">f4"),
        x.astype(">f8"),
        mx.nd.array([np.float32(1), a[0, 1]]),
    ]

"""autograd: states, requests, head gradients, graphs, custom functions and the older names."""

from harness import attempt, case, vector


@case
def states_and_nesting(mx):
    ag, seen = mx.autograd, []

    def note():
        seen.append((ag.is_recording(), ag.is_training()))

    note()
    with ag.record():
        note()
        with ag.pause():
            note()
            with ag.record(train_mode=False):
                note()
            note()
        with ag.pause(train_mode=True):
            note()
        with ag.predict_mode():
            note()
            with ag.train_mode():
                note()
        note()
    with ag.train_mode():
        note()
    with ag.predict_mode():
        note()
    note()
    return seen


@case
def states_survive_exceptions(mx):
    ag, seen = mx.autograd, []
    for scope in (ag.record, ag.pause, ag.train_mode, ag.predict_mode):
        try:
            with scope():
                raise KeyError("inside")
        except KeyError:
            seen.append((ag.is_recording(), ag.is_training()))
    return seen


@case
def set_recording_returns_the_previous_state(mx):
    ag = mx.autograd
    seen = [
        ag.set_recording(True),
        ag.set_recording(True),
        ag.set_recording(False),
        ag.is_recording(),
    ]
    return [*seen, ag.set_training(True), ag.set_training(False), ag.is_training()]


@case
def states_are_per_thread(mx):
    import threading

    seen = []
    with mx.autograd.record():
        t = threading.Thread(
            target=lambda: seen.append((mx.autograd.is_recording(), mx.autograd.is_training()))
        )
        t.start()
        t.join()
    return seen


@case
def a_scope_can_be_entered_twice(mx):
    scope, seen = mx.autograd.record(), []
    for _ in range(2):
        with scope:
            seen.append(mx.autograd.is_recording())
        seen.append(mx.autograd.is_recording())
    return seen


@case
def simple_gradient(mx):
    x = mx.nd.array([[1, 2], [3, 4]])
    x.attach_grad()
    with mx.autograd.record():
        y = 2 * x * x
    y.backward()
    return [y, x.grad, x.grad.dtype]


@case
def attach_grad_states(mx):
    x = mx.nd.array([1, 2])
    before = x.grad
    x.attach_grad()
    zeros = x.grad.copy()
    x.grad[:] = 5
    x.attach_grad()
    y = mx.nd.array([1.5, 2], dtype="float64")
    y.attach_grad("add")
    z = mx.nd.array([1])
    z.attach_grad(grad_req="null")
    return [
        before,
        zeros,
        x.grad,
        y.grad,
        z.grad,
        attempt(x.attach_grad, "nonsense"),
        attempt(x.attach_grad, stype="nonsense"),
    ]


@case
def attach_grad_on_integers(mx):
    x = mx.nd.array([1, 2], dtype="int32")
    x.attach_grad()
    with mx.autograd.record():
        y = x * x
    y.backward()
    return [y, x.grad]


@case
def grad_req_write_add_null(mx):
    result = {}
    for req in ("write", "add", "null"):
        x = vector(mx, grad_req=req)
        for _ in range(3):
            with mx.autograd.record():
                y = x * x
            failed = attempt(y.backward)
        result[req] = [x.grad, failed]
    return result


@case
def grad_req_add_with_many_uses(mx):
    x = vector(mx, grad_req="add")
    for _ in range(2):
        with mx.autograd.record():
            y = x * x + x * 3 + mx.nd.exp(x * 0) + x
        y.backward()
    return x.grad


@case
def grad_array_is_kept(mx):
    """The gradient is written into the memory that attach_grad made."""
    x = vector(mx)
    g = x.grad
    with mx.autograd.record():
        y = x * 2
    y.backward()
    x.grad[0] = 9
    return g


@case
def head_gradients(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * 2
        z = x * x
    y.backward(mx.nd.array([10, 20, 30]))
    first = x.grad.copy()
    with mx.autograd.record():
        y = x * 2
        z = x * x
    mx.autograd.backward([y, z], [mx.nd.array([1, 1, 1]), None])
    second = x.grad.copy()
    with mx.autograd.record():
        y = x * 2
        z = x * x
    mx.autograd.backward([y, z], [None, None])
    third = x.grad.copy()
    with mx.autograd.record():
        y = x * 2
        z = x * x
    mx.autograd.backward([y, z])
    return [first, second, third, x.grad]


def after_recording(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * 2
        z = x * x
    return x, y, z


BAD_HEADS = {
    "shape": lambda mx, y, z: y.backward(mx.nd.ones((2,))),
    "more elements": lambda mx, y, z: y.backward(mx.nd.ones((2, 3))),
    "reshaped": lambda mx, y, z: y.backward(mx.nd.ones((3, 1))),
    "dtype": lambda mx, y, z: y.backward(mx.nd.ones((3,), dtype="float64")),
    "int": lambda mx, y, z: y.backward(mx.nd.ones((3,), dtype="int32")),
    "number": lambda mx, y, z: y.backward(1.0),
    "list": lambda mx, y, z: y.backward([1.0, 1.0, 1.0]),
    "too few": lambda mx, y, z: mx.autograd.backward([y, z], [mx.nd.ones((3,))]),
    "too many": lambda mx, y, z: mx.autograd.backward([y], [mx.nd.ones((3,))] * 2),
    "no heads": lambda mx, y, z: mx.autograd.backward([]),
    "None heads": lambda mx, y, z: mx.autograd.backward(None),
    "not an array": lambda mx, y, z: mx.autograd.backward([y, 3]),
    "not recorded": lambda mx, y, z: mx.nd.ones((3,)).backward(),
    "one not recorded": lambda mx, y, z: mx.autograd.backward([y, mx.nd.ones((3,))]),
    "bare head with list": lambda mx, y, z: mx.autograd.backward(y, [mx.nd.ones((3,))]),
    "list with bare head": lambda mx, y, z: mx.autograd.backward([y], mx.nd.ones((3,))),
    "bare both": lambda mx, y, z: mx.autograd.backward(y, mx.nd.ones((3,))),
    "tuple": lambda mx, y, z: mx.autograd.backward((y, z), (mx.nd.ones((3,)), None)),
    "same head twice": lambda mx, y, z: mx.autograd.backward([y, y]),
}
UNSAFE_HEADS = ("shape",)  # MXNet reads past the end of the head gradient
for label, program in BAD_HEADS.items():

    @case(name=f"head {label}", unsafe=label in UNSAFE_HEADS)
    def heads(mx, program=program):
        x, y, z = after_recording(mx)
        result = attempt(program, mx, y, z)
        return [result, x.grad]


@case
def backward_twice(mx):
    x, y, z = after_recording(mx)
    y.backward()
    return [attempt(y.backward), attempt(z.backward), x.grad]


@case
def backward_twice_through_a_shared_part(mx):
    x = vector(mx)
    with mx.autograd.record():
        h = mx.nd.exp(x)
        y, z = h * 2, h * 3
    y.backward()
    return [attempt(z.backward), x.grad]


@case
def retain_graph(mx):
    x = vector(mx, grad_req="add")
    with mx.autograd.record():
        y = mx.nd.exp(x)
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    return [x.grad, attempt(y.backward)]


@case
def unused_variables_keep_their_gradient(mx):
    x, other = vector(mx), vector(mx)
    other.grad[:] = 7
    with mx.autograd.record():
        y = x * 2
        _unused = other * 3
    y.backward()
    return [x.grad, other.grad]


@case
def variable_that_is_a_head(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * 2
    mx.autograd.backward([x, y])
    first = x.grad.copy()
    x.grad[:] = 0
    result = attempt(x.backward)
    return [first, result, x.grad]


@case
def same_variable_many_times(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * x * x + x / x + mx.nd.concat(x, x, dim=0).sum()
    y.backward()
    return [y, x.grad]


@case
def diamond(mx):
    x = vector(mx)
    with mx.autograd.record():
        a = x * 2
        b, c = mx.nd.sin(a), mx.nd.cos(a)
        y = b * c + a
    y.backward()
    return x.grad


@case
def outputs_of_split_partly_used(mx):
    x = mx.nd.arange(6).reshape((2, 3))
    x.attach_grad()
    with mx.autograd.record():
        a, _b, c = mx.nd.split(x, num_outputs=3, axis=1)
        y = a * 2 + c * 5
    y.backward()
    return x.grad


@case
def control_flow(mx):
    x = vector(mx, (0.5, -1.0))
    with mx.autograd.record():
        y = x * 2
        while mx.nd.norm(y).asscalar() < 1000:
            y = y * 2
        z = y[0] if y.sum().asscalar() >= 0 else y[1]
    z.backward()
    return [z, x.grad]


@case
def attach_grad_on_an_intermediate_cuts(mx):
    x = vector(mx)
    with mx.autograd.record():
        h = x * 2
        h.attach_grad()
        y = h * h
    y.backward()
    return [x.grad, h.grad]


@case
def detach_and_block_grad(mx):
    x = vector(mx)
    with mx.autograd.record():
        h = x * x
        y = h.detach() * x + mx.nd.BlockGrad(h) * x + mx.nd.stop_gradient(x)
    y.backward()
    return [x.grad, h.detach().grad, x.detach().grad]


@case
def recording_ends_with_the_scope(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * 2
    z = y * 3
    return [attempt(z.backward), x.grad]


@case
def pause_inside_record(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * x
        with mx.autograd.pause():
            c = y * 10
        z = y + c
    z.backward()
    return x.grad


@case
def gradient_after_the_variable_is_overwritten_by_name(mx):
    x = vector(mx)
    keep = x
    with mx.autograd.record():
        for _ in range(3):
            x = x * 2
    x.backward()
    return [x, keep.grad]


IN_PLACE = {
    "add": lambda mx, x, y: y.__iadd__(1),
    "sub": lambda mx, x, y: y.__isub__(1),
    "mul": lambda mx, x, y: y.__imul__(2),
    "div": lambda mx, x, y: y.__itruediv__(2),
    "mod": lambda mx, x, y: y.__imod__(2),
    "set all": lambda mx, x, y: y.__setitem__(slice(None), 1),
    "set one": lambda mx, x, y: y.__setitem__(0, 1),
    "set by list": lambda mx, x, y: y.__setitem__([0, 1], 1),
    "out=": lambda mx, x, y: mx.nd.exp(x, out=y),
    "variable add": lambda mx, x, y: x.__iadd__(1),
    "variable set": lambda mx, x, y: x.__setitem__(slice(None), 1),
    "copyto": lambda mx, x, y: x.copyto(y),
    "of a view": lambda mx, x, y: y[0:1].__iadd__(1),
    "of an outsider": lambda mx, x, y: mx.nd.zeros((3,)).__iadd__(x),
    "of an outsider with a constant": lambda mx, x, y: mx.nd.zeros((3,)).__iadd__(mx.nd.ones((3,))),
    "outsider set": lambda mx, x, y: mx.nd.zeros((3,)).__setitem__(slice(None), 4),
    "outsider set by array": lambda mx, x, y: mx.nd.zeros((3,)).__setitem__(
        slice(None), mx.nd.ones((3,))
    ),
    "outsider set from recorded": lambda mx, x, y: mx.nd.zeros((3,)).__setitem__(slice(None), y),
}
for label, program in IN_PLACE.items():

    @case(name=f"in place under record: {label}")
    def in_place(mx, program=program):
        x = vector(mx)
        with mx.autograd.record():
            y = x * 2
            result = attempt(program, mx, x, y)
        return [result, x, y]

    @case(name=f"in place after record: {label}")
    def in_place_after(mx, program=program):
        x = vector(mx)
        with mx.autograd.record():
            y = x * 2
        result = attempt(program, mx, x, y)
        return [result, x, y]


# ---- grad()


@case
def grad_returns_and_leaves_the_buffers(mx):
    x = vector(mx)
    x.grad[:] = 9
    with mx.autograd.record():
        y = x * x
    g = mx.autograd.grad(y, x)
    return [g, x.grad]


@case
def grad_of_lists(mx):
    x, w = vector(mx), vector(mx, (4.0, 5.0, 6.0))
    with mx.autograd.record():
        y, z = x * w, x + w
    both = mx.autograd.grad([y, z], [x, w], retain_graph=True)
    one = mx.autograd.grad([y], [x], head_grads=[mx.nd.array([1, 10, 100])], retain_graph=True)
    bare = mx.autograd.grad(y, [w], head_grads=mx.nd.array([1, 10, 100]))
    return [both, one, bare]


@case
def grad_without_attach(mx):
    x = mx.nd.array([1, 2])
    with mx.autograd.record():
        y = x * x
    return attempt(mx.autograd.grad, y, x)


@case
def grad_of_an_unused_variable(mx):
    x, w = vector(mx), vector(mx)
    with mx.autograd.record():
        y = x * x
    return [attempt(mx.autograd.grad, y, [w]), attempt(mx.autograd.grad, y, [x, w])]


@case
def grad_wrt_an_intermediate(mx):
    x = vector(mx)
    with mx.autograd.record():
        h = x * 2
        y = h * h
    return [attempt(mx.autograd.grad, y, [h]), attempt(mx.autograd.grad, y, [])]


@case
def grad_twice(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = mx.nd.exp(x)
    first = mx.autograd.grad(y, x)
    return [first, attempt(mx.autograd.grad, y, x)]


@case
def grad_errors(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = x * x
    return [
        attempt(mx.autograd.grad, y, 3),
        attempt(mx.autograd.grad, y, None),
        attempt(mx.autograd.grad, 3, x),
        attempt(mx.autograd.grad, [y], [x], [mx.nd.ones((3,)), None]),
        attempt(mx.autograd.grad, mx.nd.ones((3,)), x),
    ]


# ---- mark_variables


@case
def mark_variables(mx):
    x, w = mx.nd.array([1, 2]), mx.nd.array([3, 4])
    gx, gw = mx.nd.array([7, 7]), mx.nd.array([8, 8])
    mx.autograd.mark_variables([x, w], [gx, gw], grad_reqs=["write", "add"])
    with mx.autograd.record():
        y = x * w
    y.backward()
    return [gx, gw, x.grad, w.grad]


@case
def mark_variables_one_request_for_all(mx):
    x, w = mx.nd.array([1, 2]), mx.nd.array([3, 4])
    gx, gw = mx.nd.ones((2,)), mx.nd.ones((2,))
    mx.autograd.mark_variables([x, w], [gx, gw], "add")
    with mx.autograd.record():
        y = x * w
    y.backward()
    return [gx, gw]


@case
def mark_variables_bare(mx):
    x, g = mx.nd.array([1, 2]), mx.nd.zeros((2,))
    mx.autograd.mark_variables(x, g)
    with mx.autograd.record():
        y = x * 3
    y.backward()
    return g


# ---- Function


def sigmoid_function(mx):
    class Sigmoid(mx.autograd.Function):
        def forward(self, x):
            y = 1 / (1 + mx.nd.exp(-x))
            self.save_for_backward(y)
            return y

        def backward(self, dy):
            (y,) = self.saved_tensors
            return dy * y * (1 - y)

    return Sigmoid()


@case
def function_one_input(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = sigmoid_function(mx)(x) * 2
    y.backward(mx.nd.array([1, 2, 3]))
    return [y, x.grad]


@case
def function_several_inputs_and_outputs(mx):
    class Mix(mx.autograd.Function):
        def forward(self, a, b):
            self.save_for_backward(a, b)
            return a * b, a + b

        def backward(self, d_product, d_sum):
            a, b = self.saved_tensors
            return d_product * b + d_sum, d_product * a + d_sum

    a, b = vector(mx), vector(mx, (4.0, 5.0, 6.0))
    with mx.autograd.record():
        p, s = Mix()(a, b)
        y = p * 2 + s * 3
    y.backward()
    return [p, s, a.grad, b.grad]


@case
def function_with_an_unused_output(mx):
    class Two(mx.autograd.Function):
        def forward(self, a):
            return a * 2, a * 3

        def backward(self, d2, d3):
            return d2 * 2 + d3 * 3

    a = vector(mx)
    with mx.autograd.record():
        p, _q = Two()(a)
    p.backward()
    return a.grad


@case
def function_grad_req_add(mx):
    x = vector(mx, grad_req="add")
    x.grad[:] = 1
    for _ in range(2):
        with mx.autograd.record():
            y = sigmoid_function(mx)(x)
        y.backward()
    return x.grad


@case
def function_outside_record(mx):
    return sigmoid_function(mx)(mx.nd.array([0.0, 1.0]))


@case
def function_used_twice(mx):
    x = vector(mx)
    f = sigmoid_function(mx)
    with mx.autograd.record():
        f(x)
        return attempt(f, x)


@case
def function_is_paused_inside(mx):
    seen = []

    class Look(mx.autograd.Function):
        def forward(self, x):
            seen.append((mx.autograd.is_recording(), mx.autograd.is_training()))
            return x * 1

        def backward(self, dy):
            seen.append((mx.autograd.is_recording(), mx.autograd.is_training()))
            return dy

    x = vector(mx)
    with mx.autograd.record():
        y = Look()(x)
    y.backward()
    x.grad.wait_to_read()
    return seen


@case
def function_without_forward(mx):
    class Empty(mx.autograd.Function):
        pass

    return attempt(Empty(), mx.nd.ones((1,)))


# ---- the older names, in mxnet.contrib.autograd


def contrib(mx):
    import importlib

    return importlib.import_module(mx.__name__ + ".contrib.autograd")


@case
def contrib_grad_and_loss(mx):
    c = contrib(mx)
    f = c.grad_and_loss(lambda a, b: a * b + a, argnum=0)
    both = c.grad_and_loss(lambda a, b: a * b + a)
    listed = c.grad_and_loss(lambda a, b: a * b + a, argnum=[1])
    a, b = mx.nd.array([1, 2]), mx.nd.array([3, 4])
    return [
        f(a, b),
        both(a, b),
        listed(a, b),
        c.grad(lambda x: x * x)(a),
        c.grad(lambda x, y: x * y, argnum=1)(a, b),
    ]


@case
def contrib_grad_and_loss_errors(mx):
    c = contrib(mx)
    return [
        attempt(c.grad_and_loss(lambda a: a * 2), 3),
        attempt(c.grad_and_loss(lambda a: a * 2, argnum=4), mx.nd.ones((1,))),
    ]


@case
def contrib_sections(mx):
    c, ag, seen = contrib(mx), mx.autograd, []
    with c.train_section():
        seen.append((ag.is_recording(), ag.is_training()))
        with c.test_section():
            seen.append((ag.is_recording(), ag.is_training()))
    seen.append(c.set_is_training(True))
    seen.append((ag.is_recording(), ag.is_training()))
    seen.append(c.set_is_training(False))
    seen.append((ag.is_recording(), ag.is_training()))
    with c.TrainingStateScope(True):
        seen.append((ag.is_recording(), ag.is_training()))
    return seen


@case
def contrib_backward_and_compute_gradient(mx):
    c = contrib(mx)
    x, g = mx.nd.array([1, 2]), mx.nd.zeros((2,))
    c.mark_variables([x], [g])
    with c.train_section():
        y = x * x
    c.backward([y], [mx.nd.array([1, 10])])
    first = g.copy()
    with c.train_section():
        y = x * x
    returned = c.compute_gradient([y])
    return [first, g, returned]


@case
def backward_train_mode(mx):
    """train_mode of backward is what operators see while they compute their gradients."""
    x = mx.nd.ones((4,))
    x.attach_grad()
    with mx.autograd.record(train_mode=False):
        y = mx.nd.Dropout(x, p=0.5) * 2
    y.backward(train_mode=False)
    first = x.grad.copy()
    with mx.autograd.record(train_mode=False):
        y = mx.nd.Dropout(x, p=0.5) * 2
    mx.autograd.backward([y], train_mode=True)
    return [first, x.grad]


@case
def gradients_of_mixed_dtypes(mx):
    x, w = vector(mx, (1.0, 2.0), dtype="float64"), vector(mx, (3.0, 4.0), dtype="float16")
    with mx.autograd.record():
        y = x * w.astype("float64") + x.astype("float32").astype("float64")
    y.backward()
    return [y, x.grad, w.grad]


@case
def gradient_with_respect_to_comparisons(mx):
    x = vector(mx, (-1.0, 0.0, 2.0))
    with mx.autograd.record():
        y = (x > 0) * x * x
    y.backward()
    return x.grad


@case
def argmax_has_zero_or_no_gradient(mx):
    x = vector(mx)
    with mx.autograd.record():
        y = mx.nd.argmax(x, axis=0) * x[0]
    return [attempt(y.backward), x.grad]


@case
def deep_chain(mx):
    x = vector(mx, (1.0,))
    with mx.autograd.record():
        y = x
        for _ in range(2000):
            y = y * 1.001
    y.backward()
    return x.grad

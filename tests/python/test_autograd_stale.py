"""A saved array that changed between forward and backward is noticed."""

import warnings

import numpy as np
import pytest

from mxtape import autograd, nd
from support import assert_same, output_of, run_program, variable

ONLY_MXTAPE = pytest.mark.differs("MXNet computes a wrong gradient and says nothing")


def overwrite(array):
    array[:] = 7


def increment(array):
    array += 1


def write_through_view(array):
    array[0:1][:] = 7


def write_through_reshape(array):
    array.reshape((-1, 1))[:] = 7


def write_as_out(array):
    nd.exp(array, out=array)


WRITES = [overwrite, increment, write_through_view, write_through_reshape, write_as_out]


@ONLY_MXTAPE
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_changed_input_warns_and_names_operator_and_line(write):
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    write(x)
    with pytest.warns(UserWarning, match="test_autograd_stale.py") as caught:
        y.backward()
    (message,) = [str(warning.message) for warning in caught]
    assert "mul" in message
    line = test_changed_input_warns_and_names_operator_and_line.__code__.co_firstlineno + 5
    assert f"test_autograd_stale.py:{line}" in message


@ONLY_MXTAPE
def test_changed_output_warns():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.exp(x)
        z = y.sum()
    y[:] = 0
    with pytest.warns(UserWarning, match="exp"):
        z.backward()


@ONLY_MXTAPE
def test_warning_points_at_the_recording_line_of_each_operator():
    x = variable([1.0, 2.0])
    with autograd.record():
        a = nd.square(x)
        b = nd.exp(x)
        y = a + b
    x += 1
    with pytest.warns(UserWarning, match="test_autograd_stale.py") as caught:
        y.backward()
    assert any("square" in str(warning.message) for warning in caught)


def assert_no_warning(head):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head.backward()


def test_unchanged_arrays_do_not_warn():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.exp(x) * x
    assert_no_warning(y)


def test_change_that_no_gradient_reads_does_not_warn():
    x, w = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        y = x + w
        z = y * 3
    x += 1
    y += 1
    assert_no_warning(z)
    assert_same(x.grad, [3, 3])


def test_exp_saves_its_output_not_its_input():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = nd.exp(x)
    x[:] = 0
    assert_no_warning(y)
    assert_same(x.grad, np.exp([1.0, 2.0]))


def test_change_after_backward_does_not_warn():
    x = variable([1.0, 2.0])
    for _ in range(3):
        with autograd.record():
            y = x * x
        assert_no_warning(y)
        x -= 0.1 * x.grad


def test_change_of_another_array_of_the_pool_does_not_warn():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    for _ in range(100):
        scratch = nd.zeros((2,))
        scratch += 1
        del scratch
    assert_no_warning(y)


def test_writing_the_gradient_buffer_does_not_warn():
    x = variable([1.0, 2.0], grad_req="add")
    with autograd.record():
        y = x * x
    x.grad[:] = 5
    assert_no_warning(y)
    assert_same(x.grad, [7, 9])


@ONLY_MXTAPE
def test_change_between_two_runs_of_a_retained_graph():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.backward(retain_graph=True)
    x += 1
    with pytest.warns(UserWarning, match="test_autograd_stale.py"):
        y.backward()


@ONLY_MXTAPE
def test_warning_as_error_leaves_the_gradients():
    x = variable([1.0, 2.0])
    x.grad[:] = 9
    with autograd.record():
        y = x * x
    x += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            y.backward()
    assert_same(x.grad, [9, 9])


def saved_part(take, rows=8, columns=6):
    """An array, and the head of a graph that has saved the part `take` of it."""
    base = nd.array(np.arange(rows * columns).reshape(rows, columns))
    x = variable(np.ones(take(base).shape))
    with autograd.record():
        y = x * take(base)
    return base, x, y


def set_item(key, value=-1):
    def write(base):
        base[key] = value

    return write


def write_view(key, value=-1):
    def write(base):
        base[key][:] = value

    return write


def update_view(base):
    base[4:6] += 1


def out_view(base):
    nd.exp(base[5], out=base[6])


def write_for_dlpack(base):
    nd.to_dlpack_for_write(base[4:])


# What is saved, and writes to the same array that miss it and that reach it.
PARTS = {
    "rows": (
        lambda base: base[2:4],
        [
            set_item(0),
            set_item(slice(4, None)),
            set_item(([0, 1, 5], [1, 2, 3])),
            set_item([7, 6]),
        ],
        [set_item(3), set_item(slice(None, None, 3)), set_item(([0, 2], [1, 2])), set_item([5, 3])],
    ),
    "row": (
        lambda base: base[3],
        [set_item(slice(None, None, 2)), set_item((slice(0, 3), 0)), set_item((4, slice(2, 5)))],
        [set_item(slice(None, None, 3)), set_item((slice(None), 5)), set_item((3, 0))],
    ),
    "part of a row": (
        lambda base: base[3, 1:3],
        [
            set_item((slice(None), 0)),
            set_item((slice(None, None, -1), slice(3, None))),
            set_item((3, [0, 4])),
            set_item((slice(1, None, 4), slice(None))),
        ],
        [
            set_item((slice(None), 1)),
            set_item((slice(None, None, -1), slice(2, None))),
            set_item((3, [0, 2])),
            set_item(np.arange(48).reshape(8, 6) == 20),
        ],
    ),
    "reshaped": (
        lambda base: base[2:4].reshape((3, 4)),
        [write_view(slice(0, 2)), update_view, out_view, write_for_dlpack],
        [write_view(slice(0, 3)), lambda base: base.__iadd__(1), set_item(Ellipsis)],
    ),
}
MISSES = [(part, write) for part, (_, misses, _) in PARTS.items() for write in misses]
REACHES = [(part, write) for part, (_, _, reaches) in PARTS.items() for write in reaches]


@pytest.mark.parametrize(("part", "write"), MISSES)
def test_a_write_to_another_part_does_not_warn(part, write):
    base, x, y = saved_part(PARTS[part][0])
    before = PARTS[part][0](base).asnumpy()
    write(base)
    assert_no_warning(y)
    assert_same(x.grad, before)


@ONLY_MXTAPE
@pytest.mark.parametrize(("part", "write"), REACHES)
def test_a_write_to_the_saved_part_warns(part, write):
    base, _, y = saved_part(PARTS[part][0])
    for other in PARTS[part][1]:
        other(base)
    write(base)
    for other in PARTS[part][1]:
        other(base)
    with pytest.warns(UserWarning, match="test_autograd_stale.py"):
        y.backward()


def random_key(random, shape):
    """A key with numbers, slices with steps, lists and masks."""
    key = []
    for extent in shape[: random.randint(1, len(shape) + 1)]:
        kind = random.randint(6)
        if kind == 0:
            key.append(random.randint(-extent, extent))
        elif kind == 1:
            key.append(random.randint(0, extent, size=2).tolist())
        elif kind == 2:
            key.append(random.rand(extent) < 0.3)
        else:
            start, stop = (random.choice([None, random.randint(extent)]) for _ in range(2))
            key.append(slice(start, stop, random.choice([1, 2, 3, -1, -2])))
    if sum(isinstance(item, (list, np.ndarray)) for item in key) > 1:
        return key[0]
    return tuple(key)


@pytest.mark.differs("MXNet says nothing", run=False)
@pytest.mark.parametrize("seed", range(300))
def test_a_warning_says_that_saved_elements_were_written(seed):
    """Against a mask of what a random key selects; no write to what is saved goes unnoticed."""
    random = np.random.RandomState(seed)
    shape = (7, 5, 4)
    base, key = nd.zeros(shape), random_key(random, shape)
    depth = random.randint(3)
    place = tuple(random.randint(shape[axis]) for axis in range(depth))
    begin = random.randint(shape[depth])
    take = (*place, slice(begin, random.randint(begin + 1, shape[depth] + 1)))
    written, saved = np.zeros(shape, bool), np.zeros(shape, bool)
    written[key], saved[take] = True, True
    x = variable(np.ones(base[take].shape))
    with autograd.record():
        y = x * base[take]
    base[key] = 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y.backward()
    reached = bool((written & saved).any())
    assert not reached or caught
    if isinstance(key, tuple) and len(key) <= 2 and not reached:
        assert not caught


def test_a_buffer_that_is_filled_row_by_row():
    """Each step reads the row that it has written; many more writes than are noted one by one."""
    steps = 900
    buffer, w = nd.zeros((steps, 2)), variable([1.0, 1.0])
    total = 0
    with autograd.record():
        for i in range(steps):
            buffer[i] = [i, 1]
            total = total + w * buffer[i]
    assert_no_warning(total)
    assert_same(w.grad, [steps * (steps - 1) / 2, steps])


@ONLY_MXTAPE
def test_a_write_before_very_many_others_is_still_noticed():
    base, _, y = saved_part(lambda base: base[0])
    base[0] = 5
    for i in range(5000):
        base[1 + i % 7] = i
    with pytest.warns(UserWarning, match="test_autograd_stale.py"):
        y.backward()


def test_a_write_that_fails_does_not_warn():
    base, _, y = saved_part(lambda base: base[0])
    with pytest.raises(ValueError, match="broadcast"):
        base[0] = [1, 2, 3, 4]
    assert_no_warning(y)


PROGRAM = """
import warnings
import mxtape as mx
warnings.simplefilter("always")
x = mx.nd.array([1.0, 2.0])
x.attach_grad()
with mx.autograd.record():
    y = x * x
x[:] = 5
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        y.backward()
        print("gradient", x.grad.asnumpy().tolist())
    except mx.base.MXNetError as error:
        print("error", "mul" in str(error), x.grad.asnumpy().tolist())
print("warnings", len(caught))
"""


@ONLY_MXTAPE
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("warn", ["gradient [10.0, 10.0]", "warnings 1"]),
        ("error", ["error True [0.0, 0.0]", "warnings 0"]),
    ],
)
def test_setting_says_what_happens(setting, expected):
    assert output_of(PROGRAM, {"MXTAPE_STALE": setting}).splitlines() == expected


def test_setting_off_is_silent():
    expected = ["gradient [10.0, 10.0]", "warnings 0"]
    assert output_of(PROGRAM, {"MXTAPE_STALE": "off"}).splitlines() == expected


@ONLY_MXTAPE
def test_unknown_setting_is_told():
    done = run_program(PROGRAM, {"MXTAPE_STALE": "bogus"})
    assert "MXTAPE_STALE" in done.stderr
    assert "bogus" in done.stderr


def test_the_warning_is_at_the_users_line():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    x[:] = 7
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y.backward()
    line = test_the_warning_is_at_the_users_line.__code__.co_firstlineno + 7
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]


def test_the_error_names_the_site_once():
    program = """
        from mxtape import autograd, nd
        x = nd.array([1.0])
        x.attach_grad()
        with autograd.record():
            y = x * x
        x[:] = 7
        y.backward()
    """
    error = run_program(program, {"MXTAPE_STALE": "error"}).stderr.splitlines()[-1]
    assert error.count("<string>:6") == 1, error
    assert error.count("broadcast_mul") == 1, error
    assert "input 0 was saved for the gradient, and its memory was changed" in error

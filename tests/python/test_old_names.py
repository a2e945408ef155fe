"""Names that old programs need beside the operators; tests/conformance has their values."""

import ctypes
import logging
import sys
import threading
import types
import warnings
from array import array

import numpy as np
import pytest

import mxtape as mx
from mxtape import _c_types, base, nd
from support import assert_same, output_of, variable

# ---- mx.base


def test_folder_of_data(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.delenv("MXNET_HOME", raising=False)
    assert base.data_dir() == base.data_dir_default() == "/somebody/.mxnet"
    monkeypatch.setenv("MXNET_HOME", "/data")
    assert (base.data_dir(), base.data_dir_default()) == ("/data", "/somebody/.mxnet")


def test_the_c_interface_is_words_alone():
    assert base.NDArrayHandle is base.SymbolHandle is ctypes.c_void_p
    assert base.mx_uint is ctypes.c_uint
    with pytest.raises(AttributeError, match=r"_LIB\.MXNDArrayCreate: mxtape has no C interface"):
        base._LIB.MXNDArrayCreate()
    with pytest.raises(mx.MXNetError, match="returned -1"):
        base.check_call(-1)
    with pytest.raises(mx.MXNetError, match="object has no handle"):
        base.c_handle_array([object()])
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        base.absent  # noqa: B018
    assert not hasattr(base, "__path__")


def test_memory_through_ctypes():
    numbers = array("f", [1, 2, 3, 4])
    c = base.c_array_buf(base.mx_float, numbers)
    numbers[0] = 5
    assert list(c) == [5, 2, 3, 4]
    shared = base.ctypes2numpy_shared(ctypes.cast(c, base.mx_float_p), (2, 2))
    shared[1, 1] = 7
    assert numbers[3] == 7
    text = ctypes.create_string_buffer(b"abc")
    assert base.ctypes2buffer(ctypes.cast(text, ctypes.POINTER(ctypes.c_char)), 2) == b"ab"
    with pytest.raises(TypeError, match="pointer to char, got int"):
        base.ctypes2buffer(3, 1)
    with pytest.raises(RuntimeError, match="pointer to float, got int"):
        base.ctypes2numpy_shared(3, (1,))
    assert _c_types.MXCallbackList._fields_[0][0] == "num_callbacks"


def test_errors_of_kinds_of_arrays():
    error = base.NotSupportedForSparseNDArray(len, "alias", 1)
    assert isinstance(error, mx.MXNetError)
    assert "len" in str(error)
    assert "not supported for sparse arrays" in str(error)
    assert "not implemented for Symbol" in str(base.NotImplementedForSymbol(len, None))


def test_properties_of_classes():
    class Readable(metaclass=base.ClassPropertyMeta):
        @base.classproperty
        def answer(cls):
            return 42

        plain = 1

    assert (Readable.answer, Readable().answer) == (42, 42)
    with pytest.raises(AttributeError, match=r"Readable\.answer cannot be assigned"):
        Readable.answer = 1
    Readable.plain = 2
    assert Readable.plain == 2


# ---- NumPy's shapes: what the recorded cases do not have


def test_np_shape_leaves_what_was_made_and_other_threads_alone():
    x = nd.array([1.0, 2.0])
    before = x[0]
    with mx.np_shape(True):
        assert (before.shape, x[0].shape) == ((1,), ())
        seen = []
        thread = threading.Thread(target=lambda: seen.append(x[0].shape))
        thread.start()
        thread.join()
        assert seen == [(1,)]
    assert x[0].shape == (1,)


def test_np_shape_scopes_end_with_errors_and_nest():
    scope = mx.np_shape(True)
    with pytest.raises(ValueError, match="inner"), scope, scope, mx.np_shape(False):
        raise ValueError("inner")
    assert not mx.is_np_shape()


def test_elements_are_views_under_np_shape():
    x = nd.array([[1.0, 2.0], [3.0, 4.0]])
    with mx.np_shape():
        element = x[1, 0]
        element[()] = 9
        assert x.asnumpy().tolist() == [[1, 2], [9, 4]]
        assert x[1][0].asscalar() == 9
        assert (x[np.int32(1)].shape, x[np.int32(1), 1].shape) == ((2,), ())


def test_use_np_shape_of_all_kinds_of_methods():
    @mx.use_np_shape
    class Layer:
        @staticmethod
        def static():
            return mx.is_np_shape()

        @classmethod
        def of_class(cls):
            return cls.__name__, mx.is_np_shape()

        class Inner:
            def flag(self):
                return mx.is_np_shape()

    assert Layer.static()
    assert Layer.of_class() == ("Layer", True)
    assert not Layer.Inner().flag()


@pytest.mark.parametrize(
    "call",
    [
        mx.util.set_np,
        mx.np_array,
        lambda: mx.use_np(len),
        lambda: mx.use_np_array(len),
        lambda: mx.util.set_np(shape=True, array=True),
    ],
)
def test_arrays_of_mx_np_are_not_there(call):
    with pytest.raises(mx.MXNetError, match=r"mx\.np arrays are not in mxtape yet"):
        call()
    assert not mx.is_np_shape()
    with mx.np_array(False):
        assert not mx.is_np_array()


# ---- keywords


def _without_parameters():
    """The public operators that take arrays and nothing else, as MXNet has them."""
    from mxtape._loader import core

    described = [core.describe_op(name) for name in core.op_names()]
    return [
        info for info in described if not info["params"] and not info["variadic"] and info["inputs"]
    ]


def test_operators_without_parameters_ignore_ctx_and_dtype():
    ops = _without_parameters()
    assert len(ops) > 80
    for info in ops:
        op = mx.nd.register.get(info["name"])
        with pytest.raises(mx.MXNetError) as error:
            op(ctx=mx.cpu(), dtype="float16")
        assert "unknown argument" not in str(error.value), info["name"]
        with pytest.raises(mx.MXNetError, match="unknown argument 'nonsense'"):
            op(nonsense=1)


def test_ignored_keywords_change_nothing():
    x = variable([1.0, 4.0], dtype="float64")
    with mx.autograd.record():
        y = nd.sqrt(x, dtype="float16", ctx=mx.gpu())
    y.backward()
    assert y.dtype is np.float64
    assert x.grad.asnumpy().tolist() == [0.5, 0.25]
    out = nd.zeros((2,), dtype="float64")
    assert nd.ones_like(x, ctx=mx.cpu(), out=out) is out
    with pytest.raises(mx.MXNetError, match="unknown argument 'ctx'"):
        nd.softmax(x, ctx=mx.cpu())
    with pytest.raises(mx.MXNetError, match="unknown argument 'shape'"):
        nd.exp(x, shape=(2,))


# ---- mx.name, mx.AttrScope in threads; mx.engine, mx.libinfo, mx.library


def test_every_thread_counts_by_itself():
    assert len({*_in_threads(lambda: mx.name.NameManager.current.get(None, "fc"))}) == 1
    with mx.name.Prefix("p_"), mx.AttrScope(a="1"):
        assert set(_in_threads(lambda: mx.name.NameManager.current.get(None, "fc"))) == {"fc0"}
        assert _in_threads(lambda: mx.AttrScope.current.get(None)) == [{}, {}]


def _in_threads(function):
    results: list = []
    threads = [threading.Thread(target=lambda: results.append(function())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_scope_does_not_change_what_it_was_given():
    given = {"x": "1"}
    scope = mx.AttrScope(y="2")
    assert scope.get(given) == {"y": "2", "x": "1"}
    assert given == {"x": "1"}
    scope.get(None)["z"] = "3"
    assert scope.get(None) == {"y": "2"}


def test_where_the_library_is():
    import os

    (path,) = mx.libinfo.find_lib_path()
    assert os.path.samefile(path, sys.modules["mxtape._core"].__file__)
    with pytest.raises(mx.MXNetError, match="no headers"):
        mx.libinfo.find_include_path()
    with pytest.raises(mx.MXNetError, match="cannot load libraries"):
        mx.library.load(path)
    with pytest.raises(mx.MXNetError, match=r"there is no file 'absent\.so'"):
        mx.library.load("absent.so")


def test_bulks_end_with_errors():
    before = mx.engine.set_bulk_size(0)
    with pytest.raises(KeyError), mx.engine.bulk(5):
        {}["absent"]
    with mx.engine.bulk(5):
        assert mx.engine.set_bulk_size(5) == 5
    assert mx.engine.set_bulk_size(before) == 0


# ---- mx.log, mx.registry


def test_loggers(tmp_path, capsys):
    path = tmp_path / "log.txt"
    to_file = mx.log.get_logger("mxtape.test.file", filename=str(path), level=mx.log.INFO)
    to_file.info("one")
    to_file.debug("two")
    for handler in to_file.handlers:
        handler.close()
    assert path.read_text() == "one\n"
    stream = mx.log.get_logger("mxtape.test.stream")
    stream.propagate = False
    stream.warning("%s things", 3)
    stream.info("nothing")
    text = capsys.readouterr().err
    assert text.startswith("W")
    assert text.endswith("] 3 things\n")
    assert "test_old_names.py:test_loggers:" in text
    assert mx.log.get_logger("mxtape.test.stream", level=mx.log.DEBUG) is stream
    assert (len(stream.handlers), stream.level) == (1, logging.WARNING)
    assert mx.log.get_logger() is logging.getLogger()
    with pytest.warns(DeprecationWarning, match="get_logger"):
        mx.log.getLogger("mxtape.test.stream")


def test_colors_are_for_terminals():
    record = logging.LogRecord("n", logging.ERROR, "p.py", 7, "text", (), None, "f")
    assert mx.log._Formatter(colored=True).format(record).startswith("\x1b[31mE")
    assert "\x1b" not in mx.log._Formatter(colored=False).format(record)


def test_registry_messages():
    class Shape:
        pass

    register = mx.registry.get_register_func(Shape, "shape")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        circle = register(type("Circle", (Shape,), {}))
        register(circle)
    create = mx.registry.get_create_func(Shape, "shape")
    assert isinstance(create("Circle"), circle)
    with pytest.raises(
        AssertionError, match=r"shape: 'square' is not registered; there are: \['cir"
    ):
        create("square")
    with pytest.warns(UserWarning, match="in the place of"):
        register(type("Other", (Shape,), {}), "circle")
    mx.registry.get_registry(Shape).clear()
    assert "circle" in mx.registry.get_registry(Shape)


# ---- operators in Python of the older kinds


@pytest.mark.parametrize("kind", ["NumpyOp", "NDArrayOp"])
def test_older_python_operators_make_symbols(kind):
    class Scale(getattr(mx.operator, kind)):
        def forward(self, in_data, out_data):
            out_data[0][:] = in_data[0] * 2

        def backward(self, out_grad, in_data, out_data, in_grad):
            in_grad[0][:] = out_grad[0] * 2
            in_grad[1][:] = 7

        def list_arguments(self):
            return ["data", "label"]

        def infer_shape(self, in_shape):
            return [in_shape[0], (in_shape[0][0],)], [in_shape[0]]

    with pytest.warns(UserWarning, match="use mx.operator.CustomOp"):
        op = Scale()
    assert op.list_arguments() == ["data", "label"]
    y = np.zeros(2)
    op.forward(in_data=[np.ones(2)], out_data=[y])
    assert y.tolist() == [2, 2]
    for call in (op, op.get_symbol):
        symbol = call(data=mx.sym.exp(mx.sym.var("x")), name="twice")
        assert symbol.list_arguments() == ["x", "twice_label"]
        executor = symbol.simple_bind(mx.cpu(), x=(2, 3))
        assert_same(executor.forward(is_train=True)[0], np.full((2, 3), 2))
        executor.backward([nd.ones((2, 3))])
        assert_same(executor.grad_dict["x"], np.full((2, 3), 2))
        assert_same(executor.grad_dict["twice_label"], [7, 7])


def test_an_older_python_operator_that_is_a_loss():
    class Loss(mx.operator.NumpyOp):
        def backward(self, out_grad, in_data, out_data, in_grad):
            in_grad[0][:] = in_data[0] - 3

    with pytest.warns(UserWarning, match="use mx.operator.CustomOp"):
        loss = Loss(need_top_grad=False)
    executor = loss(mx.sym.var("x")).simple_bind(mx.cpu(), x=(2,))
    executor.forward(is_train=True)
    executor.backward()
    assert_same(executor.grad_dict["x"], [-3, -3])


# ---- mx.contrib


def test_metrics_for_tensorboard(monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, global_step):
            written.append((self.folder, name, value, global_step))

    for name in mx.contrib.tensorboard._WRITERS:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="mxboard, tensorboardX"):
        mx.contrib.tensorboard.LogMetricsCallback("logs")
    module = types.ModuleType("tensorboardX")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    metric = types.SimpleNamespace(get_name_value=lambda: [("accuracy", 0.5), ("loss", 2.0)])
    for prefix in (None, "train"):
        callback = mx.contrib.tensorboard.LogMetricsCallback("logs", prefix)
        callback(types.SimpleNamespace(eval_metric=metric, epoch=3))
        callback(types.SimpleNamespace(eval_metric=None, epoch=4))
    assert written == [
        ("logs", "accuracy", 0.5, 3),
        ("logs", "loss", 2.0, 3),
        ("logs", "train-accuracy", 0.5, 3),
        ("logs", "train-loss", 2.0, 3),
    ]


def test_embeddings_from_published_files(tmp_path, monkeypatch):
    text = mx.contrib.text
    folder = tmp_path / "glove"
    folder.mkdir()
    (folder / "glove.6B.50d.txt").write_text("a 1 2\nb 3 4\n")
    vocabulary = text.vocab.Vocabulary(text.utils.count_tokens_from_str("b c"))
    made = text.embedding.create(
        "glove",
        pretrained_file_name="glove.6B.50d.txt",
        embedding_root=str(tmp_path),
        vocabulary=vocabulary,
    )
    assert made.idx_to_token == ["<unk>", "b", "c"]
    assert made.idx_to_vec.asnumpy().tolist() == [[0, 0], [3, 4], [0, 0]]
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"embeddings/fasttext/wiki.simple.vec'.*downloads"):
        text.embedding.create("fasttext")


def test_embeddings_of_ones_own_class(tmp_path):
    embedding = mx.contrib.text.embedding

    @embedding.register
    class Ones(embedding._TokenEmbedding):
        def __init__(self, width=2, **kwargs):
            super().__init__(**kwargs)
            self._vec_len = width
            self._idx_to_vec = nd.ones((len(self), width))

    assert embedding.create("ones", width=3).get_vecs_by_tokens("x").asnumpy().tolist() == [1, 1, 1]
    assert "ones" not in embedding.get_pretrained_file_names()
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match="it holds no vectors"):
        embedding.CustomEmbedding(str(tmp_path / "empty.txt"))
    with pytest.raises(ValueError, match="there is no file"):
        embedding.CustomEmbedding(str(tmp_path / "absent.txt"))
    (tmp_path / "twice.txt").write_text("a 1 2\na 3 4\n")
    with pytest.warns(UserWarning, match="line 2: a second vector for 'a' is left out"):
        embedding.CustomEmbedding(str(tmp_path / "twice.txt"))


def test_numbers_that_no_token_has():
    vocabulary = mx.contrib.text.vocab.Vocabulary()
    for index in (-1, 1, "a"):
        with pytest.raises(ValueError, match="is not the number of a token"):
            vocabulary.to_tokens(index)


# ---- whether a gradient is fresh


def test_fresh_gradients():
    x, y = variable([1.0, 2.0]), variable([1.0], grad_req="add")
    assert (x._fresh_grad, y._fresh_grad, nd.ones((1,))._fresh_grad) == (0, 0, 0)
    with mx.autograd.record():
        z = x * x
    assert z._fresh_grad == 0
    z.backward()
    assert (x._fresh_grad, y._fresh_grad, x.grad._fresh_grad) == (1, 0, 0)
    x._fresh_grad = False
    assert x._fresh_grad == 0
    with mx.autograd.record():
        z = x * y
    mx.autograd.grad(z, [x], retain_graph=True)
    assert x._fresh_grad == 0
    z.backward()
    assert (x._fresh_grad, y._fresh_grad) == (1, 1)
    x.attach_grad()
    assert x._fresh_grad == 0
    x._fresh_grad = True
    assert x._fresh_grad == 1


def test_only_variables_have_fresh_gradients():
    with pytest.raises(mx.MXNetError, match="_fresh_grad: the array is not a variable"):
        nd.ones((1,))._fresh_grad = True
    x = variable([1.0], grad_req="null")
    w = variable([1.0])
    with mx.autograd.record():
        z = x * w
    z.backward()
    assert (x._fresh_grad, w._fresh_grad) == (0, 1)


def test_a_gradient_that_fails_is_not_fresh():
    class Fails(mx.autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, head):
            raise ValueError("on purpose")

    x = variable([1.0])
    with mx.autograd.record():
        y = Fails()(x)
    with pytest.raises(ValueError, match="on purpose"):
        y.backward()
    assert x._fresh_grad == 0


def test_programs_read_the_version():
    assert output_of("import mxtape; print(mxtape.libinfo.__version__)") == "1.9.1\n"

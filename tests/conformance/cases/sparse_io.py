"""Sparse arrays in iterators, data sets, metrics and the helpers of test_utils."""

import os
import tempfile
from types import SimpleNamespace

import numpy as np
from harness import case, values

DATA = np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0], [4, 0, 0], [0, 5, 6]], "float32")
SVM = ["1.0 0:0.5 2:1.5", "-2.0", "-3.0 0:0.75 1:2.5 2:1.25", "4 2:-1.25 # of a line"]
SVM_LABELS = ["9 0:1 1:2", "9 1:3", "9 0:4", "9 1:5"]


def _epochs(iterator, epochs=2):
    found = [[(d.name, d.shape, d.dtype, d.layout) for d in iterator.provide_data]]
    found.append([(d.name, d.shape, d.dtype, d.layout) for d in iterator.provide_label])
    for epoch in range(epochs):
        if epoch:
            iterator.reset()
        for batch in iterator:
            index = None if batch.index is None else batch.index.tolist()
            found.append([epoch, batch.data, batch.label, batch.pad, index])
    return found


# MXNet's iterator crashes now and then when it is reset: few cases do.
def _libsvm(mx, data=SVM, label=None, epochs=1, **options):
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("data_libsvm", data), ("label_libsvm", label)):
            if lines is not None:
                options[name] = os.path.join(folder, name)
                with open(options[name], "w") as f:
                    f.write("\n".join(lines) + "\n")
        return _epochs(mx.io.LibSVMIter(**options), epochs)


for _name, _options in {
    "3": {"data_shape": (3,), "batch_size": 3, "epochs": 3},
    "2": {"data_shape": (3,), "batch_size": 2},
    "5": {"data_shape": (3,), "batch_size": 5},
    "wide": {"data_shape": (1000,), "batch_size": 2},
    "labels 2": {"data_shape": (3,), "batch_size": 2, "label": SVM_LABELS, "label_shape": (2,)},
    "labels 3": {"data_shape": (3,), "batch_size": 3, "label": SVM_LABELS, "label_shape": (2,)},
    "labels of one": {"data_shape": (3,), "batch_size": 2, "label": SVM_LABELS},
    "a label shape and no labels": {"data_shape": (3,), "batch_size": 2, "label_shape": (2,)},
    "not round": {"data_shape": (3,), "batch_size": 3, "round_batch": False},
    "a matrix": {"data_shape": (3, 1), "batch_size": 2},
    "float64": {"data_shape": (3,), "batch_size": 2, "dtype": "float64"},
    "no shape": {"batch_size": 2},
    "no batch size": {"data_shape": (3,)},
    "negative": {"data_shape": (3,), "batch_size": 1, "data": ["1 -1:1 1:5"]},
    "unsorted": {"data_shape": (3,), "batch_size": 1, "data": ["1 2:1 0:2", "3 1:4 0:5"]},
    "twice": {"data_shape": (3,), "batch_size": 1, "data": ["1 2:1 2:2", "3 1:4"]},
    "zeros": {"data_shape": (3,), "batch_size": 2, "data": ["1 0:0 2:2", "3 1:0"]},
    "qid": {"data_shape": (3,), "batch_size": 2, "data": ["1 qid:3 0:1", "3 qid:2 1:5"]},
    "weights": {"data_shape": (3,), "batch_size": 2, "data": ["1:0.5 0:1", "3:2 1:5"]},
    "names": {"data_shape": (3,), "batch_size": 2, "data_name": "a", "label_name": "b"},
    "parts of one": {"data_shape": (3,), "batch_size": 2, "num_parts": 1, "part_index": 0},
}.items():
    case(lambda mx, k=_options: _libsvm(mx, **k), name=f"LibSVMIter {_name}")


def _setup(mx):
    def batches(data, **options):
        np.random.seed(0)  # noqa: NPY002
        return _epochs(mx.io.NDArrayIter(data, **options))

    csr = mx.nd.array(DATA).tostype("csr")
    return {
        "csr": csr,
        "rsp": mx.nd.array(DATA).tostype("row_sparse"),
        "d": mx.nd.arange(5),
        "it": batches,
        "D": mx.gluon.data,
    }


values(
    __name__,
    _setup,
    """
    it(csr, label=d, batch_size=2, last_batch_handle='discard')
    it(csr, label=d, batch_size=2, last_batch_handle='discard', shuffle=True)
    it(csr, label=d, batch_size=4, last_batch_handle='discard')
    it(csr, batch_size=8, last_batch_handle='discard')
    it(d, label=csr, batch_size=2, last_batch_handle='discard')
    it({'a': csr, 'b': d}, batch_size=2, last_batch_handle='discard')
    it(csr.astype('float64'), batch_size=2, last_batch_handle='discard')
    it(csr, batch_size=2)
    it(csr, batch_size=2, last_batch_handle='roll_over')
    it(d, label=csr, batch_size=5)
    it(rsp, label=d, batch_size=2, last_batch_handle='discard')
    it(rsp, label=d, batch_size=2)
    it(rsp, label=d, batch_size=2, last_batch_handle='roll_over')
    it(rsp, label=d, batch_size=2, shuffle=True)
    D.ArrayDataset(csr)[1]
    D.ArrayDataset(csr)[4]
    D.ArrayDataset(csr, d)[0]
    len(D.ArrayDataset(csr))
    list(D.DataLoader(D.ArrayDataset(csr), 2))
    list(D.DataLoader(D.ArrayDataset(csr, d), 2))
    """,
)


def _metric(mx):
    def metric(name, label, pred, stype, **options):
        made = mx.metric.create(name, **options)
        made.update([mx.nd.array(label).tostype(stype)], [mx.nd.array(pred)])
        found, value = made.get()
        return [found, float(value)]

    return {
        "m": metric,
        "y": [[1], [0], [1]],
        "p": [[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]],
        "q": [[0.2], [0.6], [0.9]],
    }


values(
    __name__,
    _metric,
    """
    m('acc', y, p, 'csr')
    m('acc', y, q, 'row_sparse')
    m('mse', y, q, 'csr')
    m('mse', y, q, 'row_sparse')
    m('mae', y, q, 'row_sparse')
    m('rmse', y, q, 'csr')
    m('ce', y, p, 'csr')
    m('topkaccuracy', y, p, 'csr', top_k=2)
    m('nll_loss', y, p, 'csr')
    """,
    prefix="metric ",
)


def _helpers(mx):
    def seeded(name, *arguments, **options):
        np.random.seed(0)  # noqa: NPY002
        return getattr(mx.test_utils, name)(*arguments, **options)

    def shuffled():
        csr = mx.nd.array(DATA).tostype("csr")
        matrix = SimpleNamespace(
            **{part: getattr(csr, part).asnumpy() for part in ("data", "indices", "indptr")},
            shape=csr.shape,
        )
        seeded("shuffle_csr_column_indices", matrix)
        return [matrix.indices.tolist(), matrix.data.tolist()]

    return {
        "t": seeded,
        "s": "row_sparse",
        "shuffled": shuffled,
        "csr": mx.nd.array(DATA).tostype("csr"),
        "rsp": mx.nd.array(DATA).tostype("row_sparse"),
        "DATA": DATA,
    }


values(
    __name__,
    _helpers,
    """
    t('rand_sparse_ndarray', (4, 2), s, density=0.6)
    t('rand_sparse_ndarray', (4, 2), s, density=0.5)
    t('rand_sparse_ndarray', (4, 2), s, density=1)
    t('rand_sparse_ndarray', (4, 2), s)
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, data_init=3)
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, rsp_indices=np.array([1, 3]))
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, rsp_indices=np.array([3, 1]))
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, modifier_func=lambda v: v / 2)
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, dtype='float64')
    t('rand_sparse_ndarray', (4, 2, 3), s, density=0.6)
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, distribution='uniform')
    t('rand_sparse_ndarray', (4, 2), s, density=0.6, distribution='powerlaw')
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0.5)
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0.3)
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0)
    t('rand_sparse_ndarray', (4, 3), 'csr', density=1)
    t('rand_sparse_ndarray', (4, 3), 'csr')
    t('rand_sparse_ndarray', (7, 5), 'csr', density=0.43, dtype='float64')
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0.5, data_init=2)
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0.5, modifier_func=lambda v: 7)
    t('rand_sparse_ndarray', (4, 3), 'csr', density=1, shuffle_csr_indices=True)
    t('rand_sparse_ndarray', (4, 16), 'csr', density=0.2, distribution='powerlaw')
    t('rand_sparse_ndarray', (4, 16), 'csr', density=0.15, distribution='powerlaw')
    t('rand_sparse_ndarray', (5, 40), 'csr', density=0.25, distribution='powerlaw')
    t('rand_sparse_ndarray', (6, 10), 'csr', density=0.5, distribution='powerlaw')
    t('rand_sparse_ndarray', (6, 10), 'csr', density=0.9, distribution='powerlaw')
    t('rand_sparse_ndarray', (4, 16), 'csr', density=0.5, distribution='powerlaw')
    t('rand_sparse_ndarray', (4, 16), 'csr', density=0.1, distribution='powerlaw')
    t('rand_sparse_ndarray', (4, 3), 'csr', density=0.5, distribution='other')
    t('rand_sparse_ndarray', (4, 3, 2), 'csr', density=0.5)
    t('rand_sparse_ndarray', (4, 3), 'default', density=0.5)
    t('rand_ndarray', (3, 2), 'csr', density=0.5)
    t('rand_ndarray', (3, 2), s, density=0.6)
    t('rand_ndarray', (3, 2), s)
    t('create_sparse_array', (4, 3), 'csr', density=0.5)
    t('create_sparse_array', (4, 3), s, density=0.6)
    t('create_sparse_array', (4, 3), s, data_init=2, density=0.6)
    t('create_sparse_array', (4, 3), s, rsp_indices=[0, 2], density=0.6)
    t('create_sparse_array', (4, 3), s, rsp_indices=[], density=0.6)
    t('create_sparse_array', (4, 3), s, modifier_func=lambda v: 2 * v, density=0.6)
    t('create_sparse_array', (4, 3), 'csr', modifier_func=lambda v: 2 * v, density=0.6)
    t('create_sparse_array', (4, 3), 'csr', data_init=2)
    t('create_sparse_array', (4, 3), 'default')
    t('create_sparse_array_zd', (4, 3), s, 0.6)
    t('create_sparse_array_zd', (4, 3), s, 0)
    t('create_sparse_array_zd', (4, 3), s, 0, rsp_indices=[1])
    t('create_sparse_array_zd', (4, 3), s, 0.6, rsp_indices=[1])
    t('create_sparse_array_zd', (4, 3), 'csr', 0, data_init=2)
    t('create_sparse_array_zd', (4, 3), 'csr', 0.5, data_init=2)
    shuffled()
    t('assert_almost_equal', csr, csr)
    t('assert_almost_equal', csr, rsp)
    t('assert_almost_equal', rsp, DATA)
    t('assert_almost_equal', csr, DATA + 1)
    t('assert_almost_equal', rsp, csr + csr)
    t('assert_almost_equal', csr, csr.tostype('default'))
    t('same', csr.asnumpy(), DATA)
    """,
    prefix="test_utils ",
)

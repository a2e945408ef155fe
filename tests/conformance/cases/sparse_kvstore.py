"""KVStore with row_sparse and csr arrays: what is pushed, pulled, and given to updaters."""

from harness import attempt, case, values

A = [[0, 0], [1, 2], [0, 0], [3, 4]]
B = [[5, 6], [7, 8], [0, 0], [0, 0]]
FULL = [[1, 1], [2, 2], [3, 3], [4, 4]]
STYPES = ("default", "row_sparse", "csr")


def _make(mx, values, stype):
    return mx.nd.array(values).tostype(stype)


def _empty(mx, stype="row_sparse"):
    return mx.nd.zeros((4, 2)).tostype(stype)


def _store(mx, stype, values=FULL, kind="local"):
    store = mx.kv.create(kind)
    store.init("a", _make(mx, values, stype))
    return store


def _pulled(mx, store, out="default", **options):
    out = _empty(mx, out)
    store.pull("a", out=out, **options)
    return out


@case
def pull(mx):
    """By storage type of the value and of what is pulled to."""
    found = {}
    for stype in STYPES:
        for out in STYPES:
            if stype == out or "default" in (stype, out):
                found[f"{stype} {out}"] = _pulled(mx, _store(mx, stype), out, ignore_sparse=False)
    return found


@case
def pull_leaves_sparse_arrays_alone(mx):
    store = _store(mx, "row_sparse")
    return [_pulled(mx, store, out) for out in STYPES]


for _kind in ("local", "device"):
    for _count in (1, 2):

        @case(name=f"push {_count} {_kind}")
        def push(mx, kind=_kind, count=_count):
            found = {}
            for stype in STYPES:
                for pushed in ("default", "row_sparse"):
                    store = _store(mx, stype, kind=kind)
                    store.push("a", [_make(mx, v, pushed) for v in (A, B)][:count])
                    found[f"{stype} {pushed}"] = _pulled(mx, store)
            return found


@case
def push_of_csr(mx):
    return [
        attempt(_store(mx, stype).push, "a", [_make(mx, A, "csr")] * count)
        for stype in STYPES
        for count in (1, 2)
    ]


@case
def push_of_both_kinds(mx):
    found = []
    for stype in ("default", "row_sparse"):
        for kinds in (("row_sparse", "default"), ("default", "row_sparse")):
            store = _store(mx, stype)
            store.push("a", [_make(mx, A, kind) for kind in kinds])
            found.append(_pulled(mx, store))
    return found


def _rows(mx):
    store = _store(mx, "row_sparse")
    store.init("b", _make(mx, A, "row_sparse"))
    store.init("none", _empty(mx))

    def pull(key, ids, out=None):
        out = _empty(mx) if out is None else out
        store.row_sparse_pull(key, out=out, row_ids=ids)
        return out

    def pushed(init, values, kind):
        other = _store(mx, init)
        other.push("a", _make(mx, values, kind))
        out = _empty(mx)
        other.row_sparse_pull("a", out=out, row_ids=mx.nd.array([0, 3]))
        return out

    return {
        "s": store,
        "pull": pull,
        "pushed": pushed,
        "a": mx.nd.array,
        "E": lambda stype="row_sparse": _empty(mx, stype),
        "A": A,
    }


values(
    __name__,
    _rows,
    """
    pull('a', a([3, 1, 3]))
    pull('a', a([[3, 1], [0, 1]]))
    pull('a', a([3, 1], dtype='int64'))
    pull('a', a([3, 1], dtype='int32'))
    pull('a', a([3, 1], dtype='uint8'))
    pull('a', a([3, 1], dtype='float64'))
    pull('a', a([2.7, 1.2]))
    pull('a', [a([3, 1])])
    pull('a', [a([3, 1])], [E(), E()])
    pull('a', [a([3, 1]), a([0])], [E(), E()])
    pull('a', a([3, 1]), [E(), E()])
    pull('a', [a([3, 1]), a([0])])
    pull('a', np.array([3, 1]))
    pull('a', [3, 1])
    pull('a', None)
    s.row_sparse_pull('a', row_ids=a([1]))
    pull('b', a([0, 1]))
    pull('none', a([0, 1]))
    pull('c', a([0, 1]))
    pull(['a', 'b'], [a([1, 2]), a([0])], [E(), E()])
    pull(['a', 'b'], a([1, 2]), [E(), E()])
    pull('a', a([1]), E('default'))
    pull('a', a([1]), E('csr'))
    pull('a', a([1]), nd.sparse.zeros('row_sparse', (4, 2), dtype='float64'))
    pushed('default', A, 'row_sparse')
    pushed('row_sparse', A, 'row_sparse')
    pushed('row_sparse', [[0, 0]] * 4, 'row_sparse')
    """,
    prefix="rows ",
)


@case
def rows_of_other_values(mx):
    found = []
    for stype in ("default", "csr"):
        out, ids = _empty(mx), mx.nd.array([1])
        found.append(attempt(_store(mx, stype).row_sparse_pull, "a", out=out, row_ids=ids))
    return found


@case(unsafe=True)
def rows_out_of_range(mx):
    out, ids = _empty(mx), mx.nd.array([1, 4])
    return [attempt(_store(mx, "row_sparse").row_sparse_pull, "a", out=out, row_ids=ids), out]


@case
def pushpull(mx):
    found = {}
    for stype in STYPES:
        for pushed in ("default", "row_sparse"):
            for out in (None, "default", "row_sparse"):
                arrays = [_make(mx, v, pushed) for v in (A, B)]
                to = None if out is None else _empty(mx, out)
                _store(mx, stype).pushpull("a", arrays, out=to)
                found[f"{stype} {pushed} {out}"] = arrays if to is None else to
    return found


@case
def broadcast(mx):
    found = {}
    for stype in STYPES:
        for out in STYPES:
            outs = [_empty(mx, out), _empty(mx, out)]
            mx.kv.create().broadcast("a", _make(mx, A, stype), outs)
            found[f"{stype} {out}"] = outs
    return found


@case
def updaters(mx):
    found = {}
    for stype in STYPES:
        for pushed in ("default", "row_sparse"):
            store, seen = _store(mx, stype), []
            store._set_updater(lambda key, total, value, seen=seen: seen.append([total, value]))
            store.push("a", [_make(mx, A, pushed), _make(mx, B, pushed)])
            (total, value), *_ = seen
            found[f"{stype} {pushed}"] = [total.stype, value.stype, total.asnumpy()]
    return found


for _name, _options in {
    "sgd": {"learning_rate": 0.5},
    "momentum": {"learning_rate": 0.5, "momentum": 0.9},
    "adam": {"learning_rate": 0.5},
}.items():

    @case(name=f"optimizer {_name}")
    def optimizers(mx, name=_name, options=_options):
        found = {}
        for stype in ("default", "row_sparse"):
            for pushed in ("default", "row_sparse"):
                store = _store(mx, stype)
                store.set_optimizer(mx.optimizer.create(name.replace("momentum", "sgd"), **options))
                store.push("a", [_make(mx, A, pushed), _make(mx, B, pushed)])
                store.push("a", _make(mx, A, pushed))
                found[f"{stype} {pushed}"] = _pulled(mx, store)
        return found


@case
def several_contexts(mx):
    store = _store(mx, "row_sparse", kind="device")
    arrays = [_make(mx, v, "row_sparse").as_in_context(mx.cpu(i)) for i, v in enumerate((A, B, A))]
    store.push("a", arrays)
    out = _empty(mx)
    store.row_sparse_pull("a", out=out, row_ids=mx.nd.arange(4))
    return out


@case
def compression(mx):
    store = mx.kv.create("device")
    store.set_gradient_compression({"type": "2bit", "threshold": 2})
    return attempt(store.init, "a", _make(mx, FULL, "row_sparse"))


@case
def shapes_and_no_rows(mx):
    store = _store(mx, "row_sparse")
    found = [attempt(store.push, "a", mx.nd.ones((1, 2)).tostype("row_sparse"))]
    store.push("a", [_empty(mx), _empty(mx)])
    return [*found, _pulled(mx, store)]

"""The rest of the optimizer updates: rescaling, clipping and decay, states, mp and multi."""

from harness import array, case, data, values

WHY = {"rtol": 1e-4, "why": "MXNet rounds the learning rate and its kin to float32"}
CORRECTION = {"rtol": 1e-3, "why": "MXNet computes 1 - beta ** t in float32"}
NARROW = {"rtol": 4e-3, "why": "MXNet squares float16 weights in float16 for their norm"}
# MXNet computes these in float16, and 1 - beta ** t with it: test_optimizer_updates.py.
NO_FLOAT16 = ("ftml_update", "lamb_update_phase1")
# Values for which every order of rescaling, clipping and decay gives another result.
COMMON = {
    "plain": {},
    "decay": {"wd": 0.25},
    "rescaled": {"rescale_grad": 0.25, "wd": 0.125},
    "clipped": {"clip_gradient": 0.5, "wd": 0.25},
    "all": {"rescale_grad": 2.0, "clip_gradient": 0.75, "wd": 0.5},
    "clip zero": {"clip_gradient": 0.0, "wd": 0.25},
}
# Operator: states (their lowest values), parameters, further variants.
UPDATES = {
    "nag_mom_update": ([-2], {"lr": 0.1, "momentum": 0.9}, {"no momentum": {"momentum": 0.0}}),
    "signsgd_update": ([], {"lr": 0.1}, {}),
    "signum_update": ([-2], {"lr": 0.1, "momentum": 0.75}, {"wd_lh": {"wd_lh": 0.5, "wd": 0.1}}),
    "rmsprop_update": (
        [0],
        {"lr": 0.1, "epsilon": 0.01},
        {"gamma": {"gamma1": 0.5}, "clip weights": {"clip_weights": 0.5}},
    ),
    "rmspropalex_update": (
        [5, -2, -2],
        {"lr": 0.1, "epsilon": 0.01},
        {"gammas": {"gamma1": 0.5, "gamma2": 0.25}, "clip weights": {"clip_weights": 0.5}},
    ),
    "ftrl_update": ([-2, 0], {"lr": 0.1}, {"lamda": {"lamda1": 1.5, "beta": 0.25, "wd": 0.5}}),
    "ftml_update": ([1, 0, -2], {"lr": 0.1, "t": 3}, {"betas": {"beta1": 0.5, "beta2": 0.75}}),
    "lamb_update_phase1": (
        [-2, 0],
        {"t": 2, "wd": 0.1},
        {"uncorrected": {"bias_correction": False}, "betas": {"beta1": 0.5, "epsilon": 0.1}},
    ),
}


def arrays_of(mx, dtype, lows, shape=(2, 3), seed=301):
    made = [array(mx, data(shape, -2, 2, seed=seed + i, dtype=dtype)) for i in range(2)]
    for i, low in enumerate(lows):
        made.append(array(mx, data(shape, low, low + 3, seed=seed + 2 + i, dtype=dtype)))
    return made


def register(operator, label, arguments, dtype, lows):
    options = CORRECTION if operator == "lamb_update_phase1" else {}

    @case(name=f"{dtype} {operator} {label}", **(WHY if dtype == "float64" else options))
    def updated(mx):
        arrays = arrays_of(mx, dtype, lows)
        update = getattr(mx.nd, operator)
        first = update(*arrays, **arguments)
        after_one = [first] + [x.copy() for x in arrays]
        for _ in range(2):
            update(*arrays, out=arrays[0], **arguments)
        return [after_one, arrays]


for dtype in ("float32", "float64", "float16"):
    for operator, (lows, fixed, variants) in UPDATES.items():
        if dtype == "float16" and operator in NO_FLOAT16:
            continue
        for label, arguments in {**COMMON, **variants}.items():
            if dtype == "float32" or label in ("decay", "all"):
                arguments = {**fixed, **arguments}
                if operator == "ftml_update" and "clip_gradient" in arguments:
                    arguments["clip_grad"] = arguments.pop("clip_gradient")
                register(operator, label, arguments, dtype, lows)


# ---- the second phase of LAMB, and LARS


def lamb(mx):
    w, g = arrays_of(mx, "float32", [])
    return {"w": w, "g": g, **{f"r{x}": mx.nd.array([x]) for x in (0, 2, 4)}}


values(
    __name__,
    lamb,
    """
    nd.lamb_update_phase2(w, g, r2, r4, lr=0.1)
    nd.lamb_update_phase2(w, g, r0, r4, lr=0.1)
    nd.lamb_update_phase2(w, g, r2, r0, lr=0.1)
    nd.lamb_update_phase2(w, g, r0, r4, lr=0.1, lower_bound=1.0)
    nd.lamb_update_phase2(w, g, r2, r4, lr=0.1, lower_bound=3.0)
    nd.lamb_update_phase2(w, g, r4, r2, lr=0.1, upper_bound=1.5)
    nd.lamb_update_phase2(w, g, r4, r2, lr=0.1, upper_bound=0.0)
    nd.lamb_update_phase2(w, g, g, r2, lr=0.1)
    nd.lamb_update_phase1(w, g, g, w, t=2)
    nd.multi_lars(w[0], r4 * g[0] * g[0], w[1] * w[1], nd.abs(g[1]), eta=0.5, eps=0.01)
    nd.multi_lars(w[0], w[0] * 0, w[1] * w[1], g[1], eta=0.5, eps=0.01)
    nd.multi_lars(w[0], w[1] * w[1], w[1] * 0, g[1], eta=0.5, eps=0.01)
    nd.multi_lars(w[0], w[1] * w[1], g[1] * g[1], nd.abs(g[0]), eta=0.5, eps=0.01, rescale_grad=0.5)
    nd.multi_lars(w[0], r4, r4, r4, eta=0.5, eps=0.01)
    nd.nag_mom_update(w, g, w[0], lr=0.1)
    nd.rmsprop_update(w, g, w, lr=0.1, nonsense=1)
    nd.ftml_update(w, g, w, w, w, lr=0.1)
    """,
)

# ---- a float32 copy of the weight


def masters(mx, dtype, states, seed=401, shape=(2, 3), offset=0.0001):
    narrow = arrays_of(mx, dtype, [], shape, seed)
    wide = arrays_of(mx, "float32", [-1 if states == 1 else 0] * states, shape, seed + 10)[2:]
    return narrow, wide, narrow[0].astype("float32") + offset


MP = {
    "mp_sgd_update": (0, {}),
    "mp_sgd_mom_update": (1, {"momentum": 0.9}),
    "mp_nag_mom_update": (1, {"momentum": 0.9}),
}
for operator, (states, fixed) in MP.items():
    for dtype in ("float16", "float32"):

        @case(name=f"{dtype} {operator}")
        def with_master(mx, operator=operator, states=states, fixed=fixed, dtype=dtype):
            results = []
            for arguments in COMMON.values():
                narrow, wide, copy = masters(mx, dtype, states)
                for _ in range(2):
                    getattr(mx.nd, operator)(
                        *narrow, *wide, copy, out=narrow[0], lr=0.1, **fixed, **arguments
                    )
                results.append([narrow, wide, copy])
            return results


@case(**CORRECTION)
def mp_lamb_two_phases(mx):
    (w, g), (m, v), copy = masters(mx, "float16", 2)
    direction = mx.nd.mp_lamb_update_phase1(w, g, m, v, copy, t=2, wd=0.1, clip_gradient=1.0)
    r1, r2 = copy.norm(), direction.norm()
    new = mx.nd.mp_lamb_update_phase2(w, direction, r1, r2, copy, lr=0.1, out=w)
    return [direction, new is w, w, m, v]


@case
def mp_lamb_update_phase2_changes_the_copy(mx):
    (w, g), _, copy = masters(mx, "float16", 2)
    one = mx.nd.ones((1,))
    mx.nd.mp_lamb_update_phase2(w, g.astype("float32"), one, one, copy, lr=0.5, out=w)
    return copy


# ---- AdamW. The gradient is not in the results: MXNet leaves the rescaled one in it.

ADAMW = {
    "plain": (1.0, {}),
    "decay": (1.0, {"wd": 0.25}),
    "rescaled": (0.5, {"wd": 0.25}),
    "all": (2.0, {"wd": 0.5, "clip_gradient": 0.75, "epsilon": 0.1}),
    "betas": (1.0, {"beta1": 0.5, "beta2": 0.75}),
    "zero": (0.0, {"wd": 0.5}),
    "nan": (float("nan"), {"wd": 0.5}),
    "infinite": (float("inf"), {"wd": 0.5}),
}
for label, (rescale, arguments) in ADAMW.items():
    for dtype in ("float32", "float64", "float16"):

        @case(name=f"{dtype} adamw_update {label}", **(WHY if dtype == "float64" else {}))
        def adamw(mx, rescale=rescale, arguments=arguments, dtype=dtype):
            w, g, m, v = arrays_of(mx, dtype, [-2, 0])
            scale = mx.nd.array([rescale])
            mx.nd.contrib.adamw_update(w, g, m, v, scale, lr=0.1, eta=0.5, out=w, **arguments)
            return [w, m, v]

    @case(name=f"mp_adamw_update {label}")
    def mp_adamw(mx, rescale=rescale, arguments=arguments):
        (w, g), (m, v), copy = masters(mx, "float16", 2)
        mx.nd.contrib.mp_adamw_update(
            w, g, m, v, copy, rescale, lr=0.1, eta=0.5, out=w, **arguments
        )
        return [w, m, v, copy]


@case
def adamw_update_leaves_the_gradient(mx):
    w, g, m, v = arrays_of(mx, "float32", [-2, 0])
    mx.nd.contrib.adamw_update(w, g, m, v, 2.0, lr=0.1, eta=0.5, out=w)
    return g


# ---- many arrays in one call

SHAPES = [(2, 3), (4,), (1, 2, 2)]
LRS, WDS, ETAS = (0.1, 0.2, 0.3), (0.0, 0.25, 0.5), (0.5, 0.75, 1.0)


def groups(mx, dtype, states, master, offset=0.0001):
    """For each shape [weight, grad, states..., copy], the copy off by `offset`."""
    made = []
    for i, shape in enumerate(SHAPES):
        if master:
            narrow, wide, copy = masters(mx, dtype, states, 501 + 20 * i, shape, offset)
            made.append(narrow + wide + [copy])
        else:
            lows = [-1 if states == 1 else 0] * states
            made.append(arrays_of(mx, dtype, lows, shape, 501 + 20 * i))
    return made


def flat(lists):
    return [x for group in lists for x in group]


for momentum in (False, True):
    for master in (False, True):
        for preloaded in (False, True):
            name = "multi_" + "mp_" * master + "sgd_" + "mom_" * momentum + "update"
            name = "preloaded_" * preloaded + name
            for dtype in ("float16",) if master else ("float16", "float32"):

                @case(name=f"{dtype} {name}")
                def multi_sgd(
                    mx, name=name, momentum=momentum, master=master, pre=preloaded, dtype=dtype
                ):
                    arrays = groups(mx, dtype, int(momentum), master)
                    weights = [group[0] for group in arrays]
                    arguments = {"rescale_grad": 2.0, "clip_gradient": 0.75, "num_weights": 3}
                    if momentum:
                        arguments["momentum"] = 0.9
                    rates = [mx.nd.array(LRS), mx.nd.array(WDS)] if pre else []
                    if not pre:
                        arguments.update(lrs=LRS, wds=WDS)
                    for _ in range(2):
                        result = getattr(mx.nd, name)(
                            *flat(arrays), *rates, out=weights, **arguments
                        )
                    return [len(result), arrays]


for label, (rescale, arguments) in ADAMW.items():
    for master in (False, True):

        @case(name=f"multi_{'mp_' * master}adamw_update {label}")
        def multi_adamw(mx, rescale=rescale, arguments=arguments, master=master):
            lists = list(zip(*groups(mx, "float16" if master else "float32", 2, master)))
            f = getattr(mx.nd.contrib, "multi_mp_adamw_update" if master else "multi_adamw_update")
            arguments = {k: v for k, v in arguments.items() if k != "wd"}
            scale = mx.nd.array([rescale])
            f(*lists, scale, lrs=LRS, wds=WDS, etas=ETAS, out=list(lists[0]), size=3, **arguments)
            return [list(group) for group in lists]


LAMB = {
    "plain": {},
    "all": {"rescale_grad": 2.0, "clip_gradient": 0.75},
    "bounds": {"lower_bound": 2.0, "upper_bound": 3.0},
    "uncorrected": {"bias_correction": False, "beta1": 0.5, "epsilon": 0.1},
}
for label, arguments in LAMB.items():
    for master in (False, True):

        @case(
            name=f"multi_{'mp_' * master}lamb_update {label}", **(NARROW if master else CORRECTION)
        )
        def multi_lamb(mx, arguments=arguments, master=master):
            # MXNet takes the decay and the norm from the narrow weight, mxtape from its copy.
            lists = list(zip(*groups(mx, "float16" if master else "float32", 2, master, 0)))
            f = getattr(mx.nd.contrib, "multi_mp_lamb_update" if master else "multi_lamb_update")
            f(*lists, (1, 2, 5), LRS, WDS, out=list(lists[0]), num_tensors=3, **arguments)
            return [list(group) for group in lists]


def pair(mx):
    return {"w": array(mx, data((3,), seed=601)), "g": array(mx, data((3,), seed=602))}


values(
    __name__,
    pair,
    """
    nd.multi_sgd_update(w, g, lrs=(0.1, 0.2), wds=(0.1,), num_weights=1, out=[w])
    nd.multi_sgd_update(w, g, w, lrs=(0.1,), wds=(0.1,), num_weights=1, out=[w])
    nd.multi_sgd_update(w, g, wds=(0.1,), num_weights=1, out=[w])
    nd.multi_sgd_update(w, g[:2], lrs=(0.1,), wds=(0.1,), num_weights=1, out=[w])
    nd.mp_sgd_update(w.astype('float16'), g, w, lr=0.1)
    nd.mp_sgd_update(w.astype('float16'), g.astype('float16'), w.astype('float16'), lr=0.1)
    """,
)

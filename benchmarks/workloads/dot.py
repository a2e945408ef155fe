"""A product of square matrices, forward and backward: three GEMMs, against the processor's peak."""

from .declaration import MX, OfPeak, Workload
from .gradients import autograd_of, jax_of, mx_of, torch_of
from .support import double, generator, normal


def inputs(sizes):
    random, n = generator(), sizes["n"]
    return {name: normal(random, n, n) for name in ("a", "b", "head")}


def reference(sizes, given):
    a, b, head = (double(given)[name] for name in ("a", "b", "head"))
    return {"y": a @ b, "a": head @ b.T, "b": a.T @ head}


def product(library, sizes, a, b):
    return library.matmul(a, b)


WORKLOADS = {
    "dot": Workload(
        title="(1024, 1024) dot, forward + backward",
        full={"n": 1024},
        small={"n": 20},
        inputs=inputs,
        reference=reference,
        programs={
            MX: mx_of(lambda nd, sizes, a, b: nd.dot(a, b), "ab"),
            "torch": torch_of(product, "ab"),
            "jax": jax_of(lambda jax, *rest: product(jax.numpy, *rest), "ab"),
            "autograd": autograd_of(lambda hips, *rest: product(hips.numpy, *rest), "ab"),
        },
        goals=(OfPeak(0.85),),
        flop=lambda sizes: 6.0 * sizes["n"] ** 3,
    )
}

"""Records what JAX answers in tests/python/transform_cases.py: needs the packages jax and numpy.

python tests/oracle/jax_transforms.py     writes tests/python/jax_transforms.json
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

PYTHON = Path(__file__).resolve().parents[1] / "python"
sys.path.insert(0, str(PYTHON))
import transform_cases  # noqa: E402

jax.config.update("jax_enable_x64", True)


def jacobian(f, mode):
    return jax.jacfwd(f) if mode == "forward" else jax.jacrev(f)


def hvp(f, primals, tangents):
    def gradient(*args):
        return jax.grad(f, argnums=tuple(range(len(args))))(*args)

    return jax.jvp(gradient, primals, tangents)[1]


def elementwise_grad(f):
    return jax.grad(lambda x: f(x).sum())


def main():
    transforms = SimpleNamespace(
        jvp=jax.jvp,
        vjp=jax.vjp,
        linearize=jax.linearize,
        value_and_grad=jax.value_and_grad,
        jacobian=jacobian,
        hessian=jax.hessian,
        hvp=hvp,
        elementwise_grad=elementwise_grad,
        vmap=jax.vmap,
        checkpoint=jax.checkpoint,
        custom_gradient=jax.custom_gradient,
    )
    given = jax.tree_util.tree_map(jax.numpy.asarray, transform_cases.inputs())
    found = transform_cases.results(jax.numpy, transforms, given)
    recorded = {
        name: [np.asarray(leaf).tolist() for leaf in jax.tree_util.tree_leaves(value)]
        for name, value in found.items()
    }
    text = json.dumps({"jax": jax.__version__, "results": recorded})
    (PYTHON / "jax_transforms.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

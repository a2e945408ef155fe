"""gluon.data.vision.transforms: those that draw nothing, and what the others accept."""

import random

import numpy as np
from harness import array, attempt, case, data, integers, values


def setup(mx):
    return {
        "T": mx.gluon.data.vision.transforms,
        "u": array(mx, integers((6, 9, 3), 0, 256, seed=601, dtype="uint8")),
        "b": array(mx, integers((2, 6, 9, 3), 0, 256, seed=602, dtype="uint8")),
        "f": array(mx, integers((6, 9, 3), 0, 256, seed=603, dtype="uint8")).astype("float32"),
        "t": array(mx, data((3, 6, 9), 0, 1, seed=604)),
        "s": array(mx, data((2, 3, 6, 9), 0, 1, seed=605)),
    }


values(
    __name__,
    setup,
    """
    T.Cast()(u)
    T.Cast('float16')(u)
    T.ToTensor()(u)
    T.ToTensor()(b)
    T.Normalize()(t)
    T.Normalize(0.5, 0.25)(t)
    T.Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))(t)
    T.Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))(s)
    T.Resize(4)(u)
    T.Resize((4, 5))(u)
    T.Resize(4, keep_ratio=True)(u)
    T.Resize(4, True, 2)(u)
    T.Resize((4, 5))(b)
    T.Resize(12, interpolation=0)(u)
    T.Resize((12, 20), interpolation=3)(u)
    T.CropResize(1, 2, 4, 3)(u)
    T.CropResize(1, 2, 4, 3)(b)
    T.CropResize(1, 2, 4, 3, (8, 6), 1)(u)
    T.CropResize(1, 2, 4, 3, 2, 2)(u)
    T.CropResize(1, 2, 40, 3)(u)
    T.CenterCrop(4)(u)
    T.CenterCrop((4, 5))(u)
    T.CenterCrop((12, 5), 2)(u)
    T.Rotate(30)(t)
    T.Rotate(30, zoom_in=True)(t)
    T.Rotate(30, False, True)(s)
    T.Rotate(30)(u)
    T.RandomRotation((-5, 5))(u)
    T.RandomRotation((5, -5))
    T.RandomRotation((-5, 5), rotate_with_proba=1.5)
    T.RandomRotation((-5, 5), rotate_with_proba=0)(t)
    T.RandomBrightness(0)(u)
    T.RandomContrast(0)(f)
    T.RandomSaturation(0)(f)
    T.RandomHue(0)(f)
    T.RandomLighting(0)(u)
    T.Compose([T.Resize(5), T.CenterCrop(4), T.ToTensor(), T.Normalize(0.5, 0.25)])(u)
    T.Compose([T.Resize(5), T.ToTensor()])(b)
    T.Compose([])(u)
    T.RandomApply(T.Resize(4), 1)(u)
    T.RandomApply(T.Resize(4), 0.0)(u)
    T.RandomApply(T.Compose([T.Resize(4), T.ToTensor()]), p=1)(u)
    len(T.Compose([T.CenterCrop(4), T.CenterCrop(5)]))
    [type(x).__name__ for x in T.Compose([T.CenterCrop(4), T.ToTensor()])]
    T.CenterCrop('4')(u)
    T.ToTensor()(u, u)
    """,
)


@case
def seeded(mx):
    """What draws with Python's or NumPy's generators is the same as in MXNet."""
    env = setup(mx)
    found = []
    T = env["T"]
    for n in range(4):
        for make, x in (
            (lambda: T.RandomResizedCrop(4), env["u"]),
            (lambda: T.RandomResizedCrop((5, 4), scale=(0.2, 0.6), interpolation=2), env["u"]),
            (lambda: T.RandomResizedCrop(4, ratio=(3, 4)), env["u"]),
            (lambda: T.RandomRotation((-20, 20)), env["t"]),
            (lambda: T.RandomRotation((-20, 20), rotate_with_proba=0.5), env["s"]),
            (lambda: T.RandomApply(T.Resize(4), 0.5), env["u"]),
        ):
            random.seed(n)
            np.random.seed(n)  # noqa: NPY002
            found.append(attempt(lambda make=make, x=x: make()(x)))
            found.append([random.random(), np.random.rand()])  # noqa: NPY002
    return found


@case
def hybridized(mx):
    """The same after hybridize(), for pictures of several shapes."""
    env = setup(mx)
    T = env["T"]
    found = []
    for block in (
        T.ToTensor(),
        T.Cast("float32"),
        T.Resize(4),
        T.CropResize(1, 2, 4, 3, 2, 1),
        T.RandomBrightness(0),
    ):
        block.hybridize()
        found.append([block(env["u"]), block(env["u"].transpose((1, 0, 2)))])
    return found

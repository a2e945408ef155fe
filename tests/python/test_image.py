"""mx.nd.image: what operators that draw random numbers do, by properties."""

import colorsys

import numpy as np
import pytest

import mxtape as mx
from mxtape.ndarray import register

DTYPES = ("uint8", "int8", "int32", "float32", "float64", "float16")


def op(name):
    return register.get("_image_" + name)


def picture(shape=(6, 5, 3), dtype="uint8", seed=0, high=120):
    return mx.nd.array(np.random.RandomState(seed).randint(0, high, shape), dtype=dtype)


@pytest.fixture(autouse=True)
def seeded():
    mx.random.seed(7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "axis"), [("left_right", 1), ("top_bottom", 0)])
def test_flips(name, axis, dtype):
    x = picture(dtype=dtype)
    mirrored = np.flip(x.asnumpy(), axis)
    np.testing.assert_array_equal(op("flip_" + name)(x).asnumpy(), mirrored)
    drawn = [op("random_flip_" + name)(x) for _ in range(200)]
    assert all(y.dtype == x.dtype for y in drawn)
    flipped = [bool((y.asnumpy() == mirrored).all()) for y in drawn]
    assert all(f or (y.asnumpy() == x.asnumpy()).all() for f, y in zip(flipped, drawn))
    assert 60 < sum(flipped) < 140


def test_the_gradient_of_a_random_flip_is_of_what_was_drawn():
    x = picture(dtype="float32")
    x.attach_grad()
    head = mx.nd.array(np.arange(90.0).reshape(6, 5, 3))
    seen = set()
    for _ in range(20):
        with mx.autograd.record():
            y = op("random_flip_left_right")(x)
        y.backward(head)
        flipped = bool((y.asnumpy() != x.asnumpy()).any())
        expected = head.asnumpy()[:, ::-1] if flipped else head.asnumpy()
        np.testing.assert_array_equal(x.grad.asnumpy(), expected)
        seen.add(flipped)
    assert seen == {False, True}


def test_brightness_is_uniform_in_its_range():
    x = mx.nd.ones((1, 1, 1))
    drawn = np.array([op("random_brightness")(x, 0.5, 2.5).asscalar() for _ in range(400)])
    assert drawn.min() >= 0.5
    assert drawn.max() <= 2.5
    assert abs(drawn.mean() - 1.5) < 0.12
    assert abs(drawn.std() - 2 / np.sqrt(12)) < 0.08


def test_a_seed_repeats_what_was_drawn():
    x = picture(dtype="float32")
    names = ("brightness", "contrast", "saturation", "hue")
    first = [op("random_" + n)(x, 0.5, 1.5).asnumpy() for n in names]
    second = [op("random_" + n)(x, 0.5, 1.5).asnumpy() for n in names]
    mx.random.seed(7)
    again = [op("random_" + n)(x, 0.5, 1.5).asnumpy() for n in names]
    for a, b, c in zip(first, again, second):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_contrast_and_saturation_keep_gray():
    weights = np.array([0.299, 0.587, 0.114])
    x = picture(dtype="float64")
    y = op("random_contrast")(x, 0.2, 3.0).asnumpy()
    np.testing.assert_allclose((y @ weights).mean(), (x.asnumpy() @ weights).mean())
    z = op("random_saturation")(x, 0.2, 3.0).asnumpy()
    np.testing.assert_allclose(z @ weights, x.asnumpy() @ weights)
    gray = mx.nd.array(np.full((2, 2, 3), 9.0), dtype="float64")
    np.testing.assert_allclose(op("random_saturation")(gray, 2, 2).asnumpy(), gray.asnumpy())


@pytest.mark.parametrize("turn", [0, 0.1, 1 / 3, 0.5, 0.77, 1, 1.25])
def test_hue_turns_colours_and_keeps_lightness(turn):
    x = picture(dtype="float64", high=256)

    def turned(color):
        hue, light, saturation = colorsys.rgb_to_hls(*color / 255)
        return np.array(colorsys.hls_to_rgb((hue + turn) % 1, light, saturation)) * 255

    expected = np.apply_along_axis(turned, 2, x.asnumpy())
    y = op("random_hue")(x, turn, turn)
    np.testing.assert_allclose(y.asnumpy(), expected, atol=1e-9)
    whole = op("random_hue")(x.astype("uint8"), turn, turn)
    assert np.abs(whole.asnumpy() - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("name", ["saturation", "hue", "lighting"])
def test_one_channel_has_no_colour_to_change(name):
    x = picture((4, 4, 1))
    arguments = {"lighting": (0.5,)}.get(name, (0.5, 1.5))
    np.testing.assert_array_equal(op("random_" + name)(x, *arguments).asnumpy(), x.asnumpy())


def test_integers_saturate():
    x = mx.nd.array([[[0, 100, 250]]], dtype="uint8")
    assert op("random_brightness")(x, 3, 3).asnumpy().ravel().tolist() == [0, 255, 255]
    assert op("adjust_lighting")(x, (9, 0, 0)).asnumpy().ravel().tolist() == [0, 0, 0]
    x = x.astype("int32")
    assert op("random_brightness")(x, 1e10, 1e10).asnumpy().ravel()[1] == 2**31 - 1
    small = mx.nd.array([[[-100, 100, 0]]], dtype="int8")
    assert op("random_brightness")(small, 2, 2).asnumpy().ravel().tolist() == [-128, 127, 0]


def test_jitter_changes_only_what_it_is_told_to():
    x = picture(dtype="float64")
    a = x.asnumpy()
    np.testing.assert_array_equal(op("random_color_jitter")(x, 0, 0, 0, 0).asnumpy(), a)
    ratio = op("random_color_jitter")(x, 0.5, 0, 0, 0).asnumpy()[a > 0] / a[a > 0]
    np.testing.assert_allclose(ratio, ratio[0])
    assert 0.5 <= ratio[0] <= 1.5
    turned = op("random_color_jitter")(x, 0, 0, 0, 0.3).asnumpy()
    np.testing.assert_allclose(turned.max(axis=2), a.max(axis=2))
    np.testing.assert_allclose(turned.min(axis=2), a.min(axis=2))
    assert np.abs(turned - a).max() > 1
    drawn = [op("random_color_jitter")(x, 0.4, 0.4, 0.4, 0.1).asnumpy() for _ in range(5)]
    assert all((drawn[0] != other).any() for other in drawn[1:])


def test_random_lighting_has_the_spread_it_is_given():
    x = mx.nd.zeros((1, 1, 3))
    drawn = np.array([op("random_lighting")(x, 0.1).asnumpy().ravel() for _ in range(500)])
    unit = [op("adjust_lighting")(x, a).asnumpy().ravel() for a in np.eye(3).tolist()]
    expected = 0.1 * np.sqrt(np.square(unit).sum(axis=0))
    np.testing.assert_allclose(drawn.std(axis=0), expected, rtol=0.15)
    assert np.abs(drawn.mean(axis=0)).max() < 1


@pytest.mark.parametrize("interp", range(5))
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_resized_constant_is_constant(interp, dtype):
    x = mx.nd.array(np.full((4, 5, 3), 77), dtype=dtype)
    for size in ((3, 2), (11, 9), (5, 4), (1, 1), (2, 9)):
        y = op("resize")(x, size, interp=interp)
        assert y.shape == (size[1], size[0], 3)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y.asnumpy(), 77, rtol=1e-6)


def test_images_of_a_batch_are_resized_one_by_one():
    x = picture((3, 6, 5, 3))
    whole = op("resize")(x, (7, 8)).asnumpy()
    for i in range(3):
        np.testing.assert_array_equal(op("resize")(x[i], (7, 8)).asnumpy(), whole[i])


def test_crop_outside_of_the_image_is_an_error():
    x = picture()
    for place in ((-1, 0, 2, 2), (0, -1, 2, 2), (4, 0, 2, 2), (0, 0, 6, 1), (2**62, 0, 2, 2)):
        with pytest.raises(mx.MXNetError, match="within the image"):
            op("crop")(x, *place)


@pytest.mark.parametrize("name", ["random_hue", "random_color_jitter", "resize", "to_tensor"])
def test_what_has_no_gradient_says_so(name):
    x = picture(dtype="float32")
    x.attach_grad()
    arguments = {
        "random_hue": (0.1, 0.2),
        "random_color_jitter": (0.1, 0.1, 0.1, 0.1),
        "resize": ((2, 2),),
    }
    with mx.autograd.record():
        y = op(name)(x, *arguments.get(name, ()))
    with pytest.raises(mx.MXNetError, match="no gradient"):
        y.backward()

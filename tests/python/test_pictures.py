"""mx.image and pictures in records: what cannot be recorded from MXNet."""

import io
import pickle
import random

import numpy as np
import pytest

import mxtape as mx
from mxtape import image, recordio
from mxtape.base import MXNetError
from mxtape.gluon.data.vision import transforms
from support import output_of

HEADER = recordio.IRHeader(0, 3.0, 7, 0)


def picture(height=40, width=60, channels=3):
    """One that is smooth, so that JPEG changes it little: blue, green, red for pack_img."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(x / (9 + c) + y / (13 - c)) for c in range(channels)]
    return np.stack(waves, axis=2).astype("uint8")


def encoded(pixels, form=".png", quality=95):
    return recordio.unpack(recordio.pack_img(HEADER, pixels, quality, form))[1]


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3), (40, 60, 4)])
def test_png_comes_back_as_it_was(shape):
    pixels = picture(channels=shape[2] if len(shape) == 3 else 1).reshape(shape)
    header, found = recordio.unpack_img(recordio.pack_img(HEADER, pixels, 9, ".png"))
    assert header == HEADER
    np.testing.assert_array_equal(found, pixels[:, :, 0] if shape[2:] == (1,) else pixels)
    colours = recordio.unpack_img(recordio.pack_img(HEADER, pixels, 9, ".png"), iscolor=1)[1]
    assert colours.shape == (40, 60, 3)
    gray = recordio.unpack_img(recordio.pack_img(HEADER, pixels, 9, ".png"), iscolor=0)[1]
    assert gray.shape == (40, 60)


@pytest.mark.parametrize(("quality", "far"), [(95, 3), (30, 14)])
def test_jpeg_is_near_what_it_was(quality, far):
    pixels = picture()
    buf = encoded(pixels, ".jpg", quality)
    assert buf[:2] == b"\xff\xd8"
    found = image.imdecode(buf, to_rgb=False).asnumpy().astype(int)
    assert np.abs(found - pixels).mean() < far
    swapped = image.imdecode(buf).asnumpy()
    np.testing.assert_array_equal(swapped[:, :, ::-1], found)
    assert len(encoded(pixels, ".jpg", 30)) < len(encoded(pixels, ".jpg", 95))
    # The brightness that the file has, of ITU-R BT.601.
    gray = image.imdecode(buf, flag=0).asnumpy()[:, :, 0]
    assert np.abs(gray - found @ [0.114, 0.587, 0.299]).max() < 3


def test_orientation_does_not_matter_as_in_mxnet():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "JPEG", exif=exif)
    assert image.imdecode(file.getvalue()).shape == (40, 60, 3)


def test_damaged_pictures(tmp_path):
    for form in (".png", ".jpg"):
        buf = encoded(picture(), form)
        for bad in (buf[: len(buf) // 2], buf[:20], b"\0" * 100, bytes(reversed(buf))):
            with pytest.raises(
                MXNetError, match=f"imdecode: {len(bad)} bytes could not be decoded"
            ):
                image.imdecode(bad)
    png = bytearray(encoded(picture()))
    png[len(png) // 2] ^= 0x55
    with pytest.raises(MXNetError, match="could not be decoded"):
        image.imdecode(png)
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(MXNetError, match=r"imread: .*a\.png: 10 bytes could not be decoded"):
        image.imread(path)
    with pytest.raises(RuntimeError, match=r"broken picture, a\.png"):
        image.ImageIter(1, (3, 6, 6), imglist=[[0, "a.png"]], path_root=str(tmp_path)).next()


def test_pack_img_refuses():
    with pytest.raises(MXNetError, match=r"got float32 of shape \(2, 2, 3\)"):
        recordio.pack_img(HEADER, np.zeros((2, 2, 3), "float32"))
    with pytest.raises(MXNetError, match=r"'\.xyz' is no suffix"):
        recordio.pack_img(HEADER, picture(), img_fmt=".xyz")
    assert recordio.unpack_img(recordio.pack_img(HEADER, mx.nd.array(picture(), dtype="uint8")))


def test_without_pillow():
    program = """
        import sys
        sys.modules["PIL"] = None
        import mxtape as mx
        mx.image.resize_short(mx.nd.zeros((4, 6, 3)), 2)
        for call in (lambda: mx.image.imdecode(b"abc"),
                     lambda: mx.recordio.pack_img((0, 0, 0, 0), mx.nd.zeros((2, 2)).asnumpy())):
            try:
                call()
            except ImportError as error:
                print(error)
    """
    assert output_of(program).count("pip install mxtape[image]") == 2


def test_transforms_are_pickled_and_hybridized():
    x = mx.nd.array(picture(), dtype="uint8")
    made = transforms.Compose(
        [
            transforms.RandomResizedCrop(24),
            transforms.RandomFlipLeftRight(),
            transforms.RandomColorJitter(0.4, 0.4, 0.4, 0.1),
            transforms.RandomLighting(0.1),
            transforms.ToTensor(),
            transforms.Normalize(0.5, 0.25),
        ]
    )
    made.hybridize()
    for block in (made, pickle.loads(pickle.dumps(made))):
        y = block(x)
        assert y.shape == (3, 24, 24)
        assert y.dtype == np.float32
        assert abs(y.asnumpy()).max() <= 2


def test_composed_transforms_are_grouped_as_in_mxnet():
    """Names of blocks that are made later count the groups, and saved files have the names."""
    t = transforms
    blocks = [t.RandomResizedCrop(3), t.ToTensor(), t.Normalize(0, 1), t.CenterCrop(2), t.Cast()]
    with mx.name.NameManager():
        made = t.Compose(blocks)
        assert made[1].name == "hybridsequential0"
        assert mx.gluon.nn.HybridSequential().name == "hybridsequential1"
    assert [type(part).__name__ for part in made] == [
        "RandomResizedCrop",
        "HybridSequential",
        "CenterCrop",
        "Cast",
    ]
    assert list(made[1]) == blocks[1:3]


def test_functions_are_composed_and_none_is_left_out():
    t = transforms
    made = t.Compose([None, image.CenterCropAug((6, 4)), lambda x: x + 1, None, t.ToTensor()])
    made.initialize()
    assert len(made) == 3
    y = made(mx.nd.zeros((40, 60, 3)))
    np.testing.assert_allclose(y.asnumpy(), np.full((3, 4, 6), 1 / 255), rtol=1e-6)
    with pytest.raises(TypeError, match="got a str"):
        t.Compose(["ToTensor"])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("Brightness", 0.5, 1.5), ("Contrast", 0.5, 1.5), ("Saturation", 0.5, 1.5)],
)
def test_random_factors_are_in_their_range(name, low, high):
    mx.random.seed(3)
    x = mx.nd.array([[[90.0, 60.0, 30.0], [30.0, 60.0, 90.0]]])
    drawn = [getattr(transforms, f"Random{name}")(0.5)(x).asnumpy() for _ in range(200)]
    spread = np.array([y[0, 0, 0] - y[0, 0, 2] for y in drawn]) / 60
    assert low - 1e-3 <= spread.min() < low + 0.1
    assert high - 0.1 < spread.max() <= high + 1e-3


def test_random_resized_crops_are_in_their_range():
    random.seed(4)
    height, width = 60, 80
    # A picture whose values say where they come from.
    x = mx.nd.arange(height * width).reshape((height, width, 1))
    places = [image.random_size_crop(x, (10, 10), (0.2, 0.5), (0.75, 1.333))[1] for _ in range(300)]
    x0, y0, w, h = np.array(places).T
    assert ((x0 >= 0) & (y0 >= 0) & (x0 + w <= width) & (y0 + h <= height)).all()
    area, ratio = w * h / (height * width), w / h
    assert 0.19 < area.min() < 0.25
    assert 0.45 < area.max() < 0.51
    assert 0.7 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.4
    assert {0, 1} <= {int(at == 0) for at in x0}


def boxes_file(folder, count=5):
    path = f"{folder}/a.rec"
    with recordio.MXRecordIO(path, "w") as record:
        for i in range(count):
            header = recordio.IRHeader(0, [2, 5, i, 0.25, 0.25, 0.75, 0.75], i, 0)
            pixels = np.zeros((40, 60, 3), "uint8")
            pixels[10:30, 15:45] = 200
            record.write(recordio.pack_img(header, pixels, 9, ".png"))
    return path


def test_boxes_stay_on_what_is_in_them(tmp_path):
    random.seed(5)
    iterator = image.ImageDetIter(
        5,
        (3, 80, 80),
        path_imgrec=boxes_file(tmp_path),
        rand_crop=0.7,
        rand_pad=0.7,
        rand_mirror=True,
        area_range=(0.3, 2.5),
        pad_val=(0, 0, 0),
        inter_method=1,
    )
    seen = set()
    for _ in range(8):
        batch = iterator.next()
        data, label = batch.data[0].asnumpy(), batch.label[0].asnumpy()
        for x, (_, left, top, right, bottom) in zip(data, label[:, 0]):
            inside = x[0] > 100
            columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
            assert abs(columns[0] / 80 - left) < 0.04
            assert abs((columns[-1] + 1) / 80 - right) < 0.04
            assert abs(rows[0] / 80 - top) < 0.04
            assert abs((rows[-1] + 1) / 80 - bottom) < 0.04
            seen.add(round(float(right - left), 1))
        iterator.reset()
    assert len(seen) > 3


def test_boxes_are_drawn(tmp_path):
    iterator = image.ImageDetIter(5, (3, 40, 60), path_imgrec=boxes_file(tmp_path), mean=True)
    drawn = list(iterator.draw_next(color=(255, 0, 0), mean=True, thickness=3))
    assert len(drawn) == 5
    assert drawn[0].dtype == np.uint8
    assert drawn[0][11, 16:44].tolist() == [[0, 0, 255]] * 28
    assert drawn[0][20, 30].tolist() == [200, 200, 200]
    assert drawn[0][5, 5].tolist() == [0, 0, 0]
    iterator.reset()
    named = list(iterator.draw_next(color=(255, 0, 0), mean=True, thickness=3, id2labels={0: "c"}))
    assert (named[0] != drawn[0]).any()
    assert (named[1] == drawn[1]).all()


def test_one_number_pads_all_channels():
    y, label = image.DetRandomPadAug(area_range=(2, 3), pad_val=7)(
        mx.nd.zeros((20, 20, 3), dtype="uint8"), np.array([[0, 0.0, 0.0, 1.0, 1.0]])
    )
    assert sorted(set(y.asnumpy().ravel().tolist())) == [0, 7]
    corner = y.asnumpy()[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corner == corner[:, :1]).all()
    assert 0 <= label[0, 1] < label[0, 3] <= 1


# ---- iterators


@pytest.fixture
def folder(tmp_path):
    """Five pictures and their folder."""
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(encoded(picture() // 16 + i * 40))
    return str(tmp_path)


def labels_of(iterator):
    return [(batch.label[0].asnumpy().ravel().tolist(), batch.pad) for batch in iterator]


def test_what_check_valid_image_refuses_is_left_out(folder):
    class Bright(image.ImageIter):
        def check_valid_image(self, data):
            if data[0].asnumpy().mean() < 100:
                raise RuntimeError("too dark")

    files = [[float(i), f"{i}.png"] for i in range(5)]
    assert labels_of(Bright(2, (3, 6, 6), imglist=files, path_root=folder)) == [
        ([3, 4], 0),
    ]
    assert labels_of(Bright(3, (3, 6, 6), imglist=files, path_root=folder)) == [([3, 4, 3], 1)]
    assert labels_of(Bright(2, (3, 6, 6), imglist=files[:3], path_root=folder)) == []

    class Once(image.ImageIter):
        def check_valid_image(self, data):
            if self.cur > 1 or self.reads > 1:
                raise RuntimeError("no more")
            self.reads += 1

        reads = 1

    with pytest.raises(RuntimeError, match="no picture was accepted to fill"):
        Once(2, (3, 6, 6), imglist=files, path_root=folder).next()


def test_pictures_that_lose_their_boxes_are_left_out(folder):
    files = [[2, 5, i, 0.1, 0.1, 0.6, 0.7, f"{i}.png"] for i in range(5)]

    class Lose(image.DetAugmenter):
        def __call__(self, src, label):
            return src, label if label[0, 0] != 2 else label[:0]

    force = image.DetBorrowAug(image.ForceResizeAug((6, 6)))
    iterator = image.ImageDetIter(
        2, (3, 6, 6), imglist=files, path_root=folder, aug_list=[force, Lose()]
    )
    assert [labels[::5] for labels, _ in labels_of(iterator)] == [[0, 1], [3, 4]]
    iterator.reset()
    assert len(list(iterator.draw_next())) == 4


def test_labels_of_lists(folder):
    files = [[1.0, 2.0, "0.png"], [3.0, 4.0, "1.png"]]
    label, _ = image.ImageIter(
        2, (3, 6, 6), 2, imglist=files, path_root=folder, dtype="int64"
    ).next_sample()
    assert isinstance(label, mx.nd.NDArray)
    assert (label.dtype, label.asnumpy().tolist()) == (np.int64, [1, 2])
    for width in (1, 3):
        with pytest.raises(ValueError, match=rf"label_width is {width}, and 0\.png has 2 labels"):
            image.ImageIter(2, (3, 6, 6), width, imglist=files, path_root=folder).next()

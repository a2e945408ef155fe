"""mx.io.ImageRecordIter and its kin: what is drawn, and the threads."""

import colorsys
import gc
import multiprocessing
import threading

import numpy as np
import pytest

import mxtape as mx
from mxtape import recordio
from mxtape.base import MXNetError
from mxtape.io.image_augment import shifted_hls

COUNT = 20


def ramp(i):
    """A picture that says where its pixels were: row, column, and its own number."""
    y, x = np.mgrid[0:30, 0:40]
    return np.stack([x * 6, y * 8, np.full_like(x, i * 10)], axis=2).astype("uint8")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "a.rec")
    with recordio.MXRecordIO(path, "w") as record:
        for i in range(COUNT):
            header = recordio.IRHeader(0, i, i, 0)
            record.write(recordio.pack_img(header, ramp(i)[:, :, ::-1], 1, ".png"))
    return path


def made(path, **options):
    options = {"data_shape": (3, 24, 24), "batch_size": 4, "verbose": False, **options}
    return mx.io.ImageRecordIter(path_imgrec=path, **options)


def epoch(iterator):
    batches = [(b.data[0].asnumpy(), b.label[0].asnumpy(), b.pad, b.index) for b in iterator]
    iterator.reset()
    return batches


def rows(iterator):
    return np.concatenate([data for data, *_ in epoch(iterator)])


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("rand_mirror", 2, "True or False"),
        ("shuffle", 1.0, "True or False"),
        ("round_batch", "yes", "True or False"),
        ("resize", 8.5, "whole number"),
        ("data_shape", (3, 24.5, 24), "whole number"),
    ],
)
def test_arguments_that_mean_nothing(path, name, value, what):
    with pytest.raises(MXNetError, match=f"{name}=.*{what}"):
        made(path, **{name: value})


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"random_resized_crop": True, "max_aspect_ratio": 1.5}, "aspect ratios of"),
        ({"random_resized_crop": True, "min_random_area": -1}, "min_random_area"),
        ({"random_resized_crop": True, "min_random_area": 0.9, "max_random_area": 0.2}, "area"),
        ({"min_random_scale": -0.5}, "min_random_scale"),
        ({"random_h": -5}, "random_h"),
    ],
)
def test_augmentations_that_mean_nothing(path, options, what):
    with pytest.raises(MXNetError, match=f"ImageRecordIter: .*{what}"):
        made(path, **options)


def test_pictures_that_vanish_keep_a_pixel(path):
    assert rows(made(path, min_random_scale=0, max_random_scale=0.04)).shape == (COUNT, 3, 24, 24)


@pytest.mark.parametrize("name", ["path_imgrec", "path_imglist", "path_imgidx"])
def test_a_file_that_is_not_there(path, name):
    with pytest.raises(MXNetError, match=r"/nowhere\.x"):
        mx.io.ImageRecordIter(
            **{"path_imgrec": path, "data_shape": (3, 24, 24), "batch_size": 4, name: "/nowhere.x"}
        )


def test_arguments_that_are_text(path):
    text = made(path, shuffle="False", mirror="1", resize="26", data_shape="(3, 24, 24)")
    same = made(path, shuffle=False, mirror=True, resize=26)
    np.testing.assert_array_equal(rows(text), rows(same))


def test_each_picture_once_in_another_order(path):
    iterator = made(path, shuffle=True, seed=3, batch_size=5)
    orders = [np.concatenate([label for _, label, *_ in epoch(iterator)]) for _ in range(3)]
    for order in orders:
        assert sorted(order) == list(range(COUNT))
    assert not (orders[0] == orders[1]).all()
    again = made(path, shuffle=True, seed=3, batch_size=5)
    assert (np.concatenate([label for _, label, *_ in epoch(again)]) == orders[0]).all()
    other = made(path, shuffle=True, seed=4, batch_size=5)
    assert not (np.concatenate([label for _, label, *_ in epoch(other)]) == orders[0]).all()


def test_a_padded_batch_begins_the_next_epoch(path):
    iterator = made(path, shuffle=True, batch_size=6)
    first, second = epoch(iterator), epoch(iterator)
    assert [pad for *_, pad, _ in first] == [0, 0, 0, 4]
    padding = first[-1][1][2:]
    whole = np.concatenate([padding, *(label for _, label, *_ in second)])[:COUNT]
    assert sorted(whole) == list(range(COUNT))


def test_parts_are_all_pictures(path):
    parts = [
        np.concatenate([index[: 4 - pad] for *_, pad, index in epoch(made(path, num_parts=3, **k))])
        for k in ({"part_index": i} for i in range(3))
    ]
    assert sorted(np.concatenate(parts)) == list(range(COUNT))
    assert all(len(part) > 4 for part in parts)


ALL = {
    "rand_crop": True,
    "rand_mirror": True,
    "resize": 28,
    "max_rotate_angle": 20,
    "max_aspect_ratio": 0.2,
    "max_shear_ratio": 0.1,
    "max_random_scale": 1.2,
    "min_random_scale": 0.9,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "pca_noise": 0.1,
    "random_h": 18,
    "random_s": 30,
    "random_l": 30,
    "pad": 2,
    "max_random_contrast": 0.1,
    "max_random_illumination": 5,
    "inter_method": 10,
}


def test_threads_and_batches_ahead_do_not_matter(path):
    found = [
        rows(made(path, **ALL, seed=5, preprocess_threads=threads, prefetch_buffer=ahead))
        for threads, ahead in ((1, 1), (4, 8))
    ]
    np.testing.assert_array_equal(*found)
    assert (rows(made(path, **ALL, seed=6)) != found[0]).any()
    assert (rows(made(path, **ALL, seed_aug=6)) != found[0]).any()
    iterator = made(path, **ALL, seed=5)
    first, second = rows(iterator), rows(iterator)
    np.testing.assert_array_equal(first, found[0])
    assert (first != second).any()


def test_random_crops_and_mirrors(path):
    iterator = made(path, rand_crop=True, rand_mirror=True)
    lefts, tops, mirrored = [], [], 0
    for _ in range(10):
        for x in rows(iterator):
            columns, lines = x[0, 0] / 6, x[1, :, 0] / 8
            flipped = columns[0] > columns[-1]
            mirrored += int(flipped)
            lefts.append(columns.min())
            tops.append(lines.min())
            assert (np.diff(columns) == (-1 if flipped else 1)).all()
            assert (np.diff(lines) == 1).all()
    assert sorted(set(lefts)) == list(range(17))
    assert sorted(set(tops)) == list(range(7))
    assert 60 < mirrored < 140


def test_random_resized_crops(path):
    iterator = made(
        path,
        random_resized_crop=True,
        min_random_area=0.2,
        max_random_area=0.6,
        min_aspect_ratio=0.75,
        max_aspect_ratio=4 / 3,
    )
    areas = []
    for _ in range(4):
        for x in rows(iterator):
            w, h = np.ptp(x[0]) / 6 + 1, np.ptp(x[1]) / 8 + 1
            areas.append(w * h / 1200)
            assert 0.65 < w / h < 1.5
    assert 0.15 < min(areas) < 0.3
    assert 0.5 < max(areas) < 0.7


def test_turned_pictures_have_the_fill_value_beyond(path):
    x = rows(made(path, rotate=45, fill_value=77, data_shape=(3, 30, 40)))
    assert (x[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 77).all()
    assert (
        abs(x[:, :, 15, 20] - ramp(0)[15, 20] * [1, 1, 0] - x[:, 2:, 15, 20] * [0, 0, 1]).max() < 9
    )


@pytest.mark.parametrize(
    ("hue", "lightness", "saturation"),
    [(0, 20, 0), (0, 0, 40), (0, -60, -30), (-90, 25, -25), (17, 0, 0)],
)
def test_hues_lightness_and_saturation(hue, lightness, saturation):
    pixels = np.random.RandomState(0).randint(0, 256, (9, 10, 3)).astype("uint8")
    pixels[0, :4] = [[7] * 3, [0] * 3, [255] * 3, [100] * 3]
    found = shifted_hls(pixels, hue, lightness, saturation)
    for was, now in zip(pixels.reshape(-1, 3), found.reshape(-1, 3)):
        h, light, s = colorsys.rgb_to_hls(*(was / 255))
        s = 0 if was.min() == was.max() else np.clip(s + saturation / 255, 0, 1)
        shifted = ((h + hue / 180) % 1, np.clip(light + lightness / 255, 0, 1), s)
        assert abs(now - np.array(colorsys.hls_to_rgb(*shifted)) * 255).max() < 0.6


def test_mean_image(path, tmp_path):
    mean = str(tmp_path / "mean.nd")
    without = rows(made(path))
    found = rows(made(path, mean_img=mean))
    np.testing.assert_allclose(found, without - without.mean(axis=0), atol=1e-3)
    assert list(mx.nd.load(mean)) == ["mean_img"]
    np.testing.assert_array_equal(rows(made(path, mean_img=mean)), found)
    with pytest.raises(MXNetError, match=r"is of shape \(3, 24, 24\), not \(3, 20, 20\)"):
        made(path, mean_img=mean, data_shape=(3, 20, 20))


def test_arguments(path):
    for options, message in (
        ({"batch_size": None}, "the argument batch_size is missing"),
        ({"batch_size": "x"}, "batch_size='x'"),
        ({"data_shape": (2, 6, 6)}, "channels are 1, 3 or 4"),
        ({"part_index": 2, "num_parts": 2}, "part_index 2 of 2 parts"),
        ({"preprocess_threads": 0}, "preprocess_threads is 1 or more"),
        ({"dtype": "float16"}, "dtype is float32, uint8 or int8"),
        ({"min_crop_size": 5}, "min_crop_size and max_crop_size"),
    ):
        with pytest.raises(MXNetError, match=message):
            made(path, **options)
    with pytest.warns(UserWarning, match=r"has no arguments \['shufle'\]"):
        made(path, shufle=True)


def test_errors_come_with_the_batch(tmp_path):
    path = str(tmp_path / "a.rec")
    with recordio.MXRecordIO(path, "w") as record:
        for i in range(6):
            record.write(recordio.pack_img(recordio.IRHeader(0, i, i, 0), ramp(i), 1, ".png"))
        record.write(recordio.pack(recordio.IRHeader(0, 6, 6, 0), b"no picture"))
    iterator = made(path, batch_size=2, round_batch=False)
    assert [iterator.next().label[0].asnumpy().tolist() for _ in range(3)] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    with pytest.raises(MXNetError, match="ImageRecordIter, picture 6: 10 bytes could not be"):
        iterator.next()
    iterator.reset()
    assert iterator.next().label[0].asnumpy().tolist() == [0, 1]
    with open(path, "r+b") as file:
        file.seek(20)
        file.truncate(40)
    with pytest.raises(MXNetError, match="no record file, or a damaged one"):
        made(path)


def _child(queue, iterator):
    iterator.reset()
    queue.put([label.tolist() for _, label, *_ in epoch(iterator)])


def test_a_forked_process_begins_again(path):
    iterator = made(path, batch_size=10)
    iterator.next()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue, iterator))
    child.start()
    assert queue.get() == [list(range(10)), list(range(10, 20))]
    child.join()
    assert iterator.next().label[0].asnumpy().tolist() == list(range(10, 20))


def test_no_thread_is_left(path):
    def running():
        return [t for t in threading.enumerate() if t.name.startswith("mxtape-pictures")]

    for _ in range(3):
        iterator = made(path)
        iterator.next()
        assert running()
    del iterator
    gc.collect()
    for thread in running():
        thread.join(10)
    assert not running()


def boxes(tmp_path):
    path = str(tmp_path / "boxes.rec")
    with recordio.MXRecordIO(path, "w") as record:
        for i in range(COUNT):
            pixels = np.zeros((40, 60, 3), "uint8")
            pixels[10:30, 15:45] = 200
            header = recordio.IRHeader(0, [2, 5, i, 0.25, 0.25, 0.75, 0.75], i, 0)
            record.write(recordio.pack_img(header, pixels, 1, ".png"))
    return path


def test_boxes_stay_on_what_is_in_them(tmp_path):
    iterator = mx.io.ImageDetRecordIter(
        path_imgrec=boxes(tmp_path),
        data_shape=(3, 80, 80),
        batch_size=10,
        rand_crop_prob=0.7,
        num_crop_sampler=2,
        min_crop_scales=(0.5, 0.7),
        max_crop_scales=(0.9, 1.0),
        min_crop_object_coverages=(0.5, 0.8),
        crop_emit_mode="overlap",
        rand_pad_prob=0.5,
        max_pad_scale=1.5,
        rand_mirror_prob=0.5,
        fill_value=0,
    )
    widths = set()
    for batch in iterator:
        data, label = batch.data[0].asnumpy(), batch.label[0].asnumpy()
        assert (label[:, :4] == [3, 80, 80, 7]).all()
        for x, (left, top, right, bottom) in zip(data, label[:, 7:]):
            inside = x[0] > 100
            columns, lines = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
            assert abs(columns[0] / 80 - left) < 0.05
            assert abs((columns[-1] + 1) / 80 - right) < 0.05
            assert abs(lines[0] / 80 - top) < 0.05
            assert abs((lines[-1] + 1) / 80 - bottom) < 0.05
            widths.add(round(float(right - left), 1))
    assert len(widths) > 3


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    """200 pictures of 40 rows and 60 columns, whose colours say which row and column it is."""
    path = str(tmp_path_factory.mktemp("slopes") / "a.rec")
    y, x = np.mgrid[0:40, 0:60]
    pixels = np.stack([np.full_like(x, 100), y * 6, x * 4], axis=2).astype("uint8")
    record_of = recordio.pack_img(
        recordio.IRHeader(0, [2, 5, 0, 0.3, 0.3, 0.6, 0.7], 0, 0), pixels, 1, ".png"
    )
    with recordio.MXRecordIO(path, "w") as record:
        for _ in range(200):
            record.write(record_of)
    return path


def detection(path, **options):
    batch = mx.io.ImageDetRecordIter(
        path_imgrec=path, data_shape=(3, 40, 60), batch_size=200, verbose=False, **options
    ).next()
    return batch.data[0].asnumpy()


@pytest.mark.parametrize(
    ("scale", "ratio", "widths", "heights"),
    [  # as MXNet crops
        (0.3, 1, (14, 14), (14, 14)),
        (0.5, 0.5, (17, 17), (34, 34)),
        (0.5, 0.25, (12, 15), (40, 40)),
        (0.9, 1, (44, 48), (40, 40)),
        (0.9, 4, (60, 60), (22, 32)),
    ],
)
def test_the_ratio_of_a_part_is_that_of_its_pixels(slopes, scale, ratio, widths, heights):
    x = detection(
        slopes,
        rand_crop_prob=1,
        min_crop_scales=(scale,),
        max_crop_scales=(scale + 0.001,),
        min_crop_aspect_ratios=(ratio,),
        max_crop_aspect_ratios=(ratio,),
        inter_method=0,
    )
    found = (
        np.stack(
            [(x[:, 0, 20, -1] - x[:, 0, 20, 0]) / 4, (x[:, 1, -1, 30] - x[:, 1, 0, 30]) / 6], axis=1
        )
        + 1
    )
    found = found[(found < (60, 40)).any(axis=1)]  # those for which there was a part with the box
    assert len(found) > 150
    for k, (low, high) in enumerate((widths, heights)):
        assert low <= found[:, k].min() <= low + 1
        assert high - 1 <= found[:, k].max() <= high


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({"max_random_contrast": 0.5, "random_contrast_prob": 1}, 50, 150),
        ({"max_random_illumination": 40, "random_illumination_prob": 1}, 60, 140),
        ({"max_random_contrast": 0.5, "max_random_illumination": 40}, 100, 100),
    ],
)
def test_light_changes_once(slopes, options, low, high):
    x = detection(slopes, **options)
    middle = x[:, 2, 17, 25]
    assert low - 2 <= middle.min() <= low + 4
    assert high - 4 <= middle.max() <= high + 2

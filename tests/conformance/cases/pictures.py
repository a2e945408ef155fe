"""mx.image and mx.recordio: files decoded, sizes, crops, augmenters with seeds, iterators."""

import os
import random
import struct
import tempfile
import zlib

import numpy as np
from harness import array, attempt, case, integers, values


def png(pixels, kind=None):
    """The bytes of a PNG file; kind is its colour type, by default that of the channels."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]] if kind is None else kind
    head = struct.pack(
        ">IIBBBBB", pixels.shape[1], pixels.shape[0], 8 * pixels.itemsize, kind, 0, 0, 0
    )
    rows = b"".join(b"\0" + row.astype(f">u{pixels.itemsize}").tobytes() for row in pixels)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(x)) + name + x + struct.pack(">I", zlib.crc32(name + x))
        for name, x in chunks
    )


def seed(n):
    random.seed(n)
    np.random.seed(n)  # noqa: NPY002


def setup(mx):
    def draws(make, picture, count=3):
        """What a seeded augmenter gives, and the next random numbers, so that it drew as many."""
        found = []
        for n in range(count):
            seed(n)
            found.append(make(picture.copy()))
            found.append([random.random(), np.random.rand()])  # noqa: NPY002
        return found

    u = array(mx, integers((6, 9, 3), 0, 256, seed=501, dtype="uint8"))
    return {
        "I": mx.image,
        "u": u,
        "f": u.astype("float32"),
        "c": mx.nd.arange(48).reshape((3, 4, 4)),
        "d": mx.nd.arange(36).reshape((3, 3, 4)),
        "draws": draws,
        "rgb": png(integers((5, 7, 3), 0, 256, seed=502, dtype="uint8")),
        "rgba": png(integers((5, 7, 4), 0, 256, seed=503, dtype="uint8")),
        "gray": png(integers((5, 7, 1), 0, 256, seed=504, dtype="uint8")),
        "la": png(integers((5, 7, 2), 0, 256, seed=505, dtype="uint8")),
        "deep": png(integers((5, 7, 3), 0, 65536, seed=506, dtype="uint16")),
        "deep_gray": png(integers((5, 7, 1), 0, 65536, seed=507, dtype="uint16")),
    }


for x in ("rgb", "rgba", "gray", "la", "deep", "deep_gray"):
    values(__name__, setup, f"I.imdecode({x})")
    if x != "deep":
        values(__name__, setup, f"I.imdecode({x}, flag=0)")

values(
    __name__,
    setup,
    """
    I.imdecode(rgb, to_rgb=False)
    I.imdecode(rgb, 1, 0)
    I.imdecode(bytearray(rgb))
    I.imdecode(np.frombuffer(rgb, 'uint8'))
    I.imdecode(rgb, out=nd.zeros((5, 7, 3), dtype='uint8'))
    I.imdecode(b'')
    I.imdecode(b'abc')
    I.imdecode('abc')
    I.imdecode(rgb, -1)
    I.imread('/nowhere/at/all.png')
    [I.scale_down((4, 3), s) for s in ((4, 3), (3, 4), (10, 10), (1, 1), (100, 3))]
    [I.scale_down((5, 20), s) for s in ((4, 3), (3, 4), (10, 10), (1, 1), (100, 3))]
    I.resize_short(u, 3)
    I.resize_short(u.transpose((1, 0, 2)), 3)
    I.resize_short(u, 3, 9)
    I.resize_short(u, 12, 9)
    I.fixed_crop(u, 1, 2, 4, 3)
    I.fixed_crop(u, 1, 2, 4, 3, (4, 3))
    I.fixed_crop(u, 1, 2, 4, 3, (8, 6))
    I.fixed_crop(u, 1, 2, 4, 3, (2, 2), 0)
    I.fixed_crop(u, 1, 2, 40, 3)
    I.fixed_crop(u, -1, 2, 4, 3)
    I.center_crop(u, (4, 4))
    I.center_crop(u, (20, 4))
    I.center_crop(u, (4, 20))
    I.center_crop(u, (5, 3), 0)
    draws(lambda x: I.random_crop(x, (4, 4)), u)
    draws(lambda x: I.random_crop(x, (20, 4)), u)
    draws(lambda x: I.random_size_crop(x, (4, 4), 0.5, (0.75, 1.33)), u)
    draws(lambda x: I.random_size_crop(x, (4, 4), (0.2, 0.5), (0.75, 1.33)), u)
    draws(lambda x: I.random_size_crop(x, (4, 4), (2.0, 3.0), (0.75, 1.33)), u)
    I.random_size_crop(u, (4, 4), 0.5, (0.75, 1.33), nothing=3)
    I.color_normalize(f, nd.array([1, 2, 3]), nd.array([1, 2, 4]))
    I.color_normalize(f, 1.5, 2.0)
    I.color_normalize(f, None, nd.array([1, 2, 3]))
    I.copyMakeBorder(u, 1, 2, 3, 2, type=0, value=7.0)
    I.copyMakeBorder(u, 1, 2, 3, 2, type=1)
    I.copyMakeBorder(u, 1, 2, 3, 2, type=2)
    I.copyMakeBorder(u, 1, 2, 3, 2, type=3)
    I.copyMakeBorder(u, 1, 2, 3, 2, type=4)
    I.copyMakeBorder(u, 7, 2, 11, 2, type=4)
    I.copyMakeBorder(u, 7, 2, 11, 2, type=2)
    I.copyMakeBorder(u, 1, 2, 3, 2, 0, 1, (1, 2, 3))
    I.copyMakeBorder(u, 1, 2, 3, 2, values=(1,))
    I.copyMakeBorder(f, 1, 2, 3, 2)
    I.copyMakeBorder(u, -1, 2, 3, 2)
    I.copyMakeBorder(u, 1, 2, 3, 2, 5)
    [I.image._get_interp_method(9, s) for s in ((5, 5, 9, 9), (9, 9, 5, 5), (5, 5, 9, 3), ())]
    I.image._get_interp_method(5)
    I.imrotate(c, 45)
    I.imrotate(c, 30, zoom_in=True)
    I.imrotate(c, 30, zoom_out=True)
    I.imrotate(c, 30, True, True)
    I.imrotate(d, 30, zoom_out=True)
    I.imrotate(d, 120, zoom_in=True)
    I.imrotate(d, -390)
    I.imrotate(nd.stack(c, c), nd.array([30, 60]))
    I.imrotate(nd.stack(c, c), nd.array([30]))
    I.imrotate(c, nd.array([30]))
    I.imrotate(c.astype('uint8'), 30)
    I.imrotate(c[0], 30)
    draws(lambda x: I.random_rotate(x, (-10, 10)), c)
    draws(lambda x: I.random_rotate(nd.stack(x, x), (-10, 10)), c)
    """,
)

AUGMENTERS = """
ResizeAug(4)
ForceResizeAug((4, 5))
RandomCropAug((4, 5))
CenterCropAug((4, 5))
RandomSizedCropAug((4, 5), (0.2, 0.5), (0.75, 1.33), 3)
BrightnessJitterAug(0.3)
ContrastJitterAug(0.3)
SaturationJitterAug(0.3)
HueJitterAug(0.3)
ColorJitterAug(0.3, 0.2, 0.1)
LightingAug(0.1, np.array([55.46, 4.794, 1.148]), np.arange(9.0).reshape(3, 3))
ColorNormalizeAug(np.array([1, 2, 3]), np.array([1, 2, 4]))
ColorNormalizeAug(None, [1, 2, 4])
RandomGrayAug(0.5)
HorizontalFlipAug(0.5)
CastAug()
CastAug('uint8')
SequentialAug([I.CastAug(), I.ResizeAug(3)])
RandomOrderAug([I.CastAug(), I.ResizeAug(3), I.RandomGrayAug(0.5)])
"""


@case(rtol=1e-4, why="MXNet multiplies colours by matrices in another order")
def augmenters(mx):
    env = setup(mx)
    found = {}
    for text in AUGMENTERS.strip().splitlines():
        augmenter = eval(f"I.{text}", {"I": mx.image, "np": np})
        found[text] = [augmenter.dumps(), env["draws"](augmenter, env["f"])]
    return found


CREATE = """
(3, 5, 5)
(3, 5, 5), resize=6, rand_crop=True
(3, 5, 7), rand_crop=True, rand_resize=True, inter_method=10
(3, 5, 5), rand_resize=True
(3, 5, 5), rand_mirror=True, mean=True, std=True
(3, 5, 5), mean=np.array([1, 2, 3])
(3, 5, 5), mean=(1, 2)
(3, 5, 5), brightness=.1, contrast=.2, saturation=.3, hue=.1, pca_noise=.1, rand_gray=.2
"""
CREATE_DET = """
(3, 5, 5), rand_crop=0.5, rand_pad=0.5, rand_mirror=True, resize=6, mean=True, std=True
(3, 5, 5), rand_crop=0.5, min_object_covered=[0.1, 0.5], aspect_ratio_range=(0.5, 2)
(3, 5, 5), brightness=.1, contrast=.2, saturation=.3, hue=.1, pca_noise=.1, rand_gray=.2
"""


@case
def created(mx):
    found = {}
    for name, text in (("CreateAugmenter", CREATE), ("CreateDetAugmenter", CREATE + CREATE_DET)):
        for line in text.strip().splitlines():
            if "rand_resize" in line and "Det" in name:
                continue
            made = attempt(eval, f"{name}({line})", {name: getattr(mx.image, name), "np": np})
            found[f"{name} {line}"] = [x.dumps() for x in made] if isinstance(made, list) else made
    return found


DETECTION = """
DetHorizontalFlipAug(0.5)
DetRandomCropAug()
DetRandomCropAug(0.5, (0.5, 2), (0.1, 0.9), 0.3, 20)
DetRandomCropAug(aspect_ratio_range=1.0)
DetRandomCropAug(area_range=0.5)
DetRandomCropAug(area_range=(2, 3))
DetRandomPadAug()
DetRandomPadAug((0.5, 2), (1, 2), 20, (1, 2, 3))
DetRandomSelectAug([I.DetHorizontalFlipAug(1), I.DetRandomCropAug()])
DetRandomSelectAug([I.DetHorizontalFlipAug(1)], 0.5)
DetRandomSelectAug([])
DetBorrowAug(I.CenterCropAug((6, 6)))
"""
BOXES = [[0, 0.1, 0.2, 0.5, 0.6], [1, 0.4, 0.4, 0.9, 0.8], [2, 0, 0, 0.2, 0.2]]


@case
def detection_augmenters(mx):
    picture = array(mx, integers((20, 30, 3), 0, 256, seed=508, dtype="uint8"))
    found = {}
    for text in DETECTION.strip().splitlines():
        augmenter = eval(f"I.{text}", {"I": mx.image})
        found[text] = [augmenter.dumps()]
        for n in range(8):
            seed(n)
            data, label = augmenter(picture, np.array(BOXES, "float32"))
            total = data.astype("float64").sum().asscalar()
            found[text].append([data.shape, total, label, random.random()])
    return found


def _files(mx, folder, labels):
    """A folder of pictures, a list of them, and a record file with its index."""
    made = []
    record = mx.recordio.MXIndexedRecordIO(f"{folder}/a.idx", f"{folder}/a.rec", "w")
    with open(f"{folder}/a.lst", "w") as lines:
        for i, label in enumerate(labels):
            data = png(integers((8 + i % 3, 9 + i, 3), 0, 256, seed=510 + i, dtype="uint8"))
            with open(f"{folder}/{i}.png", "wb") as f:
                f.write(data)
            record.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, label, i, 0), data))
            words = label if isinstance(label, list) else [label]
            print(i, *words, f"{i}.png", sep="\t", file=lines)
            made.append([label, f"{i}.png"])
    record.close()
    return {
        "rec": {"path_imgrec": f"{folder}/a.rec"},
        "idx": {"path_imgrec": f"{folder}/a.rec", "path_imgidx": f"{folder}/a.idx"},
        "lst": {"path_imglist": f"{folder}/a.lst", "path_root": folder},
        "imglist": {"imglist": made, "path_root": folder},
    }


def _epochs(iterator, count):
    found = [[tuple(d) for d in iterator.provide_data + iterator.provide_label]]
    for _ in range(count):
        for batch in iterator:
            found.append([batch.data[0].sum(axis=(1, 2, 3)), batch.label[0], batch.pad])
        iterator.reset()
    return found


@case
def image_iter(mx):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        files = _files(mx, folder, [float(i) for i in range(7)])
        for kind, where in files.items():
            found[kind] = _epochs(mx.image.ImageIter(3, (3, 6, 6), **where), 2)
        for handle in ("pad", "discard", "roll_over"):
            for kind in ("idx", "imglist"):
                for shuffle in (False, True):
                    seed(3)
                    found[f"{handle} {kind} {shuffle}"] = _epochs(
                        mx.image.ImageIter(
                            3,
                            (3, 6, 6),
                            last_batch_handle=handle,
                            shuffle=shuffle,
                            **files[kind],
                        ),
                        3,
                    )
        for part in range(4):
            made = attempt(
                mx.image.ImageIter,
                2,
                (3, 6, 6),
                num_parts=3,
                part_index=part,
                **files["idx"],
            )
            found[f"part {part}"] = _epochs(made, 1) if part < 3 else made
        for text, options in (
            ("shuffled without an index", {"shuffle": True, **files["rec"]}),
            ("nothing", {}),
            ("one channel", {"data_shape": (1, 6, 6), **files["idx"]}),
            ("two axes", {"data_shape": (6, 6), **files["idx"]}),
            ("an unknown argument", {"nothing": 1, **files["idx"]}),
            ("labels of uint8", {"dtype": "uint8", **files["idx"]}),
        ):
            options = {"data_shape": (3, 6, 6), **options}
            found[text] = attempt(mx.image.ImageIter, 3, **options)
        seed(4)
        found["augmented"] = _epochs(
            mx.image.ImageIter(
                3,
                (3, 6, 6),
                resize=8,
                rand_crop=True,
                rand_mirror=True,
                mean=True,
                std=True,
                data_name="x",
                label_name="y",
                **files["lst"],
            ),
            2,
        )
    with tempfile.TemporaryDirectory() as folder:
        files = _files(mx, folder, [[i, 10 * i] for i in range(4)])
        for kind in ("idx", "imglist"):
            found[f"two labels {kind}"] = _epochs(
                mx.image.ImageIter(3, (3, 6, 6), label_width=2, **files[kind]), 1
            )
    return found


DET_LABELS = [
    [2, 5, 0, 0.1, 0.2, 0.5, 0.6, 1, 0.3, 0.3, 0.9, 0.9],
    [2, 5, 1, 0.2, 0.2, 0.5, 0.5],
    [4, 5, 40, 50, 2, 0.1, 0.2, 0.5, 0.6],
    [2, 5, 3, 0.1, 0.1, 0.9, 0.9, 2, 0, 0, 1, 1, 1, 0.1, 0.1, 0.2, 0.2],
    [2, 5, 4, 0.3, 0.3, 0.4, 0.4, 1, 0.5, 0.2, 0.1, 0.6],
]


@case
def image_det_iter(mx):
    found = {}
    make = mx.image.ImageDetIter
    with tempfile.TemporaryDirectory() as folder:
        files = _files(mx, folder, DET_LABELS)
        for kind, where in files.items():
            iterator = make(2, (3, 6, 6), **where)
            found[kind] = [iterator.label_shape, _epochs(iterator, 2)]
        for handle in ("discard", "roll_over"):
            found[handle] = _epochs(make(2, (3, 6, 6), last_batch_handle=handle, **files["idx"]), 2)
        seed(5)
        found["augmented"] = _epochs(
            make(2, (3, 12, 12), rand_crop=1, rand_pad=1, rand_mirror=True, **files["idx"]), 3
        )
        iterator = make(2, (3, 6, 6), **files["idx"])
        other = make(2, (3, 6, 6), imglist=[[DET_LABELS[1], "0.png"]], path_root=folder)
        found["other"] = other.label_shape
        for options in (
            {"label_shape": (5, 5)},
            {"label_shape": (1, 5)},
            {"label_shape": (5, 4)},
            {"label_shape": (5,)},
            {"data_shape": (5,)},
            {"data_shape": (3, 8, 8)},
        ):
            found[str(options)] = attempt(lambda options=options: iterator.reshape(**options))
        iterator.sync_label_shape(other)
        found["after"] = [iterator.label_shape, other.label_shape]
        found["shapes"] = [tuple(iterator.provide_data[0]), tuple(iterator.provide_label[0])]
        for label in (
            [2, 5],
            [1, 5, 0, 1, 2, 3, 4],
            [2, 4, 0, 1, 2, 3],
            [2, 5, 0, 0.5, 0.5, 0.2, 0.2],
        ):
            found[str(label)] = attempt(
                lambda label=label: make(2, (3, 6, 6), imglist=[[label, "0.png"]], path_root=folder)
            )
    return found


@case
def records(mx):
    """The bytes of files, and what is read of them."""
    magic = b"\x0a\x23\xd7\xce"
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.rec")
        record = mx.recordio.MXRecordIO(path, "w")
        for data in (b"", b"x", magic, b"ab" + magic, b"abcd" + magic * 2 + b"e"):
            record.write(data)
        record.close()
        with open(path, "rb") as f:
            found.append(f.read().hex())
        record = mx.recordio.MXRecordIO(path, "r")
        found.append([None if x is None else x.hex() for x in (record.read() for _ in range(7))])
    for label in (1.5, True, [1, 2.5], [], np.array([[1.5], [2]])):
        packed = mx.recordio.pack(mx.recordio.IRHeader(7, label, 2, 3), b"data")
        header, data = mx.recordio.unpack(packed)
        found.append([packed.hex(), header.flag, header.label, header.id, header.id2, data.hex()])
    return found

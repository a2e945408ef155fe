"""Find circles, squares and triangles in drawn pictures, with a small SSD in Gluon.

    python examples/detect_shapes.py              # 6 epochs, then a picture
    python examples/detect_shapes.py --quick      # fewer pictures and epochs
    python examples/detect_shapes.py --no-augment # pictures are not mirrored and cropped

The program draws pictures of 64 x 64 pixels with one to four shapes each, writes them to record
files with a box for every shape, and reads them through `mx.image.ImageDetIter`, which mirrors and
crops those to learn from. A single-shot detector (SSD) looks at three scales: at each place of
each scale it has two square anchors, scores of what is there, and offsets from the anchor to the
box. What it is measured by is the mean average precision (mAP) on pictures that it has not seen:
a shape is found where class and box are right, the box with an overlap of a half or more. The
program exits with status 1 if that stays below what the run should reach.

Besides mxtape it needs Pillow (to draw and decode) and matplotlib (for the picture).
"""

import argparse
import io
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import ProgressBar, accuracy_status, batches, parse_arguments, train_epoch
from pictures import draw_detections

import mxtape as mx
from mxtape import autograd, gluon, nd, recordio

FULL_EPOCHS, FULL_PICTURES, FULL_PRECISION = 6, 800, 0.95
QUICK_EPOCHS, QUICK_PICTURES, QUICK_PRECISION = 4, 256, 0.4

CORNERS = {"circle": 60, "square": 4, "triangle": 3}
CLASSES = tuple(CORNERS)
SIZE = 64  # of a picture, in pixels
BATCH = 8
LEARNING_RATE = 6e-3
MEAN, SCALE = np.full(3, 127.5), np.full(3, 64.0)

CHANNELS = (16, 24, 32, 48, 64)  # each block halves the picture; the last three have heads
ANCHOR_SIZES = ((0.2, 0.28), (0.36, 0.46), (0.6, 0.8))  # parts of the picture, for each scale
OVERLAP = 0.5


def random_shapes(rng):
    """One to four shapes that do not overlap: (class, polygon, box), in parts of the picture."""
    shapes: list = []
    wanted, tries = rng.randint(1, 5), 0
    while not shapes or (len(shapes) < wanted and tries < 60):  # there may be no room for all
        tries += 1
        kind = rng.randint(len(CLASSES))
        corners = CORNERS[CLASSES[kind]]
        angles = rng.uniform(0, 2 * np.pi) + np.arange(corners) * 2 * np.pi / corners
        points = rng.uniform(0.12, 0.24) * np.stack([np.cos(angles), np.sin(angles)], 1)
        points += rng.uniform(0, 1, 2)
        box = np.concatenate([points.min(0), points.max(0)])
        inside = (box[:2] >= 0.01).all() and (box[2:] <= 0.99).all()
        apart = all((box[:2] > b[2:]).any() or (box[2:] < b[:2]).any() for _, _, b in shapes)
        if inside and apart:
            shapes.append((kind, points, box))
    return shapes


def draw_picture(rng, shapes):
    """The shapes, bright, on a dark background with noise, as uint8."""
    from PIL import Image, ImageDraw

    finer = 4  # drawn larger, for smooth edges
    background = rng.randint(0, 90, 3)
    canvas = Image.new("RGB", (SIZE * finer, SIZE * finer), tuple(map(int, background)))
    for _, points, _ in shapes:
        colour = rng.randint(130, 256, 3)
        corners = [tuple(point) for point in (points * SIZE * finer).tolist()]
        ImageDraw.Draw(canvas).polygon(corners, fill=tuple(map(int, colour)))
    pixels = np.array(canvas.resize((SIZE, SIZE), Image.Resampling.BOX))
    return np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype("uint8")


def write_records(prefix, count, seed):
    """Write PREFIX.rec and PREFIX.idx: so many pictures, with labels in ImageDetIter's form."""
    from PIL import Image

    rng = np.random.RandomState(seed)
    record = recordio.MXIndexedRecordIO(f"{prefix}.idx", f"{prefix}.rec", "w")
    for i in range(count):
        shapes = random_shapes(rng)
        encoded = io.BytesIO()
        Image.fromarray(draw_picture(rng, shapes)).save(encoded, "PNG")
        label = [2, 5]  # two numbers before the boxes, which have five each
        for kind, _, box in shapes:
            label += [kind, *box]
        record.write_idx(i, recordio.pack(recordio.IRHeader(0, label, i, 0), encoded.getvalue()))
    record.close()


def read_records(prefix, **options):
    return mx.image.ImageDetIter(
        BATCH,
        (3, SIZE, SIZE),
        path_imgrec=f"{prefix}.rec",
        path_imgidx=f"{prefix}.idx",
        mean=MEAN,
        std=SCALE,
        **options,
    )


def load_pictures(prefix, count):
    """What to learn from, as an iterator, and a quarter as many held out, as two arrays."""
    write_records(f"{prefix}-train", count, seed=1)
    write_records(f"{prefix}-test", count // 4, seed=2)
    parts = [
        (batch.data[0][: BATCH - batch.pad], batch.label[0][: BATCH - batch.pad])
        for batch in read_records(f"{prefix}-test")
    ]
    return f"{prefix}-train", tuple(nd.concat(*arrays, dim=0) for arrays in zip(*parts))


def convolutions(channels):
    """A convolution or two with batch normalization; the picture gets half as wide and high."""
    block = gluon.nn.HybridSequential()
    for _ in range(1 if channels < 32 else 2):
        block.add(
            gluon.nn.Conv2D(channels, 3, padding=1, use_bias=False),
            gluon.nn.BatchNorm(),
            gluon.nn.Activation("relu"),
        )
    block.add(gluon.nn.MaxPool2D(2))
    return block


class Detector(gluon.HybridBlock):
    """Pictures -> anchors (1, n, 4), scores (N, 1 + classes, n), offsets (N, 4 n)."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.blocks = gluon.nn.HybridSequential()
            self.scores, self.offsets = (gluon.nn.HybridSequential() for _ in range(2))
            for channels in CHANNELS:
                self.blocks.add(convolutions(channels))
            for sizes in ANCHOR_SIZES:
                self.scores.add(gluon.nn.Conv2D(len(sizes) * (1 + len(CLASSES)), 3, padding=1))
                self.offsets.add(gluon.nn.Conv2D(len(sizes) * 4, 3, padding=1))

    def hybrid_forward(self, F, x):
        anchors, scores, offsets = [], [], []
        first = len(CHANNELS) - len(ANCHOR_SIZES)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i >= first:
                sizes = ANCHOR_SIZES[i - first]
                anchors.append(F.contrib.MultiBoxPrior(x, sizes=sizes, ratios=(1,)))
                # Channels last: then the anchors of one place lie side by side, as in `anchors`.
                by_place = F.transpose(self.scores[i - first](x), (0, 2, 3, 1))
                scores.append(F.reshape(by_place, (0, -1, 1 + len(CLASSES))))
                offsets.append(F.flatten(F.transpose(self.offsets[i - first](x), (0, 2, 3, 1))))
        scores = F.transpose(F.concat(*scores, dim=1), (0, 2, 1))
        return F.concat(*anchors, dim=1), scores, F.concat(*offsets, dim=1)


def detection_loss(network, pictures, labels):
    """The loss of each picture: classes and boxes, divided by how many anchors show a shape.

    Most anchors show background. Of those only the worst count, three for each that shows a shape.
    """
    anchors, scores, offsets = network(pictures)
    with autograd.pause():
        wanted, mask, classes = nd.contrib.MultiBoxTarget(
            anchors,
            labels,
            scores,
            overlap_threshold=OVERLAP,
            negative_mining_ratio=3,
            negative_mining_thresh=OVERLAP,
        )
        counts = nd.maximum((classes > 0).sum(axis=1), 1)
        chosen = classes >= 0  # -1: an anchor that does not count
    of_classes = -nd.pick(nd.log_softmax(scores, axis=1), nd.maximum(classes, 0), axis=1)
    of_boxes = nd.smooth_l1((offsets - wanted) * mask, scalar=1)
    return ((of_classes * chosen).sum(axis=1) + of_boxes.sum(axis=1)) / counts


def detect(network, pictures):
    """Rows of (class or -1, score, left, top, right, bottom) for each picture, as NumPy."""
    found = []
    for part in batches(len(pictures), 64):
        anchors, scores, offsets = network(pictures[part])
        boxes = nd.contrib.MultiBoxDetection(
            nd.softmax(scores, axis=1), offsets, anchors, threshold=0.02, nms_threshold=0.45
        )
        found += [rows[rows[:, 0] >= 0] for rows in boxes.asnumpy()]
    return found


def overlaps(box, boxes):
    """The intersection of a box with each of others, divided by the union."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + areas - shared)


def average_precision(hits, count):
    """The area under precision over recall.

    `hits` says of each detection, the surest first, whether it is right; `count` is how many there
    are to find. The precision at a recall is the best one at that recall or a higher one.
    """
    hits = np.asarray(hits, "float64")
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * hits).sum() / count)


def mean_average_precision(found, labels):
    """The mean over the classes; each labelled box counts once, for the surest detection of it."""
    precisions = []
    for kind in np.unique(labels[:, :, 0][labels[:, :, 0] >= 0]):
        boxes = [rows[rows[:, 0] == kind, 1:5] for rows in labels]
        left = [np.ones(len(rows), bool) for rows in boxes]
        detections = [(i, row) for i, rows in enumerate(found) for row in rows if row[0] == kind]
        hits = []
        for i, row in sorted(detections, key=lambda detection: -detection[1][1]):
            overlap = overlaps(row[2:], boxes[i])
            hits.append(False)
            if len(overlap) and overlap.max() >= OVERLAP:
                hits[-1] = left[i][overlap.argmax()]
                left[i][overlap.argmax()] = False
        precisions.append(average_precision(hits, sum(map(len, boxes))))
    return float(np.mean(precisions))


def make_network():
    network = Detector()
    network.initialize(mx.init.Xavier(magnitude=2))
    network.hybridize(static_alloc=True, static_shape=True)
    return network


def fit(network, epochs, train, test):
    """Train. Return (training loss, held-out loss, held-out mAP) of each epoch."""
    pictures, labels = test
    steps = -(-train.num_image // BATCH)
    schedule = mx.lr_scheduler.CosineScheduler(
        epochs * steps, base_lr=LEARNING_RATE, final_lr=LEARNING_RATE / 50, warmup_steps=steps
    )
    trainer = gluon.Trainer(
        network.collect_params(), "adam", {"learning_rate": LEARNING_RATE, "lr_scheduler": schedule}
    )
    progress, history = ProgressBar(epochs), []
    for epoch in range(epochs):
        train.reset()
        samples = ((batch.data[0], batch.label[0]) for batch in train)
        train_loss = train_epoch(trainer, samples, lambda *batch: detection_loss(network, *batch))
        test_loss = float(detection_loss(network, pictures, labels).mean().asscalar())
        precision = mean_average_precision(detect(network, pictures), labels.asnumpy())
        history.append((train_loss, test_loss, precision))
        progress.update(
            epoch + 1,
            f"loss {train_loss:.4f}, held out {test_loss:.4f}, mAP {100 * precision:.1f} %",
        )
    return history


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--no-augment", action="store_true", help="learn from the pictures as they are"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent / "output" / "detect_shapes.png",
        help="where the picture goes (examples/output/detect_shapes.png)",
    )
    enough = f" with {QUICK_PICTURES} pictures, and {100 * QUICK_PRECISION:.0f} %% are enough"
    arguments = parse_arguments(
        parser, "epochs", "passes over the pictures", FULL_EPOCHS, QUICK_EPOCHS, enough
    )
    mx.random.seed(arguments.seed)
    random.seed(arguments.seed)  # the iterator's order, and how it crops and mirrors
    augment = {
        "rand_mirror": True,
        "rand_crop": 0.5,
        "area_range": (0.5, 1.0),
        "min_object_covered": 0.6,
        "min_eject_coverage": 0.6,
    }

    with tempfile.TemporaryDirectory() as folder:
        count = QUICK_PICTURES if arguments.quick else FULL_PICTURES
        path, test = load_pictures(Path(folder) / "shapes", count)
        train = read_records(path, shuffle=True, **({} if arguments.no_augment else augment))
        network = make_network()
        began = time.perf_counter()
        history = fit(network, arguments.epochs, train, test)
        seconds = time.perf_counter() - began

    precision = history[-1][-1]
    pictures = test[0].transpose((0, 2, 3, 1)).asnumpy() * SCALE + MEAN
    found = detect(network, test[0])
    draw_detections(
        arguments.output, history, FULL_PRECISION, pictures.astype("uint8"), found, CLASSES
    )
    print(f"picture: {arguments.output}")
    print(f"held-out mAP {100 * precision:.2f} % after {seconds:.1f} s of training")
    return accuracy_status(precision, QUICK_PRECISION if arguments.quick else FULL_PRECISION)


if __name__ == "__main__":
    sys.exit(main())

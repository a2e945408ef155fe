"""Find squares and discs in pictures: a small single-shot detector in Gluon.

    python examples/detect_shapes.py             # 12 epochs
    python examples/detect_shapes.py --quick     # 4 epochs, to see that everything works

The pictures are drawn here, with one to three shapes each, and kept in a file of records with the
shapes' boxes (`recordio`). `ImageDetIter` reads them in batches and mirrors some. The network says
for boxes of three sizes around each of 6 x 6 places whether they hold a shape, which, and how to
move them onto it (`MultiBoxPrior`, `MultiBoxTarget`, `MultiBoxDetection`).

A shape is found if a box of its kind covers it: their overlap is more than half of what both cover.
The program exits with status 1 if the F1 score of other pictures stays below what the run should
reach. Besides mxtape it needs Pillow.
"""

import argparse
import os
import sys
import tempfile
import time
from random import seed as seed_mirrors

import numpy as np
from common import parse_arguments, train_epoch

import mxtape as mx
from mxtape import gluon, nd
from mxtape.gluon import nn

FULL_EPOCHS, FULL_SCORE = 12, 0.8
QUICK_EPOCHS, QUICK_SCORE = 4, 0.5

SIDE, BATCH, PICTURES, HELD_OUT, MOST = 48, 32, 640, 160, 3
SIZES, RATIOS, KINDS = (0.2, 0.3, 0.42), (1,), 2
LEARNING_RATE = 3e-3


def draw(random):
    """A picture, 48 x 48 x 3, and (kind, left, top, right, bottom) of its shapes, in 0..1."""
    picture = random.randint(0, 90, 3) + random.randint(0, 40, (SIDE, SIDE, 3))
    y, x = np.mgrid[:SIDE, :SIDE]
    taken, shapes = np.zeros((SIDE, SIDE), bool), []
    for _ in range(random.randint(1, MOST + 1)):
        size = random.randint(9, 21)
        left, top = random.randint(0, SIDE - size, 2)
        box = np.s_[top : top + size, left : left + size]
        if taken[box].any():
            continue
        taken[box] = True
        kind = random.randint(KINDS)
        middle = np.array([top, left]) + (size - 1) / 2
        inside = taken & False
        inside[box] = True
        if kind == 1:
            inside &= (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= (size / 2) ** 2
        picture[inside] = random.randint(140, 256, 3)
        shapes.append([kind, *(np.array([left, top, left + size, top + size]) / SIDE)])
    return picture.astype("uint8"), shapes


def write_records(prefix, count, random):
    """Draw pictures into PREFIX.rec, with PREFIX.idx beside it."""
    records = mx.recordio.MXIndexedRecordIO(prefix + ".idx", prefix + ".rec", "w")
    for i in range(count):
        picture, shapes = draw(random)
        # How long the beginning of the label is, and each shape's part of it.
        header = mx.recordio.IRHeader(0, [2, 5, *np.ravel(shapes)], i, 0)
        records.write_idx(i, mx.recordio.pack_img(header, picture, img_fmt=".png"))
    records.close()


def read(prefix, **options):
    return mx.image.ImageDetIter(
        BATCH,
        (3, SIDE, SIDE),
        path_imgrec=prefix + ".rec",
        path_imgidx=prefix + ".idx",
        mean=np.full(3, 110.0),
        std=np.full(3, 60.0),
        **options,
    )


class Detector(gluon.HybridBlock):
    """48 x 48 pixels -> 64 channels of 6 x 6 -> scores and moves of 3 boxes at each place."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for channels in (16, 32, 64):
                self.body.add(
                    nn.Conv2D(channels, 3, padding=1, use_bias=False),
                    nn.BatchNorm(),
                    nn.Activation("relu"),
                    nn.MaxPool2D(2),
                )
            self.body.add(nn.Conv2D(64, 3, padding=1), nn.Activation("relu"))
            boxes = len(SIZES) + len(RATIOS) - 1
            self.scores = nn.Conv2D(boxes * (KINDS + 1), 3, padding=1)
            self.moves = nn.Conv2D(boxes * 4, 3, padding=1)

    def hybrid_forward(self, F, pictures):
        features = self.body(pictures)
        boxes = F.contrib.MultiBoxPrior(features, sizes=SIZES, ratios=RATIOS)
        scores, moves = (
            F.transpose(layer(features), axes=(0, 2, 3, 1)) for layer in (self.scores, self.moves)
        )
        return boxes, F.reshape(scores, shape=(0, -1, KINDS + 1)), F.flatten(moves)


class Loss:
    """Of kinds, and of moves of the boxes that hold a shape; a number for each picture."""

    def __init__(self, network):
        self.network, self.kinds = network, gluon.loss.SoftmaxCrossEntropyLoss()

    def __call__(self, pictures, shapes):
        boxes, scores, moves = self.network(pictures)
        with mx.autograd.pause():
            right_moves, moved, kinds = nd.contrib.MultiBoxTarget(
                boxes,
                shapes,
                nd.transpose(scores, axes=(0, 2, 1)),
                negative_mining_ratio=3,
                negative_mining_thresh=0.5,
            )
            counted = nd.expand_dims(kinds >= 0, axis=2)  # the others are far from hard
        of_kinds = self.kinds(scores, nd.maximum(kinds, 0), counted) * scores.shape[1]
        of_moves = nd.smooth_l1((moves - right_moves) * moved, scalar=1.0).sum(axis=1)
        return (of_kinds + of_moves) / MOST


def found_in(network, pictures):
    """(kind, score, left, top, right, bottom) of the boxes found; the kind is -1 for the rest."""
    boxes, scores, moves = network(pictures)
    odds = nd.transpose(nd.softmax(scores), axes=(0, 2, 1))
    return nd.contrib.MultiBoxDetection(odds, moves, boxes, threshold=0.4, nms_threshold=0.3)


def evaluate(network, iterator):
    """The F1 score: how many of the shapes are found, and of what is found is right."""
    right = found = there = 0
    iterator.reset()
    for batch in iterator:
        boxes = found_in(network, batch.data[0])
        # Of the boxes of each picture with the shapes of each.
        overlaps = nd.contrib.box_iou(boxes[:, :, 2:], batch.label[0][:, :, 1:]).asnumpy()
        boxes, shapes = boxes.asnumpy(), batch.label[0].asnumpy()
        for i in range(len(boxes) - batch.pad):
            real = shapes[i, :, 0] >= 0
            kept = boxes[i, :, 0] >= 0
            same = boxes[i, :, :1] == shapes[i, None, :, 0]
            hit = (overlaps[i, :, i] > 0.5) & same & real & kept[:, None]
            right += hit.any(axis=0).sum()
            found, there = found + kept.sum(), there + real.sum()
    return 2 * right / (found + there)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments = parse_arguments(parser, "epochs", "passes over the data", FULL_EPOCHS, QUICK_EPOCHS)
    mx.random.seed(arguments.seed)
    seed_mirrors(arguments.seed)
    random = np.random.RandomState(arguments.seed)
    network = Detector()
    network.initialize(mx.init.Xavier(magnitude=2))
    network.hybridize()
    trainer = gluon.Trainer(network.collect_params(), "adam")
    loss = Loss(network)
    with tempfile.TemporaryDirectory() as folder:
        prefixes = [os.path.join(folder, name) for name in ("train", "test")]
        for prefix, count in zip(prefixes, (PICTURES, HELD_OUT)):
            write_records(prefix, count, random)
        train, test = read(prefixes[0], rand_mirror=True), read(prefixes[1])
        began = time.perf_counter()
        for epoch in range(arguments.epochs):
            trainer.set_learning_rate(LEARNING_RATE * (1 - epoch / arguments.epochs))
            train.reset()
            batches = ((batch.data[0], batch.label[0]) for batch in train)
            mean = train_epoch(trainer, batches, loss)
            print(f"epoch {epoch + 1:2}/{arguments.epochs}  loss {mean:.4f}", flush=True)
        seconds = time.perf_counter() - began
        score = evaluate(network, test)
    print(f"F1 score of {HELD_OUT} other pictures: {score:.3f} after {seconds:.1f} s of training")
    required = QUICK_SCORE if arguments.quick else FULL_SCORE
    if score < required:
        print(f"that is less than the {required:g} that this run should reach")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

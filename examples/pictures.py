"""Pictures of what is learnt, with matplotlib."""

import contextlib

import numpy as np

BLUE, ORANGE, RED, GREY = "#2563a8", "#d97706", "#c81e3a", "#5b6470"
BOXES = ("#ff2d55", "#00c2ff", "#ffd60a")  # of each class, to be seen on pictures
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw_curves(figure, history, goal, measure="accuracy"):
    """Loss and what is to get high over the epochs."""
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    train_loss, test_loss, accuracy = zip(*history)
    left.plot(epochs, train_loss, color=BLUE, label="training", lw=2)
    left.plot(epochs, test_loss, color=ORANGE, label="held out", lw=2)
    left.set(title="Loss", xlabel="epoch")
    if max(train_loss) > 10 * min(train_loss):
        left.set_yscale("log")
        left.yaxis.set_major_formatter("{x:g}")
    left.legend()
    right.plot(epochs, [100 * a for a in accuracy], color=ORANGE, lw=2)
    right.axhline(100 * goal, color=GREY, lw=1, ls="--", label=f"goal: {100 * goal:.0f} %")
    right.legend(loc="lower right")
    right.set(
        title=f"Held-out {measure}: {100 * accuracy[-1]:.1f} % at the end",
        xlabel="epoch",
        ylabel="%",
    )
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)


def draw_digits(figure, images, labels, predictions, columns=12, rows=3):
    """Held-out digits with their predictions, the wrong ones first."""
    mistakes = [i for i in range(len(labels)) if predictions[i] != labels[i]]
    correct = [i for i in range(len(labels)) if predictions[i] == labels[i]]
    shown = mistakes[:columns]
    shown += correct[: columns * rows - len(shown)]
    figure.suptitle(
        f"Held-out digits and what the network says: {len(mistakes)} of {len(labels)} are wrong",
        x=0.01,
        ha="left",
        fontweight="bold",
        fontsize=12,
    )
    for axes, i in zip(figure.subplots(rows, columns).flat, shown):
        wrong = predictions[i] != labels[i]
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r", interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.set_title(
            f"{predictions[i]:.0f}, is {labels[i]:.0f}" if wrong else f"{predictions[i]:.0f}",
            loc="center",
            fontsize=11,
            color=RED if wrong else "black",
            pad=4,
            fontweight="bold" if wrong else "normal",
        )
        for spine in axes.spines.values():
            spine.set(visible=True, color=RED if wrong else "#c5cad1", lw=2.2 if wrong else 0.8)


def draw_boxes(figure, pictures, found, classes, sure, columns=7, rows=2):
    """Held-out pictures with the boxes that were found."""
    figure.suptitle(
        f"Held-out pictures and what the network finds, where it is sure by {100 * sure:.0f} %",
        x=0.01,
        ha="left",
        fontweight="bold",
        fontsize=12,
    )
    for axes, picture, detections in zip(figure.subplots(rows, columns).flat, pictures, found):
        height, width = picture.shape[:2]
        axes.imshow(picture, interpolation="nearest", extent=(0, width, height, 0))
        axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        axes.grid(False)
        for kind, score, *box in detections[detections[:, 1] >= sure]:
            left, top, right, bottom = np.clip(box, 0, 1) * (width, height, width, height)
            color = BOXES[int(kind)]
            axes.plot(
                [left, right, right, left, left], [top, top, bottom, bottom, top], color=color, lw=2
            )
            axes.text(
                left,
                top if top > height / 8 else bottom,
                f"{classes[int(kind)]} {100 * score:.0f}",
                va="bottom" if top > height / 8 else "top",
                fontsize=6.5,
                color="black",
                bbox={"facecolor": color, "edgecolor": "none", "pad": 0.8},
                in_layout=False,
            )


def draw_detections(path, history, goal, pictures, found, classes, sure=0.5):
    """Write a picture: the curves of loss and mean average precision, and pictures with boxes.

    `history` has (training loss, held-out loss, precision) of each epoch; `found`, for each
    picture, rows of (class, score, left, top, right, bottom), the edges as parts of the picture.
    """
    with whole_figure(path) as figure:
        curves, boxes = figure.subfigures(2, 1, height_ratios=[1, 1.05], hspace=0.04)
        draw_curves(curves, history, goal, "mAP")
        draw_boxes(boxes, pictures, found, classes, sure)


def draw(path, history, goal, images, labels, predictions):
    """Write a picture: the loss and accuracy curves, and held-out digits with their predictions.

    `history` has (training loss, held-out loss, accuracy) of each epoch.
    """
    with whole_figure(path) as figure:
        curves, digits = figure.subfigures(2, 1, height_ratios=[1.15, 1], hspace=0.04)
        draw_curves(curves, history, goal)
        draw_digits(digits, images, labels, predictions)


@contextlib.contextmanager
def whole_figure(path):
    """A figure to draw in, which is written to a file then."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(STYLE)
    figure = plt.figure(figsize=(11, 8), dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    yield figure
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)

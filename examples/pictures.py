"""Pictures of how the digits are learnt, with matplotlib."""

BLUE, ORANGE, RED, GREY = "#2563a8", "#d97706", "#c81e3a", "#5b6470"
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


def draw_curves(figure, history, goal):
    """Loss and accuracy over the epochs."""
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history) + 1)
    train_loss, test_loss, accuracy = zip(*history)
    left.plot(epochs, train_loss, color=BLUE, label="training", lw=2)
    left.plot(epochs, test_loss, color=ORANGE, label="held out", lw=2)
    left.set(title="Loss", xlabel="epoch", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")
    left.legend()
    right.plot(epochs, [100 * a for a in accuracy], color=ORANGE, lw=2)
    right.axhline(100 * goal, color=GREY, lw=1, ls="--")
    right.annotate(
        f"goal: {100 * goal:.0f} %",
        (epochs[-1], 100 * goal),
        xytext=(0, -5),
        textcoords="offset points",
        ha="right",
        va="top",
        color=GREY,
    )
    right.set(
        title=f"Held-out accuracy: {100 * accuracy[-1]:.1f} % at the end",
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


def draw(path, history, goal, images, labels, predictions):
    """Write a picture: the loss and accuracy curves, and held-out digits with their predictions.

    `history` has (training loss, held-out loss, accuracy) of each epoch.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(STYLE)
    figure = plt.figure(figsize=(11, 8), dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    curves, digits = figure.subfigures(2, 1, height_ratios=[1.15, 1], hspace=0.04)
    draw_curves(curves, history, goal)
    draw_digits(digits, images, labels, predictions)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)

"""The CTC loss: blanks, padding, lengths, what cannot be spelled, what it refuses."""

from harness import array, case, data, gradients, values


def sequences(mx):
    return {
        "x": array(mx, data((5, 2, 4), -2, 2, seed=930)),
        "a": mx.nd.array([[1, 2, 3], [2, 2, 0]]),
        "b": mx.nd.array([[0, 1, 2], [1, 1, -1]]),
        "t": mx.nd.array([4, 3]),
        "n": mx.nd.array([2, 1]),
    }


gradients(
    __name__,
    sequences,
    """
    nd.CTCLoss(x, a)
    nd.ctc_loss(x, a)
    nd.contrib.CTCLoss(x, a)
    nd.contrib.ctc_loss(x, a)
    nd.CTCLoss(x, b, blank_label='last')
    nd.CTCLoss(x, a.astype('int32'))
    nd.CTCLoss(x, a.astype('float64'))
    nd.CTCLoss(x, a, t, use_data_lengths=True)
    nd.CTCLoss(x, a, n, use_label_lengths=True)
    nd.CTCLoss(x, a, t, n, use_data_lengths=True, use_label_lengths=True)
    nd.CTCLoss(x, a, label_lengths=n, use_label_lengths=True)
    nd.CTCLoss(x, a, data_lengths=t, label_lengths=n, use_data_lengths=True, use_label_lengths=True)
    nd.CTCLoss(x, b, n, use_label_lengths=True, blank_label='last')
    nd.CTCLoss(x, nd.array([[0, 1, 2], [1, 0, 2]]))
    nd.CTCLoss(x, nd.array([[1, 1, 1], [2, 3, 2]]))
    nd.CTCLoss(x, a, nd.array([0, 2]), use_label_lengths=True)
    nd.CTCLoss(x * 50, a)
    """,
    wrt="x",
)
values(
    __name__,
    sequences,
    """
    nd.CTCLoss(x)
    nd.CTCLoss(x, a, t)
    nd.CTCLoss(x, a, t, n, use_data_lengths=True)
    nd.CTCLoss(x, a, use_data_lengths=True)
    nd.CTCLoss(x, a, blank_label='middle')
    nd.CTCLoss(x[0], a)
    nd.CTCLoss(x, a[0])
    nd.CTCLoss(x, nd.zeros((3, 3)))
    nd.CTCLoss(x, nd.zeros((2, 6)))
    nd.CTCLoss(x, a, nd.zeros((3,)), use_data_lengths=True)
    nd.CTCLoss(x, a, nd.zeros((3,)), use_label_lengths=True)
    nd.CTCLoss(x.astype('int32'), a)
    nd.CTCLoss(x.astype('float64'), a)
    nd.CTCLoss(x, nd.array([[1, 1, 1, 1], [2, 3, 2, 2]]))
    nd.CTCLoss(x, a, nd.array([0, 2]), use_data_lengths=True)
    """,
)
# MXNet reads past the end of the scores; and of memory that no one wrote where no sequence of the
# batch has a label, or where there are too few steps for the labels.
gradients(
    __name__,
    sequences,
    """
    nd.CTCLoss(x, nd.zeros((2, 3)))
    nd.CTCLoss(x, nd.array([[1, 1, 1, 1], [2, 2, 2, 2]]))
    """,
    wrt="x",
    unsafe=True,
)
values(
    __name__,
    sequences,
    """
    nd.CTCLoss(x, a + 2)
    nd.CTCLoss(x, a, t + 2, use_data_lengths=True)
    nd.CTCLoss(x, a, n + 2, use_label_lengths=True)
    """,
    unsafe=True,
)


@case
def label_gradient(mx):
    """Labels are not differentiated."""
    env = sequences(mx)
    x, a = env["x"], env["a"]
    x.attach_grad()
    a.attach_grad()
    with mx.autograd.record():
        loss = mx.nd.CTCLoss(x, a)
    loss.backward()
    return a.grad

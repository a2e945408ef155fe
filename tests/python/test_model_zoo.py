"""``gluon.model_zoo``: files of weights; hybridized networks compute what eager ones do."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import mxtape as mx
from mxtape.gluon.model_zoo import model_store, vision

# A network of each family with few classes, and a small image.
NETWORKS = {
    "alexnet": (lambda: vision.alexnet(classes=5), 63),
    "vgg": (lambda: vision.VGG([1, 2], [4, 8], 5, batch_norm=True), 4),
    "resnet v1": (lambda: vision.ResNetV1(vision.BottleneckV1, [1, 2], [4, 8, 16], 5), 33),
    "resnet v2": (lambda: vision.ResNetV2(vision.BasicBlockV2, [1, 2], [4, 8, 16], 5), 33),
    "squeezenet": (lambda: vision.squeezenet1_1(classes=5), 209),
    "densenet": (lambda: vision.DenseNet(8, 4, [2, 2], dropout=0.2, classes=5), 53),
    "inception": (lambda: vision.inception_v3(classes=5), 299),
    "mobilenet": (lambda: vision.mobilenet0_25(classes=5), 33),
    "mobilenet v2": (lambda: vision.mobilenet_v2_0_25(classes=5), 33),
}


def small(thumbnail=True, **options):
    return vision.ResNetV1(
        vision.BasicBlockV1, [1, 1], [4, 4, 8], 3, thumbnail=thumbnail, **options
    )


def images(size, count=1):
    return mx.nd.array(np.random.RandomState(0).uniform(-1, 1, (count, 3, size, size)))


def run(network, x):
    """Scores of a step in training, and the gradients, with the same random numbers each time."""
    mx.random.seed(1)
    with mx.autograd.record():
        scores = network(x)
    scores.backward(mx.nd.array(np.random.RandomState(1).uniform(-1, 1, scores.shape)))
    learnt = [p for p in network.collect_params().values() if p.grad_req != "null"]
    return [scores.asnumpy(), *(p.grad().asnumpy() for p in learnt)]


@pytest.mark.parametrize("family", NETWORKS)
def test_a_hybridized_network_computes_what_an_eager_one_does(family):
    make, size = NETWORKS[family]
    network = make()
    x = images(size)
    network.infer_shape(x)
    network.initialize(mx.init.Xavier(magnitude=2))
    eager = run(network, x)
    network.hybridize(static_alloc=True, static_shape=True)
    for a, b in zip(eager, run(network, x)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * abs(a).max())
    assert eager[0].shape == (1, 5)
    assert abs(eager[0]).max() > 0
    assert all(np.isfinite(a).all() for a in eager)


def test_networks_are_found_by_name_in_any_case():
    assert isinstance(vision.get_model("ResNet18_V1", classes=2), vision.ResNetV1)
    with pytest.raises(ValueError, match=r"no network 'resnet19'; there are alexnet, densenet121"):
        vision.get_model("resnet19")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: vision.get_resnet(3, 18), AssertionError, "version is one of .1, 2., not 3"),
        (lambda: vision.get_resnet(1, 19), AssertionError, "num_layers is one of .18, 34"),
        (lambda: vision.get_vgg(12), KeyError, "12"),
        (lambda: vision.VGG([1], [1, 2]), AssertionError, "1 stages of layers, 2 of filters"),
        (lambda: vision.SqueezeNet("1.2"), AssertionError, "one of .*'1.1'., not '1.2'"),
        (
            lambda: vision.ResNetV1(vision.BasicBlockV1, [1], [2]),
            AssertionError,
            "ResNetV1: 1 stages need 2 numbers of channels, not 1",
        ),
        (lambda: vision.resnet18_v1(depth=1), TypeError, "depth"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_functions_of_the_zoo_can_be_sent_to_other_processes():
    assert pickle.loads(pickle.dumps(vision.vgg11_bn)) is vision.vgg11_bn
    assert "get_vgg(11, batch_norm=True, **kwargs)" in vision.vgg11_bn.__doc__


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"resnet18_v1-a0666292\.params.*resnet18_v1\.par"):
        vision.get_model("resnet18_v1", pretrained=True, root=str(tmp_path))
    with pytest.raises(ValueError, match=r"no weights of a network called 'mobilenet0\.30'"):
        vision.get_mobilenet(0.3, pretrained=True, root=str(tmp_path))


def test_files_are_looked_for_in_the_home_of_mxnet(tmp_path):
    program = "from mxtape.gluon.model_zoo import vision; vision.alexnet(pretrained=True)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "MXNET_HOME": str(tmp_path)},
    )
    expected = tmp_path / "models" / "alexnet-44335d1f.params"
    assert f"FileNotFoundError: there is no file {str(expected)!r}" in done.stderr


@pytest.fixture
def file_of_small(tmp_path, monkeypatch):
    """A network, and what makes another like it with weights from the zoo's file `tiny`."""
    network = small()
    network.initialize(mx.init.Xavier())
    network(images(5))

    def load(**options):
        return vision._classifier.create(small, "tiny", True, mx.cpu(), str(tmp_path))

    return network, tmp_path, load


def test_weights_of_ones_own_are_loaded(file_of_small):
    network, folder, load = file_of_small
    network.save_parameters(str(folder / "tiny.params"))
    x = images(5)
    assert load()(x).asnumpy().tolist() == network(x).asnumpy().tolist()


def test_weights_under_the_names_of_parameters_are_loaded(file_of_small):
    """As older versions of MXNet saved them, and with them its zoo."""
    network, folder, load = file_of_small
    network.collect_params().save(str(folder / "tiny.params"), strip_prefix=network.prefix)
    x = images(5)
    assert load()(x).asnumpy().tolist() == network(x).asnumpy().tolist()


def test_a_published_file_is_checked(file_of_small, monkeypatch):
    import hashlib

    network, folder, load = file_of_small
    path = folder / "tiny.params"
    network.save_parameters(str(path))
    whole = hashlib.sha1(path.read_bytes()).hexdigest()
    monkeypatch.setitem(model_store._model_sha1, "tiny", whole)
    published = path.rename(folder / f"tiny-{whole[:8]}.params")
    x = images(5)
    assert load()(x).asnumpy().tolist() == network(x).asnumpy().tolist()
    published.write_bytes(published.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=f"damaged: its SHA-1 is not {whole}"):
        load()


def test_purge_removes_files_of_weights(tmp_path):
    for name in ("a.params", "b-12345678.params", "readme.txt"):
        (tmp_path / name).touch()
    model_store.purge(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["readme.txt"]


def test_a_network_is_exported_and_imported(tmp_path):
    network = small(thumbnail=False)
    network.initialize(mx.init.Xavier())
    network.hybridize()
    x = images(20, count=2)
    scores = network(x)
    network.export(str(tmp_path / "small"))
    again = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "small-symbol.json"), ["data"], str(tmp_path / "small-0000.params")
    )
    np.testing.assert_allclose(again(x).asnumpy(), scores.asnumpy(), rtol=1e-6)

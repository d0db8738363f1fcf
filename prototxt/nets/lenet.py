"""LeNet as Caffe publishes it, with its solver. From BVLC Caffe's MNIST example."""

from __future__ import annotations

from .definition import Definition, Message, SolverDefinition, Word

XAVIER = {"type": "xavier"}
RATES = [{"lr_mult": 1}, {"lr_mult": 2}]
BYTE = 0.00390625  # 1 / 256: bytes become numbers below 1


def lenet(train: str, test: str, *, batch: int = 64, test_batch: int = 100) -> Definition:
    """Return the network for training, which reads 1 x 28 x 28 images from two databases.

    Caffe: examples/mnist/lenet_train_test.prototxt
    """
    net = Definition("LeNet")
    net.data("mnist", train, batch, phase="TRAIN", scale=BYTE)
    net.data("mnist", test, test_batch, phase="TEST", scale=BYTE)
    top = net.pooling("pool1", _convolution(net, "conv1", "data", 20), "MAX", 2, 2)
    top = net.pooling("pool2", _convolution(net, "conv2", top, 50), "MAX", 2, 2)
    top = net.relu("relu1", _inner_product(net, "ip1", top, 500))
    top = _inner_product(net, "ip2", top, 10)
    net.layer("accuracy", "Accuracy", [top, "label"], include={"phase": Word("TEST")})
    net.softmax_with_loss("loss", top, "label")
    return net


def lenet_solver(net: str, prefix: str, *, test_iter: int = 100) -> SolverDefinition:
    """Return the solver: 10000 iterations of SGD, tested every 500.

    Caffe: examples/mnist/lenet_solver.prototxt
    """
    return SolverDefinition(
        net=net,
        test_iter=test_iter,
        test_interval=500,
        base_lr=0.01,
        momentum=0.9,
        weight_decay=0.0005,
        lr_policy="inv",
        gamma=0.0001,
        power=0.75,
        display=100,
        max_iter=10000,
        snapshot=5000,
        snapshot_prefix=prefix,
        solver_mode=Word("GPU"),
    )


def _convolution(net: Definition, name: str, bottom: str, num_output: int) -> str:
    param: Message = {"num_output": num_output, "kernel_size": 5, "stride": 1, **_fillers()}
    return net.layer(name, "Convolution", [bottom], param=RATES, convolution_param=param)


def _inner_product(net: Definition, name: str, bottom: str, num_output: int) -> str:
    param: Message = {"num_output": num_output, **_fillers()}
    return net.layer(name, "InnerProduct", [bottom], param=RATES, inner_product_param=param)


def _fillers() -> Message:
    return {"weight_filler": XAVIER, "bias_filler": {"type": "constant"}}


def lenet_digits() -> Definition:
    """Return LeNet on databases of scikit-learn's digits, 360 of which are held out."""
    return lenet("digits_train", "digits_test", test_batch=90)


def lenet_digits_solver() -> SolverDefinition:
    """Return its solver: a test sees each held-out digit once."""
    return lenet_solver("lenet_digits.prototxt", "lenet_digits", test_iter=4)

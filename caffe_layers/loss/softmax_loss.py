"""SoftmaxWithLoss."""

from __future__ import annotations

from .base_softmax_loss import BaseSoftmaxLoss


class SoftmaxWithLoss(BaseSoftmaxLoss, type="SoftmaxWithLoss", param="loss_param", bottoms=2):
    """`top = -sum(log(softmax(x)[label])) / count`, a scalar; the softmax runs along `axis` of x.

    x has any shape with that axis, and there is one label for each place of its other axes.
    Labels are truncated to integers; those equal to `ignore_label` do not count. `normalization`
    says what the count is: FULL (all labels), VALID (those that are not ignored), BATCH_SIZE (the
    sizes before `axis`) or NONE (1). The gradient is that of the unclamped logarithm.

    The second top that Caffe declares, the probabilities, cannot be had in Caffe and is refused.

    Errors: ShapeError where the labels are not as many as the predictions, or one is no class.
    Caffe: BVLC/caffe, src/caffe/layers/softmax_loss_layer.cpp
    """

"""PwAttend, of PiCANet's examples."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class PwAttend(Refused, type="PwAttend", fork="picanet", param="pw_attend_param", bottoms=2):
    """Attention by pixels, of which no source was published.

    Caffe: nian-liu/PiCANet at fee3a2f, caffe/examples/mnist/lenet_pwatt_train_test.prototxt, and
    Mhaiyang/TMM2018_DRFN, which has its Caffe; neither has the layer.
    """

    why = (
        "its source was never published: two examples in nian-liu/PiCANet's Caffe have it, whose "
        "AttPooling, with the fields att_mode, kernel_size and pad too, seems to be what it became"
    )
    fix = (
        'if that is what it means, type: "AttPooling" with att_pooling_param in its place; or the '
        "layer's own code with --layers"
    )

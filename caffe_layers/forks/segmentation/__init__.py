"""The layers of segmentation networks: DeepLab, PSPNet, SegNet, ENet."""

from .bn import BN, HappynearBN, TsnBN
from .crop_center import CropCenter
from .deeplab_softmax_loss import DeepLabSoftmaxWithLoss
from .dense_image_data import DenseImageData
from .image_seg_data import ImageSegData, WindowSegData
from .interp import Interp, OpenVinoInterp
from .mat_write import MatWrite
from .moving_bn import MovingBN
from .padding import Padding
from .pointwise_spatial_attention import PointwiseSpatialAttention
from .quantize import Quantize
from .refused import (
    AdaptiveBiasChannel,
    BiasChannel,
    DomainTransform,
    MatRead,
    UniqueLabel,
)
from .rescale import Rescale
from .seg_accuracy import EltwiseAccuracy, SegAccuracy
from .seg_data import SegData
from .segnet_bn import DeconvNetBN, SegNetBN
from .segnet_softmax_loss import SegNetSoftmaxWithLoss
from .spatial_dropout import SpatialDropoutLayer
from .sync_bn import SyncBN
from .unpooling import Unpooling
from .upsample import SegNetUpsample

__all__ = [
    "BN",
    "AdaptiveBiasChannel",
    "BiasChannel",
    "CropCenter",
    "DeconvNetBN",
    "DeepLabSoftmaxWithLoss",
    "DenseImageData",
    "DomainTransform",
    "EltwiseAccuracy",
    "HappynearBN",
    "ImageSegData",
    "Interp",
    "MatRead",
    "MatWrite",
    "MovingBN",
    "OpenVinoInterp",
    "Padding",
    "PointwiseSpatialAttention",
    "Quantize",
    "Rescale",
    "SegAccuracy",
    "SegData",
    "SegNetBN",
    "SegNetSoftmaxWithLoss",
    "SegNetUpsample",
    "SpatialDropoutLayer",
    "SyncBN",
    "TsnBN",
    "UniqueLabel",
    "Unpooling",
    "WindowSegData",
]

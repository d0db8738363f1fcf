"""SKNet as a plain PyTorch network, and its weights from and to Caffe's files."""

from caffe_layers.kernels.selection import select as _select

from .caffe import caffe_names as caffe_names
from .caffe import load_caffemodel as load_caffemodel
from .caffe import save_caffemodel as save_caffemodel
from .model import SelectiveKernel as _SelectiveKernel
from .model import SKNet as SKNet
from .model import sknet50 as sknet50
from .model import sknet101 as sknet101
from .recognize import arguments as arguments
from .recognize import from_net as from_net

# Taken out of here model.py needs torch alone; here its units have the kernel for GPUs.
_SelectiveKernel.weigh = staticmethod(_select)

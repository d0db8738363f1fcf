"""The kernels themselves; only these modules import Triton."""

"""Axpy on a GPU by the scheme of the layer that SENet released, in CUDA C++, to measure against.

Forward one thread an element; backward a block for each channel's sum, a kernel for x's gradient
and a copy for y's. float32, contiguous. Needs nvcc, and ninja.
"""

from __future__ import annotations

from typing import Any

from torch.utils.cpp_extension import load_inline

DECLARATIONS = """
#include <torch/extension.h>
torch::Tensor axpy_forward(torch::Tensor a, torch::Tensor x, torch::Tensor y);
std::vector<torch::Tensor> axpy_backward(torch::Tensor top_diff, torch::Tensor a, torch::Tensor x);
"""
KERNELS = """
#include <ATen/cuda/CUDAContext.h>
#include <torch/extension.h>

constexpr int kThreads = 512;

__global__ void weigh_and_add(
    int count, int size, const float* a, const float* x, const float* y, float* top) {
  const int stride = blockDim.x * gridDim.x;
  for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += stride) {
    const float weighed = a[at / size] * x[at];
    top[at] = y == nullptr ? weighed : weighed + y[at];
  }
}

__global__ void sum_products(int size, const float* top_diff, const float* x, float* a_diff) {
  __shared__ float sums[kThreads];
  const int begin = blockIdx.x * size;
  float sum = 0;
  for (int at = threadIdx.x; at < size; at += kThreads) {
    sum += top_diff[begin + at] * x[begin + at];
  }
  sums[threadIdx.x] = sum;
  for (int left = kThreads / 2; left > 0; left /= 2) {
    __syncthreads();
    if (threadIdx.x < left) sums[threadIdx.x] += sums[threadIdx.x + left];
  }
  if (threadIdx.x == 0) a_diff[blockIdx.x] = sums[0];
}

int blocks_for(int64_t count) { return (count + kThreads - 1) / kThreads; }

torch::Tensor axpy_forward(torch::Tensor a, torch::Tensor x, torch::Tensor y) {
  auto top = torch::empty_like(x);
  const int count = x.numel(), size = x.numel() / a.numel();
  auto stream = at::cuda::getCurrentCUDAStream();
  weigh_and_add<<<blocks_for(count), kThreads, 0, stream>>>(
      count, size, a.data_ptr<float>(), x.data_ptr<float>(), y.data_ptr<float>(),
      top.data_ptr<float>());
  return top;
}

std::vector<torch::Tensor> axpy_backward(
    torch::Tensor top_diff, torch::Tensor a, torch::Tensor x) {
  auto a_diff = torch::empty_like(a), x_diff = torch::empty_like(x);
  const int count = x.numel(), size = x.numel() / a.numel();
  auto stream = at::cuda::getCurrentCUDAStream();
  sum_products<<<a.numel(), kThreads, 0, stream>>>(
      size, top_diff.data_ptr<float>(), x.data_ptr<float>(), a_diff.data_ptr<float>());
  weigh_and_add<<<blocks_for(count), kThreads, 0, stream>>>(
      count, size, a.data_ptr<float>(), top_diff.data_ptr<float>(), nullptr,
      x_diff.data_ptr<float>());
  return {a_diff, x_diff, top_diff.clone()};
}
"""


def build() -> Any:
    """Compile and load it; returns a module with `axpy_forward` and `axpy_backward`."""
    functions = ["axpy_forward", "axpy_backward"]
    return load_inline(
        "caffeport_original_axpy", [DECLARATIONS], [KERNELS], functions, with_cuda=True
    )

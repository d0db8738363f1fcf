"""Copying blobs from weight files into a network, by Caffe's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from caffe_layers import Layer
from converter.network.layers import Layers
from converter.network.origin import Loaded
from converter.network.steps import Step
from prototxt import Blob, Weights
from prototxt.binary.caffemodel import LayerWeights
from prototxt.errors import UsageError, WeightError, within
from prototxt.paths import split_list
from prototxt.spelling import nearest

from .options import Rename


def fill(
    steps: Sequence[Step],
    layers: Layers,
    files: Iterable[Weights],
    *,
    rename: Rename | None = None,
    ignore: Iterable[str] = (),
    allow_missing: bool = False,
    generator: torch.Generator | None = None,
    weightless: bool = False,
    mapped: bool = False,
) -> Loaded:
    """Copy the files' blobs, in order, into the layers of the same names.

    Caffe's rules: a layer's name decides, its type does not; of two target layers of one name the
    first is filled from binary files, the last from HDF5, each from safetensors; the number of
    blobs must be equal and each blob must fit (see `prototxt.Blob.fits`). Layers that only the
    files have are listed.
    Unlike Caffe a layer that no file has is an error, unless `allow_missing`, which leaves it its
    fillers' values. `rename` maps names in the files to the network's, one or several; what is
    named there needs as many numbers as the layer, in whatever shape: an InnerProduct becomes a
    Convolution. Blobs of a `weightless` network stay as they are;
    `mapped` ones are the file's own values where these may be written to, and floats as wanted.
    """
    report = Loaded()
    ignore = set(ignore)
    renamed = {
        old: split_list(new) if isinstance(new, str) else list(new)
        for old, new in (rename or {}).items()
    }
    if both := sorted(ignore & renamed.keys()):
        raise UsageError(f"layer {both[0]!r} is mapped and ignored, wants one of them")
    unknown = ignore - {step.layer.name for step in steps}
    for weights in files:
        unknown -= {layer.name for layer in weights.layers}
        with within(weights.source):
            _fill_from(weights, steps, layers, renamed, ignore, report, mapped=mapped)
    if unknown:
        raise WeightError(f"no layer {min(unknown)!r} to ignore, in network or weights")
    _find_rest(layers, report, ignore, allow_missing=allow_missing)
    if weightless:
        return report
    for key in report.missing:
        layers[key].reset_parameters(generator)
    report.not_finite.extend(
        f"{key}[{index}]"
        for key, layer in layers.items()
        for index, blob in enumerate(layer.blobs)
        if not _finite(blob)
    )
    return report


def _fill_from(
    weights: Weights,
    steps: Sequence[Step],
    layers: Layers,
    rename: Mapping[str, Sequence[str]],
    ignore: set[str],
    report: Loaded,
    *,
    mapped: bool,
) -> None:
    """Copy one file's blobs, and report what became of its layers."""
    report.sources.append(weights.source)
    targets = _targets(steps, weights.generation)
    names = {layer.name for layer in weights.layers}
    if lost := [name for name in rename if name not in names]:
        raise WeightError(f"no layer {lost[0]!r} to map to {', '.join(rename[lost[0]])!r}")
    for name in (name for news in rename.values() for name in news if name not in targets):
        problem = f"the network has no layer {name!r} to map to"
        raise WeightError(problem, fix=nearest(name, targets))
    taken = set(targets) | ignore | set(rename)
    if weights.generation == "safetensors" and not names & taken:
        problem = f"no layer of the network is in it: its first is {min(names)!r}"
        raise WeightError(problem, fix="convert with `--format safetensors` writes Caffe's names")
    for source in weights.layers:
        for name in rename.get(source.name, [source.name]):
            if name in ignore or source.name in ignore:
                report.ignored.append(source.name)
            elif name not in targets:
                if source.blobs:
                    report.unused.append(source.name)
            else:
                layer = layers[targets[name]]
                with within(f"layer {source.name!r} ({layer.caffe_type})"):
                    blobs = blobs_for(layer, source, weights.generation)
                    moved = source.name in rename  # to several layers, perhaps: each has its own
                    fill_layer(layer, blobs, any_shape=moved, mapped=mapped and not moved)
                if layer.blob_names:
                    report.filled.append(targets[name])


def blobs_for(layer: Layer, source: LayerWeights, generation: str) -> Sequence[Blob | None]:
    """Return a file's blobs of a layer in the layer's order; None where another layer has one.

    HDF5 ends before the last ones if those are other layers'. What named blobs hold beside the
    layer's own, its counters, is copied.
    """
    if generation == "HDF5":
        return [*source.blobs, *[None] * (len(layer.blob_names) - len(source.blobs))]
    if not source.names:
        return source.blobs
    held = dict(zip(source.names, source.blobs, strict=True))
    blobs = [held.pop(name, None) for name in layer.blob_names]
    counters = dict(layer.named_buffers(recurse=False))
    for name, blob in held.items():
        if name not in counters:
            wants = ", ".join(layer.blob_names) or "none"
            raise WeightError(
                f"a blob {name!r}, wants {wants}", fix="is this the prototxt's model?"
            )
        if blob is not None:
            copy(blob, counters[name])
    return blobs


def fill_layer(
    layer: Layer,
    blobs: Sequence[Blob | None],
    *,
    any_shape: bool = False,
    mapped: bool = False,
) -> None:
    """Copy one layer's blobs; raises WeightError for a wrong number or shape.

    A blob is None where HDF5 leaves a shared one to its owner. With `any_shape` it is enough that
    there are as many numbers. `mapped` ones are not copied (see `fill`).
    """
    if len(blobs) != len(layer.blob_names):
        wants = ", ".join(layer.blob_names) or "none"
        raise WeightError(f"{len(blobs)} blobs, wants {wants}", fix="is this the prototxt's model?")
    for name, blob in zip(layer.blob_names, layer.adapted(blobs), strict=True):
        if blob is None:
            if not layer.shares_blob(name):
                raise WeightError(f"blob {name!r} is missing")
            continue
        target = getattr(layer, name).data
        equal = any_shape and prod(blob.shape) == target.numel()
        if not (equal or blob.fits(tuple(target.shape)) or layer.admits(name, blob.shape)):
            raise WeightError(
                f"blob {name!r} is {blob.shape}, wants {tuple(target.shape)}",
                fix="is this the prototxt's model? --ignore LAYER leaves the layer unset",
            )
        if mapped and not layer.shares_blob(name) and _may_be(blob, target):
            getattr(layer, name).data = torch.from_numpy(blob.values).view(target.shape)
        else:
            copy(blob, target)


def _may_be(blob: Blob, target: Tensor) -> bool:
    """Tell whether a blob's very values can be a tensor's: torch reads floats at any address."""
    values = blob.values
    same = values.dtype == np.float32 and target.dtype == torch.float32
    return same and target.is_cpu and values.flags.writeable and values.flags.c_contiguous


def copy(blob: Blob, target: Tensor) -> None:
    """Copy a blob's values into a tensor of its shape, on whatever device."""
    flat = target.detach().view(-1)
    if flat.device.type == "cpu":
        np.copyto(flat.numpy(), blob.values, casting="same_kind")
    else:
        flat.copy_(torch.from_numpy(np.array(blob.values)))


def _targets(steps: Sequence[Step], generation: str) -> dict[str, str]:
    """Map each name to its layer's key: of several layers of one name the first's or the last's.

    Safetensors hold them all, under their keys.
    """
    if generation == "safetensors":
        return {step.key: step.key for step in steps}
    targets: dict[str, str] = {}
    last = generation == "HDF5"
    for step in steps:
        if last or step.layer.name not in targets:
            targets[step.layer.name] = step.key
    return targets


def _find_rest(
    layers: Layers,
    report: Loaded,
    ignore: set[str],
    *,
    allow_missing: bool,
) -> None:
    """Find what no file has set, which gets Caffe's initial values."""
    filled = set(report.filled)
    storages = {blob.data_ptr() for key in filled for blob in layers[key].blobs}
    missing = report.missing
    for key, layer in layers.items():
        unset = [blob for blob in layer.blobs if blob.data_ptr() not in storages]
        if unset and key not in filled:
            missing.append(key)
    given = [key for key in missing if key not in ignore]
    if report.sources and given and not allow_missing:
        more = f" and {len(given) - 1} more" if len(given) > 1 else ""
        raise WeightError(
            f"no weights for layer {given[0]!r}{more} in {', '.join(report.sources)}",
            fix="is this the prototxt's model? --allow-missing gives the fillers' values instead",
        )


def cast_weightless(layers: Layers, dtype: torch.dtype) -> None:
    """Let the blobs of a weightless network be of a type, without any memory for them."""
    for layer in layers.values():
        for blob in layer.stored_blobs:
            blob.data = torch.zeros((), dtype=dtype).expand(blob.shape)


def _finite(blob: Tensor) -> bool:
    # NaN and infinity survive in a sum. A float sum may overflow on its own: then in doubles.
    return bool(torch.isfinite(blob.sum())) or bool(torch.isfinite(blob.sum(dtype=torch.float64)))

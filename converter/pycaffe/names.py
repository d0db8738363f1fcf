"""Which member of `caffe` lives where, and what to use in place of those that are not here."""

from __future__ import annotations

from typing import Any

VERSION = "1.0.0"
"""The version of BVLC's Caffe whose interface this is."""

_SOLVERS = (
    *("SGDSolver", "NesterovSolver", "AdaGradSolver"),
    *("RMSPropSolver", "AdaDeltaSolver", "AdamSolver"),
)
_VECTORS = (
    *("RawBlobVec", "LayerVec", "NetVec", "StringVec"),
    *("IntVec", "DtypeVec", "BoolVec"),
)
_MODES = (
    *("init_log", "log", "set_mode_cpu", "set_mode_gpu", "set_device", "set_random_seed"),
    *("solver_count", "set_solver_count", "solver_rank", "set_solver_rank", "set_multiprocess"),
    *("has_nccl", "NCCL"),
)
_ENGINE = {
    "Net": ".net",
    "Timer": ".timer",
    "Layer": ".engine.layer",
    "get_solver": ".solvers",
    "layer_type_list": ".layer_types",
    **dict.fromkeys(_SOLVERS, ".solvers"),
    **dict.fromkeys(_MODES, ".modes"),
}
_IO = (
    *("blobproto_to_array", "array_to_blobproto", "arraylist_to_blobprotovector_str"),
    *("blobprotovector_str_to_arraylist", "array_to_datum", "datum_to_array"),
)
_NET_SPEC = (
    *("NetSpec", "Top", "Function", "Layers", "Parameters", "to_proto", "layers", "params"),
    *("param_name_dict", "assign_proto"),
)
_DRAW = (
    *("draw_net", "draw_net_to_file", "get_pydot_graph", "get_layer_label", "get_edge_label"),
    *("get_pooling_types_dict", "get_layer_lr_mult", "choose_color_by_layertype"),
    *("LAYER_STYLE_DEFAULT", "NEURON_LAYER_STYLE", "BLOB_STYLE"),
)

NAMES: dict[str, dict[str, str]] = {
    "caffe": {
        **_ENGINE,
        "Classifier": ".tools.classifier",
        "Detector": ".tools.detector",
        **dict.fromkeys(("layers", "params", "NetSpec", "to_proto"), ".tools.net_spec"),
    },
    "caffe._caffe": {
        **_ENGINE,
        "Solver": ".solvers",
        "Blob": ".engine.blob",
        **dict.fromkeys(_VECTORS, ".engine.vectors"),
        "BlobVec": ".engine.blob",
    },
    "caffe.pycaffe": {
        name: home for name, home in _ENGINE.items() if name in ("Net", "NCCL", "Timer", *_SOLVERS)
    },
    "caffe.io": {
        **dict.fromkeys(_IO, ".tools.blob_protos"),
        "Transformer": ".tools.transformer",
        "resize": ".tools.resize",
        **dict.fromkeys(("load_image", "resize_image", "oversample"), ".tools.images"),
    },
    "caffe.net_spec": dict.fromkeys(_NET_SPEC, ".tools.net_spec"),
    "caffe.classifier": {"Classifier": ".tools.classifier"},
    "caffe.detector": {"Detector": ".tools.detector"},
    "caffe.coord_map": dict.fromkeys(
        (
            *("coord_map", "compose", "inverse", "coord_map_from_to", "crop", "crop_params"),
            *("conv_params", "UndefinedMapException", "AxisMismatchException"),
            "PASS_THROUGH_LAYERS",
        ),
        ".tools.coord_map",
    ),
    "caffe.draw": dict.fromkeys(_DRAW, ".tools.draw"),
    "caffe.proto": {},
}
"""Module of caffe -> member -> the module here that has it."""

CONSTANTS: dict[str, dict[str, Any]] = {
    "caffe": {"__version__": VERSION, "TRAIN": 0, "TEST": 1},
    "caffe._caffe": {"__version__": VERSION},
}

SUBMODULES: dict[str, dict[str, str]] = {
    "caffe": {
        name: f"caffe.{name}"
        for name in ("_caffe", "pycaffe", "io", "net_spec", "classifier", "detector", "proto")
    },
    "caffe.proto": {"caffe_pb2": "caffe.proto.caffe_pb2"},
    "caffe.io": {"caffe_pb2": "caffe.proto.caffe_pb2"},
    "caffe.net_spec": {"caffe_pb2": "caffe.proto.caffe_pb2"},
    "caffe.draw": {"caffe_pb2": "caffe.proto.caffe_pb2"},
    "caffe.pycaffe": {"caffe": "caffe"},
}
"""Modules that are there without an import of their own."""

INSTEAD = {
    "set_phase_test": "give the phase to the network, caffe.Net(definition, weights, caffe.TEST)",
    "set_phase_train": "give the phase to the network, caffe.Net(definition, caffe.TRAIN)",
    "ImageNetClassifier": "use caffe.Classifier",
    "CaffeNet": "use caffe.Net",
    "SolverParameter": "read a solver's file into caffe.proto.caffe_pb2.SolverParameter",
    "LayerParameter": "use caffe.proto.caffe_pb2.LayerParameter",
}

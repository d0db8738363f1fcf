"""Every member of BVLC's interface is there, or its AttributeError says what to use instead."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOLVERS = (
    "SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver get_solver"
)
MODES = (
    "init_log log set_mode_cpu set_mode_gpu set_device layer_type_list set_random_seed "
    "solver_count set_solver_count solver_rank set_solver_rank set_multiprocess has_nccl"
)
MODULES = {
    "caffe": f"{SOLVERS} {MODES} Net NCCL Timer Layer __version__ TRAIN TEST Classifier Detector "
    "io layers params NetSpec to_proto _caffe pycaffe net_spec classifier detector proto",
    "caffe._caffe": f"{SOLVERS} {MODES} __version__ Net Blob Layer SolverParameter Solver "
    "LayerParameter BlobVec RawBlobVec LayerVec StringVec IntVec DtypeVec NetVec BoolVec NCCL "
    "Timer",
    "caffe.pycaffe": "Net SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver "
    "AdamSolver NCCL Timer",
    "caffe.io": "blobproto_to_array array_to_blobproto arraylist_to_blobprotovector_str "
    "blobprotovector_str_to_arraylist array_to_datum datum_to_array Transformer load_image "
    "resize_image resize oversample caffe_pb2",
    "caffe.net_spec": "param_name_dict to_proto assign_proto Top Function NetSpec Layers "
    "Parameters layers params caffe_pb2",
    "caffe.classifier": "Classifier",
    "caffe.detector": "Detector",
    "caffe.coord_map": "PASS_THROUGH_LAYERS conv_params crop_params UndefinedMapException "
    "coord_map AxisMismatchException compose inverse coord_map_from_to crop",
    "caffe.draw": "LAYER_STYLE_DEFAULT NEURON_LAYER_STYLE BLOB_STYLE get_pooling_types_dict "
    "get_edge_label get_layer_lr_mult get_layer_label choose_color_by_layertype get_pydot_graph "
    "draw_net draw_net_to_file",
    "caffe.proto": "caffe_pb2",
}
OBJECTS = {
    "Net": "_forward _backward reshape clear_param_diffs copy_from share_with _blob_loss_weights "
    "_bottom_ids _top_ids _blobs layers _blob_names _layer_names _inputs _outputs "
    "_set_input_arrays save save_hdf5 load_hdf5 before_forward after_forward before_backward "
    "after_backward blobs blob_loss_weights layer_dict params forward backward forward_all "
    "forward_backward_all set_input_arrays _batch inputs outputs top_names bottom_names",
    "Blob": "shape num channels height width count reshape data diff _gpu_data_ptr _gpu_diff_ptr",
    "Layer": "blobs setup reshape type",
    "Solver": "net test_nets iter add_callback solve step restore snapshot share_weights "
    "apply_update param lr",
    "SolverParameter": "max_iter display layer_wise_reduce base_lr",
    "BlobVec": "add_blob append extend __getitem__ __setitem__ __delitem__ __len__ __contains__",
    "StringVec": "append extend __getitem__ __setitem__ __delitem__ __len__ __contains__ index",
    "Timer": "start stop ms",
    "NCCL": "new_uid bcast",
    "Transformer": "inputs transpose channel_swap raw_scale mean input_scale preprocess "
    "deprocess set_transpose set_channel_swap set_raw_scale set_mean set_input_scale",
    "NetSpec": "to_proto tops",
    "Top": "fn n to_proto",
    "Function": "type_name inputs params ntop in_place tops",
    "Classifier": "predict transformer crop_dims image_dims",
    "Detector": "detect_windows detect_selective_search crop configure_crop",
}
NET = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""


def answers(owner: Any, name: str) -> bool:
    """Tell whether a member is there; if not, its error must say more than that."""
    try:
        getattr(owner, name)
    except AttributeError as error:
        said = str(error)
        hint = said.partition(f"{name!r}: ")[2]
        assert len(hint.split()) > 1, f"of {name} it only says: {said}"
        return False
    return True


@pytest.mark.parametrize("module", MODULES)
def test_members_of_modules(caffe: Any, module: str) -> None:
    found = importlib.import_module(module)
    lacks = {name for name in MODULES[module].split() if not answers(found, name)}
    assert lacks <= {"SolverParameter", "LayerParameter"}


def test_members_of_objects(caffe: Any, tmp_path: Path) -> None:
    definition, solver = tmp_path / "net.prototxt", tmp_path / "solver.prototxt"
    definition.write_text(NET)
    solver.write_text(f"net: '{definition}' base_lr: 0.1 lr_policy: 'fixed'")
    net = caffe.Net(str(definition), caffe.TEST)
    net.save(str(tmp_path / "net.caffemodel"))
    files = str(definition), str(tmp_path / "net.caffemodel")
    top = caffe.layers.ReLU(caffe.layers.Input())
    made: dict[str, Callable[[], Any]] = {
        "Net": lambda: net,
        "Blob": lambda: net.blobs["data"],
        "Layer": lambda: net.layers[1],
        "Solver": lambda: caffe.SGDSolver(str(solver)),
        "SolverParameter": lambda: caffe.SGDSolver(str(solver)).param,
        "BlobVec": lambda: net.layers[1].blobs,
        "StringVec": lambda: net._layer_names,
        "Timer": caffe.Timer,
        "NCCL": lambda: caffe.NCCL(None, b""),
        "Transformer": lambda: caffe.io.Transformer({"data": (1, 3, 4, 4)}),
        "NetSpec": caffe.NetSpec,
        "Top": lambda: top,
        "Function": lambda: top.fn,
        "Classifier": lambda: caffe.Classifier(*files),
        "Detector": lambda: caffe.Detector(*files),
    }
    assert made.keys() == OBJECTS.keys()
    lacks = {
        f"{kind}.{name}"
        for kind, names in OBJECTS.items()
        for name in names.split()
        if not answers(made[kind](), name)
    }
    assert lacks == {"Blob._gpu_data_ptr", "Blob._gpu_diff_ptr"}


def test_nccl_of_one_solver_has_nothing_to_do_and_of_more_says_what_to_use(
    caffe: Any, tmp_path: Path
) -> None:
    definition, solver = tmp_path / "net.prototxt", tmp_path / "solver.prototxt"
    definition.write_text(NET)
    solver.write_text(f"net: '{definition}' base_lr: 0.1 lr_policy: 'fixed'")
    training = caffe.SGDSolver(str(solver))
    assert caffe.has_nccl() is False
    nccl = caffe.NCCL(training, caffe.NCCL.new_uid())
    nccl.bcast()
    training.add_callback(nccl)
    training.net.after_backward(nccl)
    training.step(1)
    assert training.iter == 1
    caffe.set_solver_count(2)
    try:
        with pytest.raises(RuntimeError, match=r"2 solvers: .* caffeport train exchanges"):
            caffe.NCCL(training, caffe.NCCL.new_uid())
    finally:
        caffe.set_solver_count(1)

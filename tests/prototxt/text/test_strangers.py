"""What is said of fields and types that nobody here knows, and of solvers given as networks."""

from __future__ import annotations

import pytest

from converter.__main__ import main
from prototxt import FormatError, parse_text

INNER = """name: "embedded" input: "data" input_shape { dim: 1 dim: 3 }
  layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }"""


def error(text: str) -> str:
    with pytest.raises(FormatError) as caught:
        parse_text(text, "net.prototxt")
    return str(caught.value)


def test_a_field_of_an_unknown_type_names_the_layer_and_what_helps():
    text = 'layer { name: "up" type: "Wtod" wtod_param { block_size: 2 } }'
    assert error(text) == (
        "net.prototxt:1:33: LayerParameter has no field 'wtod_param'\n"
        "  fix: it is of layer 'up' (Wtod), and no schema here knows that type either: --layers "
        "takes your own, with a .proto beside it for its fields; `caffeport check` lists all that "
        "is unknown"
    )


def test_a_field_of_a_known_type_can_be_passed_over():
    text = """layer { type: "ImageData" name: 'd' image_data_param { normalized_by: true } }"""
    assert error(text) == (
        "net.prototxt:1:56: ImageDataParameter has no field 'normalized_by'\n"
        "  fix: it is of layer 'd' (ImageData); --allow-unknown passes over it, and reports it; "
        "`caffeport check` lists all that is unknown"
    )
    assert parse_text(text, allow_unknown=True).unknown


def test_a_field_of_the_network_can_be_passed_over():
    assert error("strange_thing: 1").endswith(
        "fix: --allow-unknown passes over it, and reports it; `caffeport check` lists all that is "
        "unknown"
    )


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ('net: "train_val.prototxt" base_lr: 0.1', 'give the network that it names, "train_val'),
        ('base_lr: 0.1\ntest_net: "t.prototxt"', 'give the network that it names, "t.prototxt"'),
        ("test_iter: 3", "give its network"),
    ],
)
@pytest.mark.parametrize("command", ["show", "check"])
def test_a_solver_is_told_from_a_network(text, fix, command, tmp_path, capsys):
    path = tmp_path / "solver.prototxt"
    path.write_text(text)
    assert main([command, str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"caffeport: {path}: this is a solver, not a network\n  fix: {fix}")


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_label_map_is_told_from_a_network(command, tmp_path, capsys):
    path = tmp_path / "labelmap_voc.prototxt"
    path.write_text('item { name: "none" label: 0 }\nitem { name: "cat" label: 1 }')
    assert main([command, str(path)]) == 1
    assert capsys.readouterr().err == (
        f"caffeport: {path}: this is a label map, which names classes, not a network\n"
        "  fix: give the network's definition\n"
    )


def test_the_network_in_a_solver_is_taken(tmp_path, capsys):
    path = tmp_path / "solver.prototxt"
    path.write_text(f'base_lr: 0.01\nmax_iter: 10 net_param {{ {INNER} }}\nlr_policy: "fixed"')
    assert main(["show", str(path)]) == 0
    assert "embedded at data 1x3" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"ReLU"', '"ReLU" odd: 1'))
    assert main(["show", str(path)]) == 1
    assert f"{path}:3:37: LayerParameter has no field 'odd'" in capsys.readouterr().err


def test_a_network_of_one_name_is_none(tmp_path):
    assert parse_text('name: "net" debug_info: true').name == "net"

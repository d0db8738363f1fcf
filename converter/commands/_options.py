"""Arguments that several commands take, and what they mean."""

from __future__ import annotations

import re
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, cast

from converter.keywords import only, options_of
from converter.onnx.options import FormatOptions
from converter.seed import SEED

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from caffe_layers import Shape
    from converter.loading.options import LoadOptions
    from converter.network.net import CaffeNet
    from converter.preprocessing import ImageSettings

ASKING = "feed a photo (--input data=photo.jpg), or give --output FILE.npz, --draw OUT.png"
"""How `run` is asked for something."""

LEAST = 0.5
"""The score of a box that `run` takes for one, where nobody says another."""

DTYPES = ("float16", "bfloat16", "float32", "float64")
"""Of torch's, by their names there."""
INT8 = "int8"

COMPUTING: dict[str, dict[str, Any]] = {
    "--dtype": {"choices": DTYPES, "default": "float32"},
    "--device": {"default": "cpu", "help": "cpu, cuda, cuda:1, ..."},
    "--seed": {"type": int, "default": SEED, "help": "of fillers and random inputs"},
}
"""How values are computed, for commands that compute some."""


class _ByName(Action):
    """Gather NAME=VALUE of an option that may be given several times, once for each name."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest)
        if values[0] in dict(before):
            parser.error(f"argument {option}: {values[0]!r} is given twice")
        setattr(namespace, self.dest, [*before, values])


def add_net(
    parser: ArgumentParser,
    *,
    several: bool = False,
    without: Collection[str] = (),
    int8: bool = False,
) -> None:
    """Declare NET and WEIGHTS, of `several` networks if so, and how they are loaded.

    Options of COMPUTING that change nothing of what a command says are left out with `without`.
    With `int8` the command takes that for a type too, in which no network is loaded.
    """
    said = "a .prototxt, or a lone .caffemodel"
    parser.add_argument("net", metavar="NET", nargs="?" if several else None, help=said)
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        nargs="?",
        default=None,
        help="a .caffemodel, .caffemodel.h5 or our .safetensors; with commas between several, "
        "of which later ones win",
    )
    if several:
        parser.add_argument(
            "more", metavar="NET [WEIGHTS]", nargs="*", help="further networks, with their weights"
        )
    group = parser.add_argument_group("loading")
    _add_definition(group)
    _add_weights(group)
    if not several:  # `convert` has it for what it writes, too
        group.add_argument(
            "--fold-bn",
            dest="merge_bn",
            action="store_true",
            help="merge the weights' normalisation, which the definition lacks, into convolutions",
        )
    for flag, words in COMPUTING.items():
        if flag not in without:
            taken = {"choices": (*DTYPES, INT8)} if int8 and flag == "--dtype" else {}
            group.add_argument(flag, **words | taken)
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _add_definition(group: Any) -> None:
    """Declare how the definition is read, and which network is built of it."""
    group.add_argument("--phase", choices=("TRAIN", "TEST"), default="TEST")
    group.add_argument("--level", type=int, default=0, help="the NetState's level")
    group.add_argument("--stage", action="append", default=[], help="a stage of the NetState")
    add_shapes(group)
    _add_cuts(group)
    add_values(group)
    group.add_argument(
        "--global-pool",
        action="store_true",
        help="let average pools over a whole map follow the input's size",
    )
    group.add_argument(
        "--deploy",
        action="store_true",
        help="take a training definition's deployable part: no data layers, labels and losses",
    )
    add_reading(group)
    group.add_argument(
        "--allow-unknown", action="store_true", help="pass over unknown fields, and report them"
    )


def _add_cuts(group: Any) -> None:
    """Declare what is left out of the network."""
    group.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="LAYER",
        help="leave out a layer that does nothing in testing: what read its top reads its bottom",
    )
    group.add_argument(
        "--end",
        action="extend",
        default=[],
        type=_names,
        metavar="BLOB[,BLOB]",
        help="end the network with these blobs, its outputs; one that layers write in place is "
        "meant as the last of them leaves it",
    )


def _add_weights(group: Any) -> None:
    """Declare how the weights are taken."""
    group.add_argument("--require-weights", action="store_true", help="refuse to use fillers")
    add_matching(group)
    group.add_argument(
        "--allow-missing", action="store_true", help="fill layers that the weights lack"
    )


def add_matching(parser: Any) -> None:
    """Declare which layers of the weights are loaded into which of the network."""
    parser.add_argument(
        "--map",
        action=_ByName,
        default=[],
        type=_pair,
        metavar="OLD=NEW[,NEW]",
        help="load the weights' layer OLD into the network's layers NEW; the same number of values "
        "will do, so that an inner product becomes a convolution",
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="LAYER", help="leave a layer unset"
    )


def add_shapes(parser: Any) -> None:
    """Declare the inputs' shapes."""
    parser.add_argument(
        "--input-shape",
        action=_ByName,
        default=[],
        type=_shape,
        metavar="NAME=1,3,320,320",
        help="an input's shape in place of the file's; or that of a top of a layer that is unknown "
        "here or Python code, which becomes an input",
    )


def add_values(parser: Any) -> None:
    """Declare what fills a template's placeholders."""
    parser.add_argument(
        "--set",
        action=_ByName,
        default=[],
        type=_value,
        dest="values",
        metavar="NAME=VALUE",
        help="what a template's placeholder stands for: ${NAME}, $NAME, {NAME} or a bare word",
    )


def add_reading(parser: Any) -> None:
    """Declare how a file is read that forks read differently."""
    parser.add_argument("--dialect", help="the fork whose reading to take where several fit")
    add_layers(parser)


def add_layers(parser: Any) -> None:
    """Declare the user's own layers."""
    parser.add_argument(
        "--layers",
        action="append",
        default=[],
        metavar="FILE.py",
        help="layers of your own, with FILE.proto beside it for their parameters",
    )
    parser.add_argument(
        "--proto",
        action="append",
        default=[],
        metavar="FILE",
        help="a fork's own caffe.proto, by which its files are read; none: look for no other one",
    )


def load_options(args: Namespace) -> LoadOptions:
    """Return the arguments of `load` that `add_net` declared."""
    options: LoadOptions = {
        "phase": args.phase,
        "level": args.level,
        "stages": args.stage,
        "input_shapes": dict(args.input_shape),
        "values": dict(args.values),
        "global_pool": args.global_pool,
        "deploy": args.deploy,
        "skip": args.skip,
        "end": args.end,
        "dialect": args.dialect,
        "layers": args.layers,
        "proto": args.proto,
        "allow_unknown": args.allow_unknown,
        "require_weights": args.require_weights,
        "rename": dict(args.map),
        "ignore": args.ignore,
        "allow_missing": args.allow_missing,
    }
    if hasattr(args, "merge_bn"):
        options["merge_bn"] = args.merge_bn
    computing = {name for flag in COMPUTING if hasattr(args, name := flag.removeprefix("--"))}
    return cast("LoadOptions", {**options, **{name: getattr(args, name) for name in computing}})


def given_of(args: Namespace, add: Callable[[ArgumentParser], None]) -> list[str]:
    """Return which options that a function declares are not as they are where nobody gives them."""
    parser = ArgumentParser(add_help=False)
    add(parser)
    return [
        action.option_strings[-1]
        for action in parser._actions
        if action.option_strings and getattr(args, action.dest) != action.default
    ]


def load_net(args: Namespace, **others: Unpack[LoadOptions]) -> CaffeNet:
    """Load the network that the arguments name, with other arguments of `load` in their place."""
    from converter.loading.load import load

    options: LoadOptions = {**load_options(args), **others}
    return load(args.net, args.weights, **options)


def load_and_tell(args: Namespace) -> CaffeNet:
    """Load the network for a command that prints no notes, and say what was passed over."""
    net = load_net(args)
    tell_passed_over(args, net)
    return net


def tell_passed_over(args: Namespace, *nets: CaffeNet) -> None:
    """Say on the error output, unless `--quiet`, which schemas read files and what nobody did."""
    from converter.loading.passes import passed_over

    read = [net.origin.definition for net in nets if net.origin.definition is not None]
    notes = [note for each in read for note in (*each.schema.notes, *passed_over(each))]
    notes += [note for net in nets for note in net.notes if note.startswith("passed over")]
    for note in () if args.quiet else dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)


def add_json(parser: ArgumentParser) -> None:
    """Declare `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_inputs(parser: ArgumentParser) -> None:
    """Declare `--input`."""
    parser.add_argument(
        "--input",
        action=_ByName,
        default=[],
        type=_pair,
        metavar="NAME=FILE",
        help="a .npy, a .npz (its array of that name, or its only one) or an image",
    )


def add_golden(parser: ArgumentParser) -> None:
    """Declare what Caffe's own blobs are compared by."""
    parser.add_argument("--golden", metavar="FILE", help="an .npz of blobs that Caffe computed")
    parser.add_argument(
        "--golden-float",
        metavar="FILE",
        help="the same from Caffe's float run: in float32 the median and the worst error may be "
        "twice what it shows against --golden",
    )
    parser.add_argument(
        "--tolerance", type=_limit, help="of a blob's largest value (float64 1e-9, float32 1e-4)"
    )


def add_export(parser: ArgumentParser) -> None:
    """Declare how an ONNX model is written."""
    add_options(parser.add_argument_group("ONNX"), FormatOptions)


def add_options(group: Any, of: type) -> None:
    """Declare the options of a TypedDict."""
    for name, option in options_of(of).items():
        flag = f"--{name.replace('_', '-')}"
        if option.default is False:
            group.add_argument(flag, action="store_true", help=option.help)
        else:
            group.add_argument(
                flag,
                type=option.parse,
                default=option.default,
                metavar=option.metavar,
                help=option.help,
            )


def export_options(args: Namespace) -> FormatOptions:
    """Return the arguments of an export that `add_export` declared."""
    return only(FormatOptions, vars(args))


def add_preprocessing(parser: ArgumentParser) -> None:
    """Declare what images need before the network sees them."""
    group = parser.add_argument_group(
        "preprocessing", "in place of what the definition says or the network's family is known for"
    )
    group.add_argument("--family", help="sknet, senet or bvlc")
    group.add_argument("--channels", choices=("BGR", "RGB", "GRAY"), help="the input's order")
    group.add_argument("--mean", metavar="104,117,123|FILE")
    group.add_argument("--scale", type=float, help="what (image - mean) is multiplied by")
    group.add_argument("--resize", metavar="256|256x256", help="the shorter side, or both")
    group.add_argument("--crop", metavar="224|224x320", help="taken from the middle")
    group.add_argument(
        "--raw",
        action="store_true",
        default=None,
        help="feed images of the input's size as they are",
    )


def preprocessing_options(args: Namespace) -> ImageSettings:
    """Return the settings of `preprocessing_of` that `add_preprocessing` declared."""
    names = ("family", "channels", "mean", "scale", "resize", "crop", "raw")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    return cast("ImageSettings", given)


def say(args: Namespace, text: str) -> None:
    """Print unless `--quiet`."""
    if not args.quiet:
        print(text)


def _limit(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ArgumentTypeError(f"{text!r} is no limit of an error")
    return value


def _value(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found):
        raise ArgumentTypeError(f"{text!r} wants NAME=VALUE")
    return name, value


def _pair(text: str) -> tuple[str, str]:
    name, value = _value(text)
    if not value:
        raise ArgumentTypeError(f"{text!r} wants NAME=VALUE")
    return name, value


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise ArgumentTypeError(f"{text!r} wants names with commas between")
    return names


def _shape(text: str) -> tuple[str, Shape]:
    name, value = _pair(text)
    if not re.fullmatch(r"\d+([,x]\d+)*", value):
        raise ArgumentTypeError(f"{value!r} is no shape; write 1,3,320,320")
    return name, tuple(map(int, re.split("[,x]", value)))

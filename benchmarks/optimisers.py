"""Our ONNX files after the tools that rewrite ONNX files: the numbers, the names, what is lost.

    python -m benchmarks.optimisers CASES --python PYTHON [--only PREFIX] [--write docs/engines.md]

CASES is what `benchmarks/engine_cases.py` writes, of which the first of each form is taken: of each
type with its operators. PYTHON belongs to an environment with the line PIP below, where each tool
rewrites each file (a process for each: one that dies takes nothing along) and ONNX Runtime runs the
result. Right is what `benchmarks/engines.py` calls right; for float16 a hundredth, and quantized
networks are only told how far they are off. Results are kept in benchmarks/results/optimisers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.engine_page import short
from benchmarks.engine_results import kind_of, merge, read_results, write_between_marks
from benchmarks.engines import judge

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "optimisers"
PIP = (
    "onnx==1.23.2 onnxruntime==1.32.0 onnxsim==0.8.1 onnxslim==0.1.98 onnxoptimizer==0.4.2 "
    "onnxscript==0.7.2 onnxconverter-common==1.16.0 numpy lazy_loader==0.6"
)
SECONDS = 120
TOLERANCES = {"onnxconverter_common_float16": 1e-2, "onnxruntime_float16": 1e-2}
NETWORKS_ALONE = ("quantize_dynamic", "quantize_static")
NEWEST = 28


def _onnxsim(model: Any, folder: Path) -> Any:
    import onnxsim

    made, checked = onnxsim.simplify(model)
    if not checked:
        raise ValueError("its own check failed")
    return made


def _onnxslim(model: Any, folder: Path) -> Any:
    import onnxslim

    return onnxslim.slim(model)


def _onnxoptimizer(model: Any, folder: Path) -> Any:
    import onnxoptimizer

    return onnxoptimizer.optimize(model)


def _saved(level: str) -> Callable[[Any, Path], Any]:
    def save(model: Any, folder: Path) -> Any:
        import onnx
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(folder / "saved.onnx")
        ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return onnx.load(folder / "saved.onnx")

    return save


def _onnxscript(model: Any, folder: Path) -> Any:
    from onnxscript import optimizer

    return optimizer.optimize(model)


def _onnxscript_version(model: Any, folder: Path) -> Any:
    import onnx
    from onnxscript import ir, version_converter

    made = ir.from_proto(model)
    version_converter.convert_version(made, 23, fallback=False)
    proto = ir.to_proto(made)
    if proto.opset_import[0].version != 23:
        raise ValueError(f"it leaves opset {proto.opset_import[0].version} without a word")
    assert isinstance(proto, onnx.ModelProto)
    return proto


def _onnx_version(model: Any, folder: Path) -> Any:
    from onnx import version_converter

    return version_converter.convert_version(model, NEWEST)


def _float16(model: Any, folder: Path) -> Any:
    from onnxconverter_common import float16

    return float16.convert_float_to_float16(model, keep_io_types=True)


def _float16_of_runtime(model: Any, folder: Path) -> Any:
    from onnxruntime.transformers import float16

    return float16.convert_float_to_float16(model, keep_io_types=True)


def _quantize_dynamic(model: Any, folder: Path) -> Any:
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    onnx.save(model, folder / "plain.onnx")
    quantize_dynamic(folder / "plain.onnx", folder / "made.onnx")
    return onnx.load(folder / "made.onnx")


def _quantize_static(model: Any, folder: Path) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = [dict(np.load(folder / "in.npz"))]

        def get_next(self) -> Any:
            return self.rest.pop() if self.rest else None

    onnx.save(model, folder / "plain.onnx")
    quantize_static(folder / "plain.onnx", folder / "made.onnx", Reader())
    return onnx.load(folder / "made.onnx")


IMPORTED = (
    "onnxsim",
    "onnxslim",
    "onnxoptimizer",
    "onnxscript.optimizer",
    "onnxscript.version_converter",
    "onnx.version_converter",
    "onnxconverter_common.float16",
    "onnxruntime.quantization",
    "onnxruntime.transformers.float16",
)
TOOLS: dict[str, tuple[str, Callable[[Any, Path], Any]]] = {
    "onnxsim": ("onnxsim", _onnxsim),
    "onnxslim": ("onnxslim", _onnxslim),
    "onnxoptimizer": ("onnxoptimizer", _onnxoptimizer),
    "onnxruntime_basic": ("onnxruntime", _saved("ORT_ENABLE_BASIC")),
    "onnxruntime_extended": ("onnxruntime", _saved("ORT_ENABLE_EXTENDED")),
    "onnxscript_optimizer": ("onnxscript", _onnxscript),
    "onnxscript_version_converter": ("onnxscript", _onnxscript_version),
    "onnx_version_converter": ("onnx", _onnx_version),
    "onnxconverter_common_float16": ("onnxconverter-common", _float16),
    "onnxruntime_float16": ("onnxruntime", _float16_of_runtime),
    "quantize_dynamic": ("onnxruntime", _quantize_dynamic),
    "quantize_static": ("onnxruntime", _quantize_static),
}


def rewrite(tool: str, case: Path, folder: Path) -> list[Any]:
    """Rewrite one file and run it; what was kept goes into the last place."""
    import onnx
    import onnxruntime as ort

    model = onnx.load(case / "net.onnx")
    before = onnx.load(case / "net.onnx")
    (folder / "in.npz").write_bytes((case / "in.npz").read_bytes())
    try:
        made = TOOLS[tool][1](model, folder)
    except Exception as error:  # whatever a tool raises is its answer
        return ["refused", f"{type(error).__name__}: {error}"]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        taken = {value.name for value in session.get_inputs()}
        feeds = {name: array for name, array in np.load(case / "in.npz").items() if name in taken}
        names = [value.name for value in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, feeds), strict=True))
    except Exception as error:  # so is what ONNX Runtime says of its file
        return ["wrong", f"ONNX Runtime: {type(error).__name__}: {error}"]
    wants = dict(np.load(case / "want.npz"))
    if lost := [name for name in wants if name not in outputs]:
        return ["wrong", f"output {lost[0]!r} is gone"]
    found = judge(wants, outputs, TOLERANCES.get(tool, 1e-3))
    return [*found, _kept(before, made)]


def _kept(before: Any, after: Any) -> dict[str, Any]:
    """Return what of a file is still there: inner names, metadata, the free batch, the inputs."""
    names = {name for node in before.graph.node for name in node.output if name}
    still = {name for node in after.graph.node for name in node.output if name}
    said = {one.key: one.value for one in before.metadata_props}
    says = {one.key: one.value for one in after.metadata_props}
    free = {_free(value) for value in before.graph.input}
    return {
        "names": [len(names & still), len(still), len(names)],
        "metadata": said.items() <= says.items(),
        "batch": not any(free) or any(_free(value) for value in after.graph.input),
        "inputs": len(before.graph.input) - len(after.graph.input),
    }


def _free(value: Any) -> bool:
    return any(axis.dim_param for axis in value.type.tensor_type.shape.dim)


def alone(tool: str, case: Path) -> list[Any]:
    """Fork for one file."""
    with TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            answer.write_text(json.dumps(rewrite(tool, case, Path(folder))))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if answer.exists():
            found: list[Any] = json.loads(answer.read_text())
            return [short(part) if isinstance(part, str) else part for part in found]
        return ["refused", f"its process ended with status {status}"]


def work(cases: Path, only: str) -> None:
    """Run here all tools on all cases, an answer a line."""
    for module in IMPORTED:  # before the forks
        import_module(module)

    seen = set()
    for about in sorted(cases.rglob("case.json")):
        name, said = str(about.parent.relative_to(cases)), json.loads(about.read_text())
        form = (said["type"], *said["operators"])
        if not name.startswith(only) or form in seen:
            continue
        seen.add(form)
        for tool, (package, _) in TOOLS.items():
            if tool not in NETWORKS_ALONE or name.startswith("models"):
                row = [tool, f"{package} {version(package)}", name, alone(tool, about.parent)]
                print(json.dumps(row), flush=True)


def collect(python: str, cases: Path, only: str) -> None:
    """Let the tools' environment work, and keep what it answers."""
    words = [python, "-m", "benchmarks.optimisers", str(cases), "--only", only, "--work"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert ran.stdout is not None
    rows = (json.loads(line) for line in ran.stdout)
    for _, group in groupby(rows, lambda row: kind_of(row[2])):
        kept: dict[tuple[str, str], dict[str, list[Any]]] = defaultdict(dict)
        for tool, release, name, found in group:
            kept[tool, release][name] = found if name.startswith("models") else found[:2]
            if found[0] != "right":
                print(tool, name, *found[:2], flush=True)
        for (tool, release), outcomes in kept.items():
            merge(RESULTS, tool, release, outcomes)


def table(kept: dict[str, Any]) -> str:
    """Return a row a tool, and what is not right after it."""
    lines = [
        "| tool | version | of | right | wrong | refuses | the networks' inner names kept | "
        "metadata | free batch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    said = []
    for tool, entry in kept.items():
        asked = sum(entry["asked"].values())
        counts = Counter(found[0] for found in entry["cases"].values())
        counts["right"] = asked - counts["wrong"] - counts["refused"]
        networks = [
            found[2]
            for name, found in entry["cases"].items()
            if name.startswith("models") and len(found) > 2
        ]
        names = [one["names"] for one in networks]
        of = f"{sum(n[0] for n in names)} of {sum(n[1] for n in names)}"
        yes = {key: _all(one[key] for one in networks) for key in ("metadata", "batch")}
        numbers = [str(counts[word]) for word in ("right", "wrong", "refused")]
        if tool in NETWORKS_ALONE:
            errors = [f[1] for f in entry["cases"].values() if isinstance(f[1], float)]
            numbers[:2] = [f"off by {np.median(errors):.2g}, at most {max(errors):.2g}", "-"]
        row = [tool, entry["version"], str(asked), *numbers, of, yes["metadata"], yes["batch"]]
        lines.append(f"| {' | '.join(row)} |")
        if tool not in NETWORKS_ALONE:
            said += _reasons(tool, entry["cases"])
    return "\n".join([*lines, "", *said])


def _all(answers: Any) -> str:
    answers = list(answers)
    if all(answers):
        return "kept"
    return f"kept in {sum(answers)} of {len(answers)}" if any(answers) else "lost"


def _reasons(tool: str, cases: dict[str, Any]) -> list[str]:
    grouped = defaultdict(list)
    for name, found in cases.items():
        if found[0] != "right":
            what = found[1] if isinstance(found[1], str) else f"off by {found[1]:.2g}"
            grouped[found[0], what].append(name.partition("/")[2])
    return [
        f"* {tool}: {', '.join(names[:4])}{f' and {len(names) - 4} more' * (len(names) > 4)}: "
        f"{word}: {what}"
        for (word, what), names in grouped.items()
    ]


def main() -> None:
    """Run what is asked for; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--python")
    parser.add_argument("--only", default="", metavar="PREFIX")
    parser.add_argument("--work", action="store_true", help="here; what --python's process does")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    if args.work:
        work(args.cases, args.only)
        return
    if args.python:
        collect(args.python, args.cases.resolve(), args.only)
    if args.write:
        write_between_marks(args.write, {"optimisers": table(read_results(RESULTS))})


if __name__ == "__main__":
    main()

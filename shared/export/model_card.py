"""`MODEL_CARD.md`: only what was measured, and how to call the files."""

from typing import Any

from shared.app import App
from shared.evaluation.report import Report
from shared.evaluation.show import markdown_table
from shared.export.callers import CALLERS, Call, shown
from shared.export.runtimes import SIGNATURE
from shared.facts import Facts
from shared.signature import Tensor

LONG = 20  # rows of the class table


def model_card(app: App, record: dict[str, Any], facts: Facts, settings: Any, report: Report) -> str:
    """The card of an export.

    Args:
        app: the task.
        record: the content of `export.json`.
        facts: labels and the like.
        settings: of the run.
        report: of the Keras model on the validation split.
    """
    trained, headline = record["trained"], app.headline
    files = [row for row in record["variants"] if row["file"]]
    proven = [row for row in files if row["passed"]]
    best = next((row for row in proven if row["variant"] == "int8"), next(iter(proven or files), None))
    parts = [f"# {app.name}: {getattr(settings, 'model', 'model')}",
             f"To {app.summary}. One file takes raw input and gives the final answer: preprocessing and decoding are "
             f"inside.", _signatures(record), "## Files",
             f"Each file was run over the {report.examples:,} validation examples in LiteRT and scored like the Keras "
             f"model ({headline.key} {headline.show(report.metrics[headline.key])}). "
             + ("A file is called proven when it lost no more than allowed and its golden answers (`golden.json`) "
                "came out the same in both LiteRT runtimes, the Interpreter and CompiledModel."
                if record["batch"] == "1" else
                "With a free batch they run in LiteRT's Interpreter only: browsers want fixed shapes."),
             markdown_table([_row(app, row) for row in record["variants"]]),
             "`latency_ms` is the median of one thread on the exporting machine: compare its rows, nothing else. "
             "`integer` is the share of operations that compute in 8-bit integers; preprocess and postprocess stay "
             "float32.",
             "## Training",
             markdown_table([{"data": trained["data"], "training examples": trained["examples"],
                              "epochs": trained["epochs"], "seed": trained["seed"],
                              "parameters": trained["parameters"],
                              **({"started from": trained["from"]} if "from" in trained else {})}]),
             f"## Validation figures of the Keras model ({report.examples:,} examples, used to choose the best epoch)",
             markdown_table([{key: value for key, value in report.metrics.items()}])]
    for name, rows in report.tables.items():
        if name == "classes" and rows:
            parts += [f"### By class{'' if len(rows) <= LONG else f', the first {LONG} of {len(rows)}'}",
                      markdown_table(rows[:LONG])]
    if best:
        parts += ["## Calling it", f"The signature is `{SIGNATURE}`; the file holds its labels and facts as a zip "
                                   f"(`unzip -l {best['file']}`)."]
        parts += [app.any_size(facts)] if app.any_size(facts) else []
        call = Call(best["file"], SIGNATURE, _tensors(record["inputs"][SIGNATURE], batch=True),
                    _tensors(record["outputs"][SIGNATURE]))
        for language, (fence, write) in CALLERS.items():
            parts += [f"### {language}", f"```{fence}\n{write(call)}\n```"]
    if labels := facts.get("labels"):
        names = ", ".join(f"{number} {label}" for number, label in enumerate(labels[:100]))
        parts += ["## Labels", names + (" …" if len(labels) > 100 else "")]
    return "\n\n".join(parts) + "\n"


def _tensors(record: dict[str, Any], batch: bool = False) -> dict[str, Tensor]:
    return {name: Tensor((1,) * batch + tuple(spec["shape"]), spec["dtype"]) for name, spec in record.items()}


def _signatures(record: dict[str, Any]) -> str:
    rows = []
    for key in record["inputs"]:
        rows += [{"signature": key, "": "in", "name": name, "tensor": shown(tensor)}
                 for name, tensor in _tensors(record["inputs"][key], batch=True).items()]
        rows += [{"signature": key, "": "out", "name": name, "tensor": shown(tensor)}
                 for name, tensor in _tensors(record["outputs"][key]).items()]
    return markdown_table(rows)


def _row(app: App, row: dict[str, Any]) -> dict[str, Any]:
    if not row["file"]:
        return {"file": row["variant"], "bytes": "", app.headline.key: "", "drop": "", "latency_ms": "", "integer": "",
                "result": f"not made: {row['reason']}"}
    known = row["score"] is not None
    return {"file": row["file"], "bytes": f"{row['bytes']:,}",
            app.headline.key: app.headline.show(row["score"]) if known else "",
            "drop": app.headline.show(row["drop"]) if known else "",
            **{f"{app.headline.key} by {key.removesuffix('_score')}": app.headline.show(value)
               for key, value in row.items() if key.endswith("_score")}, "latency_ms": row["latency_ms"],
            "integer": f"{100 * row['integer_operations']:.0f} %",
            "result": "proven" if row["passed"] else f"FAILED: {row['reason']}"}

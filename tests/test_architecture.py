"""The house rules of ARCHITECTURE.md, held by reading the imports."""

import ast
import importlib.metadata
from pathlib import Path

import pytest

from apps import APPS

ROOT = Path(__file__).parents[1]
# The lower a room, the earlier in this list; a file imports from its own room and from lower ones.
ROOMS = [
    ("shared.errors", "shared.files", "shared.memory", "shared.quiet", "shared.signature",
     "shared.layers", "shared.losses", "shared.metrics"),
    ("shared.settings", "shared.facts", "shared.metadata", "shared.networks"),
    ("shared.data.dataset", "shared.data.splits", "shared.evaluation.report"),
    ("shared.app", "shared.model"),
    ("shared.classifier", "shared.text_model"),
    ("shared.run", "shared.data"),
    ("shared.text_app", "shared.evaluation"),
    ("shared.training",),
    ("shared.export",),
    ("shared.cli",),
    ("apps",),
]
# Drawing and reading what travels in a file are asked for from below, inside functions.
FILES = sorted([*ROOT.glob("shared/**/*.py"), *ROOT.glob("apps/**/*.py")])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def level(module: str) -> int:
    matches = [(len(name), number) for number, names in enumerate(ROOMS) for name in names
               if module == name or module.startswith(name + ".")]
    assert matches, f"{module} stands in no room of ARCHITECTURE.md"
    return max(matches)[1]


def imports(path: Path, top_only: bool):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(inner) for node in tree.body if isinstance(node, ast.If) for inner in ast.walk(node)}
    for node in tree.body if top_only else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_run_downwards(path):
    for imported in imports(path, top_only=True):
        if imported.split(".")[0] in ("apps", "shared"):
            assert level(imported) <= level(module_of(path)), f"{module_of(path)} must not import {imported}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_shared_knows_no_app_and_no_app_another(path):
    own = module_of(path).split(".")
    for imported in imports(path, top_only=False):
        parts = imported.split(".")
        if parts[0] == "apps":
            assert own[0] == "apps", f"{module_of(path)} imports {imported}"
            assert len(parts) == 1 or len(own) == 1 or parts[1] == own[1], f"{module_of(path)} imports {imported}"


def test_apps_are_registered_for_installed_use_too():
    points = {point.name: point.value for point in importlib.metadata.entry_points(group="pocketconv.apps")}
    assert points.items() >= APPS.items()


@pytest.mark.parametrize("path", sorted(ROOT.glob("apps/*/app.py")), ids=module_of)
def test_an_app_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250

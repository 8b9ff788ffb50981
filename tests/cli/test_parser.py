from dataclasses import dataclass
from typing import Literal, Optional

import pytest
import yaml

from shared.cli.parser import make_parser, parse
from shared.errors import UserError
from shared.settings import setting


@dataclass(kw_only=True)
class Example:
    batch_size: int = setting(8, "examples a step", at_least=1)
    rate: float = setting(0.5, "step size", at_least=0, at_most=1)
    kind: Literal["a", "b"] = setting("a", "which kind")
    from_run: Optional[str] = setting(None, "where to start", flag="--from")
    mirror: bool = setting(False, "flip", advanced=True)


def read(*arguments):
    return parse("prog", "a program", Example, list(arguments))


def test_flags_have_dashes_and_types():
    assert read("--batch-size", "3", "--rate=0.25", "--from", "x", "--mirror") == Example(
        batch_size=3, rate=0.25, from_run="x", mirror=True)
    assert not read("--mirror", "--no-mirror").mirror


def test_flags_after_a_config_win(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("batch_size: 5\nkind: b\n")
    assert read("--config", str(config), "--batch-size", "6") == Example(batch_size=6, kind="b")


def test_printed_config_reads_back(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        read("--kind", "b", "--rate", "0.1", "--print-config")
    assert stop.value.code == 0
    config = tmp_path / "a.yaml"
    config.write_text(capsys.readouterr().out)
    assert yaml.safe_load(config.read_text())["kind"] == "b"
    assert read("--config", str(config)) == Example(kind="b", rate=0.1)


@pytest.mark.parametrize("arguments, sentence", [
    (["--batchsize", "3"], "no flag --batchsize: did you mean --batch-size"),
    (["--nonsense"], "no flag --nonsense; prog --help-all"),
    (["--batch-size", "many"], "--batch-size takes a whole number, not 'many'"),
    (["--rate", "x"], "--rate takes a number, not 'x'"),
    (["--kind", "c"], "--kind takes one of 'a', 'b', not 'c'"),
    (["--batch-size", "0"], "--batch-size 0: give a number of at least 1"),
    (["--rate", "2"], "at least 0 and at most 1"),
    (["--rate", "nan"], "--rate takes a number"),
    (["--rate"], "--rate needs a value"),
    (["--config", "/no/such.yaml"], "no config file /no/such.yaml"),
])
def test_a_wrong_flag_is_one_sentence(arguments, sentence):
    with pytest.raises(UserError) as error:
        read(*arguments)
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content, sentence", [
    ("batch_sizes: 3", "unknown key 'batch_sizes': did you mean 'batch_size'"),
    ("batch_size: many", "--batch-size takes a whole number, not 'many'"),
    ("batch_size: [", "is no YAML file of settings"),
    ("kind: c", "--kind takes one of"),
])
def test_a_wrong_config_is_one_sentence(tmp_path, content, sentence):
    config = tmp_path / "a.yaml"
    config.write_text(content)
    with pytest.raises(UserError) as error:
        read("--config", str(config))
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_help_shows_text_and_default_and_hides_the_advanced():
    short, full = (make_parser("prog", "a program", Example, all).format_help() for all in (False, True))
    assert "examples a step [8]" in short and "--mirror" not in short
    assert "flip [no]" in full

"""Typed settings as a command line: jsonargparse reads flags and YAML, and this file gives it our names and words."""

import dataclasses
import difflib
import os
import re
import sys
import typing
from typing import Any

import jsonargparse
import yaml

from shared.errors import UserError
from shared.settings import UNKEPT, as_dict, check_bounds, flag_of


class Parser(jsonargparse.ArgumentParser):
    """Raises UserError with one sentence, where argparse would print usage and exit."""

    config: str | None = None  # the file named by --config, for messages

    def error(self, message: str, ex: Exception | None = None) -> typing.NoReturn:  # type: ignore[override]
        raise UserError(self._sentence(str(message)))

    def _sentence(self, message: str) -> str:
        known = {action.dest: action.option_strings[0] for action in self._actions if action.option_strings}
        if found := re.search(r"unrecognized arguments: (\S+)", message):
            wrong = found[1].split("=")[0]
            near = max(difflib.get_close_matches(wrong, known.values()), default="",  # people know how words begin
                       key=lambda flag: len(os.path.commonprefix([flag, wrong])))
            return f"There is no flag {wrong}" + (f": did you mean {near}?" if near else
                                                  f"; {self.prog} --help-all lists all flags.")
        if found := re.search(r"Option ['\"]([\w.-]+)['\"] is not accepted", message):
            near = difflib.get_close_matches(found[1], known, 1)
            return f"{self.config or 'The config'} has an unknown key '{found[1]}'" + (
                f": did you mean '{near[0]}'?" if near else f"; {self.prog} --print-config shows all keys.")
        if "File does not exist" in message:
            return f"There is no config file {self.config}."
        if "Unexpected config" in message:
            return f"{self.config} is no YAML file of settings: it holds no keys and values."
        if "Problems parsing config" in message:
            return f"{self.config} is no YAML file of settings: {' '.join(message.split(':', 1)[1].split())}."
        if found := re.search(r"argument (\S+): expected (?:one|1) argument", message):
            return f"{found[1]} needs a value."
        if found := re.search(r"[Pp]arser key \"(\w+)\":(.*)", message, re.DOTALL):
            flag, why = known.get(found[1], found[1]), found[2]
            got = re.findall(r"Got value: ([^\n]*)", why) or re.findall(r"value: ([^\n]*)", why)
            if choices := re.findall(r"Literal\[([^\]]*)\]", why):
                return f"{flag} takes one of {choices[0]}, not '{got[-1].strip() if got else ''}'."
            kinds = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
            kind = next((words for name, words in kinds.items() if re.search(rf"\b{name}\b", why)), "another value")
            if got:
                return f"{flag} takes {kind}, not '{got[-1].strip()}'."
        return " ".join(message.split()).rstrip(".") + "."


def make_parser(prog: str, summary: str, settings: type, help_all: bool = False, end: str = "") -> Parser:
    """A parser whose flags are the fields of a settings dataclass (see `shared.settings.setting`).

    Args:
        prog: what stands before the flags on the command line.
        summary: first words of the help.
        settings: the dataclass.
        help_all: show the advanced settings too.
        end: last words of the help, as they are.
    """
    parser = Parser(prog=prog, description=summary, epilog=end, add_help=True, exit_on_error=True, allow_abbrev=False,
                    default_meta=False,
                    formatter_class=Formatter)
    parser.add_argument("--config", action="config", help="YAML file of settings; flags after it win")
    for action in [a for a in parser._actions if "--print_config" in a.option_strings]:
        action.help = jsonargparse.SUPPRESS  # ours is spelled with a dash, prints plain values, takes no argument
    parser.add_argument("--print-config", action="store_true", help="show all settings as YAML, and stop")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    parser.add_argument("--help-all", action="help", help="show every setting")
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        says, hint = field.metadata, hints[field.name]
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        hidden = says.get("advanced") and not help_all
        shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
        untold = default is None or isinstance(default, list) or says.get("positional")
        text = says.get("help", "") + ("" if untold else f" [{shown}]")
        options: dict[str, Any] = {"default": default, "help": jsonargparse.SUPPRESS if hidden else text}
        if says.get("positional"):
            parser.add_argument(field.name, nargs="*", type=str, metavar=says.get("metavar") or field.name.upper(),
                                **options)
        elif hint is bool:
            parser.add_argument(flag_of(field), dest=field.name, action=jsonargparse.ActionYesNo(no_prefix="no-"),
                                **options)
        elif typing.get_origin(hint) is list:
            parser.add_argument(flag_of(field), dest=field.name, action="append", type=typing.get_args(hint)[0],
                                metavar=says.get("metavar") or "VALUE", **options)
        else:
            choices = typing.get_origin(hint) is typing.Literal
            kind = {int: "N", float: "X"}.get(hint, "VALUE")
            metavar: dict[str, Any] = {} if choices else {"metavar": says.get("metavar") or kind}
            parser.add_argument(flag_of(field), dest=field.name, type=hint, **metavar, **options)
    return parser


class Formatter(jsonargparse.DefaultHelpFormatter):
    """Help as people read it: our text alone, no types or environment variables."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog, max_help_position=30, width=110)

    def _expand_help(self, action: Any) -> str:
        return str(action.help)

    def _get_help_string(self, action: Any) -> str:
        return str(action.help)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())

    def _format_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any) -> str:
        positional = " ".join(f"[{action.metavar} ...]" for action in actions if not action.option_strings)
        return f"usage: {self._prog} {positional} [--flag VALUE ...]\n\n".replace("  ", " ")


def parse(prog: str, summary: str, settings: type, arguments: list[str], end: str = "") -> Any:
    """The settings that `arguments` give; their `given` names the fields that a flag or the config file set.

    Raises UserError; leaves by SystemExit(0) after help or `--print-config`.
    """
    parser = make_parser(prog, summary, settings, "--help-all" in arguments, end)
    named = [value for flag, value in zip(["", *arguments], [*arguments, ""], strict=True) if flag == "--config"]
    parser.config = next(iter([*named, *(a.split("=", 1)[1] for a in arguments if a.startswith("--config="))]), None)
    values = vars(parser.parse_args(arguments).clone())
    names = {field.name for field in dataclasses.fields(settings)}
    made = settings(**{name: value for name, value in values.items() if name in names})
    check_bounds(made)
    made.given = names & set(vars(parser.parse_args(arguments, defaults=False).clone()))
    if values["print_config"]:
        sys.stdout.write(yaml.safe_dump({k: v for k, v in as_dict(made).items() if k not in UNKEPT}, sort_keys=False))
        raise SystemExit(0)
    return made

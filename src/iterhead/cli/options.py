"""Options made from the settings: one for each field of `RunConfig`, dotted, read by the field's type."""

import argparse
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from iterhead.cli.parsing import Parser
from iterhead.errors import UserError
from iterhead.settings import RunConfig, parse_config, read_toml


@dataclass(frozen=True)
class Setting:
    """One setting as an option.

    Args:
        path: where it stands in the config, e.g. ("data", "max_length").
        field: what pydantic knows of it.
    """

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def flag(self) -> str:
        """The option, e.g. `--data.max-length`."""
        return "--" + ".".join(self.path).replace("_", "-")

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have: one, and perhaps None."""
        annotation = self.field.annotation
        return (annotation,) if get_origin(annotation) is Literal else get_args(annotation) or (annotation,)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words to choose from; none where the values are free."""
        kind = self.kinds[0]
        if kind is bool:
            return ("true", "false")
        return get_args(kind) if get_origin(kind) is Literal else ()

    def read(self, text: str) -> Any:
        """Return the value that `text` means; that it is a possible one, the config checks.

        Raises:
            UserError: the text is of another type.
        """
        if NoneType in self.kinds and text == "none":
            return None
        reader, expected = _READERS.get(self.kinds[0], (str, "text"))
        try:
            return reader(text)
        except (KeyError, ValueError):
            raise UserError(f"{self.flag} {shlex.quote(text)}: expected {expected}") from None

    def declare(self, group: argparse._ArgumentGroup) -> None:
        """Add the option to a group of a parser."""
        metavar = {bool: "BOOL", int: "N", float: "X", str: "TEXT"}.get(self.kinds[0], "WORD")
        about = f"{self.field.description} [{self._values()}]"
        group.add_argument(self.flag, dest=self.flag, metavar=metavar, help=about.replace("%", "%%"))

    def _values(self) -> str:
        """Return the default, among the choices if there are any."""
        shown = as_text(self.field.default)
        if not self.choices:
            return f"default: {shown}"
        return ", ".join(f"{choice} (default)" if choice == shown else choice for choice in self.choices)


_READERS: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    bool: ({"true": True, "false": False}.__getitem__, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}


def settings(config: type[BaseModel] = RunConfig, path: tuple[str, ...] = ()) -> list[Setting]:
    """Return every setting of a config, those of its parts too."""
    found: list[Setting] = []
    for name, field in config.model_fields.items():
        part = _part(field)
        found += settings(part, (*path, name)) if part else [Setting((*path, name), field)]
    return found


def _part(field: FieldInfo) -> type[BaseModel] | None:
    """Return the config that a field holds, if it holds one."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def declare_settings(parser: Parser) -> None:
    """Add every setting to a parser, in groups: the run itself, data, model, training."""
    groups: dict[tuple[str, ...], argparse._ArgumentGroup] = {(): parser.add_argument_group("task and seed")}
    for name, field in RunConfig.model_fields.items():
        if part := _part(field):
            about = (part.__doc__ or "").partition("\n")[0].rstrip(".")
            groups[name,] = parser.add_argument_group(f"{name}: {about[0].lower()}{about[1:]}")
    for setting in settings():
        setting.declare(groups[setting.path[:-1]])


def read_config(options: argparse.Namespace) -> RunConfig:
    """Return the settings: the defaults, over them the TOML file, over that the options.

    Raises:
        UserError: one line about the first thing that is wrong.
    """
    values = read_toml(Path(options.config)) if options.config is not None else {}
    for setting in settings():
        text = getattr(options, setting.flag)
        if text is not None:
            _put(values, setting.path, setting.read(text))
    return parse_config(values)


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a nested value, unless something else than a table stands in its way, which the config refuses."""
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            return
    values[path[-1]] = value


def as_options(config: RunConfig) -> list[str]:
    """Return the words that give this config on the command line: the settings that differ from the defaults."""
    changed: list[str] = []
    for setting in settings():
        value: Any = config
        for part in setting.path:
            value = getattr(value, part)
        if value != setting.field.default:
            changed += [setting.flag, as_text(value)]
    return changed


def as_text(value: object) -> str:
    """Return a value as it is typed on the command line."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

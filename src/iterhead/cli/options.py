"""Options made from the settings: one for each field of `RunConfig`, dotted, read by the field's type."""

import argparse
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from iterhead.cli.parsing import Parser
from iterhead.errors import UserError, quoted
from iterhead.settings import RunConfig, parse_config
from iterhead.settings.reading import part_of
from iterhead.values import read_toml, whole_number

_READERS: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    bool: ({"true": True, "false": False}.__getitem__, "true or false"),
    int: (whole_number, "a whole number"),
    float: (float, "a number"),
}


@dataclass(frozen=True)
class Setting:
    """One setting as an option.

    Attributes:
        path: its place in the config, e.g. ("data", "max_length").
        field: pydantic's description of it.
    """

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def flag(self) -> str:
        """The option, e.g. `--data.max-length`."""
        return "--" + ".".join(self.path).replace("_", "-")

    @property
    def default(self) -> Any:
        """The default value; None for a required setting of an optional part."""
        return None if self.field.is_required() else self.field.default

    def value(self, config: RunConfig) -> Any:
        """Return the setting's value in a config; None if the config lacks the whole part."""
        value: Any = config
        for name in self.path:
            value = getattr(value, name, None)
        return value

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have: one, and perhaps None."""
        annotation = self.field.annotation
        return (annotation,) if get_origin(annotation) is Literal else get_args(annotation) or (annotation,)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words to choose from; none if the values are free."""
        kind = self.kinds[0]
        return ("true", "false") if kind is bool else get_args(kind)

    def read(self, text: str) -> Any:
        """Return the value that `text` stands for; the config checks later whether it is allowed.

        Raises:
            UserError: the text is of another type.
        """
        if NoneType in self.kinds and text == "none":
            return None
        reader, expected = _READERS.get(self.kinds[0], (str, "text"))
        try:
            return reader(text)
        except (KeyError, ValueError):
            raise UserError(f"{self.flag} {quoted(text)}: expected {expected}") from None

    def declare(self, group: argparse._ArgumentGroup, *, defaults: bool) -> None:
        """Add the option to a group of a parser, with or without its default in the help."""
        metavar = {bool: "BOOL", int: "N", float: "X", str: "TEXT"}.get(self.kinds[0], "WORD")
        default = as_text(self.default) if defaults else None
        values = ", ".join(f"{word} (default)" if word == default else word for word in self.choices)
        if defaults and not values:
            values = f"default: {default}"
        about = f"{self.field.description} [{values}]" if values else f"{self.field.description}"
        group.add_argument(self.flag, dest=self.flag, metavar=metavar, help=about.replace("%", "%%"))


def settings(config: type[BaseModel] = RunConfig, path: tuple[str, ...] = ()) -> list[Setting]:
    """Return every setting of a config and of its parts."""
    listed: list[Setting] = []
    for name, field in config.model_fields.items():
        part = part_of(field)
        listed += settings(part, (*path, name)) if part else [Setting((*path, name), field)]
    return listed


def declare_settings(parser: Parser, *, without: Collection[str] = (), defaults: bool = True) -> None:
    """Add the settings to a parser, in groups, `without` the settings and parts of these dotted names."""
    groups: dict[tuple[str, ...], argparse._ArgumentGroup] = {(): parser.add_argument_group("task and seed")}
    for name, field in RunConfig.model_fields.items():
        if (part := part_of(field)) and name not in without:
            about = (part.__doc__ or "").partition("\n")[0].rstrip(".")
            groups[name,] = parser.add_argument_group(f"{name}: {about[0].lower()}{about[1:]}")
    for setting in settings():
        if not {setting.path[0], ".".join(setting.path)} & set(without):
            setting.declare(groups[setting.path[:-1]], defaults=defaults)


def read_config(options: argparse.Namespace) -> RunConfig:
    """Return the settings: the options, else the TOML file, else the defaults; raises UserError."""
    values = read_toml(Path(options.config)) if options.config is not None else {}
    return parse_config(read_values(options, values))


def read_values(options: argparse.Namespace, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return nested `values` with those from the options in their place; only the types are checked.

    `none` unsets a setting. For a required setting it unsets the whole part: `--start.run none`.

    Raises:
        UserError: a value is of another type than its setting.
    """
    values = {} if values is None else values
    for setting in settings():
        text = getattr(options, setting.flag, None)
        if text == "none" and setting.field.is_required():
            _put(values, setting.path[:-1], None)
        elif text is not None:
            _put(values, setting.path, setting.read(text))
    return values


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a nested value, unless something other than a table is in its way (the config then raises an error)."""
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            return
    values[path[-1]] = value


def as_options(config: RunConfig) -> list[str]:
    """Return the options that give this config: one for each setting that differs from its default."""
    values = {setting.flag: setting.value(config) for setting in settings() if setting.value(config) != setting.default}
    return [word for flag, value in values.items() for word in (flag, as_text(value))]


def as_text(value: object) -> str:
    """Return a value as it is typed on the command line."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

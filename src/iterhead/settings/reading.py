"""Settings from nested values; errors of one line about the first thing that is wrong."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from iterhead.errors import UserError, nearest, shortened
from iterhead.settings.configs import ADDED_LATER, STORED, RunConfig

Config = TypeVar("Config", bound=BaseModel)


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Return the settings for nested `values`, defaults elsewhere; UserError, in one line, for the first wrong one."""
    return parse_as(RunConfig, values)


def parse_as(kind: type[Config], values: Any, context: Mapping[str, Any] | None = None) -> Config:
    """Return settings of another kind; as `parse_config`. The validators of `kind` see `context`."""
    try:
        return kind.model_validate(dict(values) if isinstance(values, Mapping) else values, context=context)
    except ValidationError as error:
        raise UserError(_explain(error, kind)) from None


def stored_config(values: Any) -> RunConfig:
    """Return the settings in a run's folder: all of them. As `parse_config`, but a user's module is not imported."""
    config = parse_as(RunConfig, values, STORED)
    optional = {"": {"start"}, **ADDED_LATER}
    for name, part in {"": config, **dict(config)}.items():
        if isinstance(part, BaseModel):
            missing = type(part).model_fields.keys() - part.model_fields_set - optional.get(name, set())
            if missing:
                raise UserError(f"{name}{'.' * bool(name)}{min(missing)} is missing: expected a value for it")
    return config


def part_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the config that a field holds, or may hold, if it holds one."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def option_names(config: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """Return every setting as a dotted name, e.g. `data.max_length`."""
    names: list[str] = []
    for name, field in config.model_fields.items():
        part = part_of(field)
        names += option_names(part, f"{prefix}{name}.") if part else [prefix + name]
    return names


_EXPECTED = {
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:,}",
    "literal_error": "{expected}",
    "model_type": "a table of settings",
    "string_too_long": "at most {max_length:,} characters",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
}
"""What was expected, for each of pydantic's types of error."""


def _explain(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return one line for the first of pydantic's complaints."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    context = first.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, UserError):
        return str(cause)
    if isinstance(cause, ValueError):
        return f"{name}.{cause}" if name else str(cause)
    if first["type"] == "extra_forbidden":
        where = " (iterhead run --help lists the settings)" if kind is RunConfig else ""
        return f"unknown setting {shortened(name)}{nearest(name, option_names(kind)) or where}"
    if first["type"] == "missing":
        return f"{name} is missing: expected a value for it"
    message = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    expected = _EXPECTED[first["type"]].format_map(context) if first["type"] in _EXPECTED else message
    return f"{name}={shortened(first['input'])}: expected {expected}"

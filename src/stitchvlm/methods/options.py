"""The options of a method are its dataclass fields: what they are, and reading them from text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from stitchvlm.methods.base import Method

_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class MethodOption:
    """One option of a method."""

    name: str
    kind: Any
    default: object

    @property
    def choices(self) -> tuple[object, ...]:
        """The allowed values where there are few."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def wanted(self) -> str:
        """What a value has to be, in words."""
        return f"one of {', '.join(map(str, self.choices))}" if self.choices else _KINDS.get(self.kind, str(self.kind))

    def allows(self, value: object) -> bool:
        """Whether the value is of the right kind; whole numbers are numbers, and true is none."""
        if self.choices:
            return value in self.choices
        if self.kind is float:
            return isinstance(value, int | float) and not isinstance(value, bool)
        return type(value) is self.kind or self.kind not in _KINDS

    def read(self, text: str) -> object:
        """The value that a text stands for; the text itself where it stands for none."""
        try:
            if self.kind is bool:
                return _BOOLEANS.get(text.lower(), text)
            return self.kind(text) if self.kind in (int, float) else text
        except ValueError:
            return text


def method_options(method: type[Method]) -> dict[str, MethodOption]:
    """The options of a method by their names."""
    if not is_dataclass(method):
        return {}
    kinds = get_type_hints(method)
    return {field.name: MethodOption(field.name, kinds[field.name], field.default) for field in fields(method)}


def options_of(method: Method) -> dict[str, object]:
    """The value of every option of a method, defaults included."""
    return {name: getattr(method, name) for name in method_options(type(method))}


def check_options(method: type[Method], values: Mapping[str, object]) -> None:
    """Raise a ValueError if the method has no such option, or a value is of the wrong kind."""
    options = method_options(method)
    for name, value in values.items():
        if name not in options:
            has = f"it has {', '.join(options)}" if options else "it has none"
            raise ValueError(f"the method {method.name} has no option {name!r}: {has}")
        if not options[name].allows(value):
            raise ValueError(f"the option {name} of {method.name} must be {options[name].wanted}, not {value!r}")


def check_layer_once(values: Mapping[str, object], layer: int | None) -> None:
    """Raise a ValueError if a layer is given both as an option of the method and beside it, where it means another share."""
    if layer is not None and "layer" in values:
        raise ValueError(
            f"the layer is given twice, as {layer} and as the option layer={values['layer']}: with the first keep is the share "
            "that stays from there on, with the second the average over all layers; give one of them"
        )


def read_options(method: type[Method], texts: Iterable[str]) -> dict[str, object]:
    """Options written as ``name=value``.

    Raises:
        ValueError: if one is not written so, is given twice, is unknown, or has a value of the wrong kind.
    """
    options, values = method_options(method), dict[str, object]()
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise ValueError(f"an option of a method is written name=value, such as layer=2, not {text!r}")
        if name in values:
            raise ValueError(f"the option {name} of {method.name} is given twice: give it once")
        values[name] = options[name].read(value) if name in options else value
    check_options(method, values)
    return values

"""Settings as both nodes read them: the command line over the environment over one TOML file."""

import difflib
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from node.addresses import AddressGuard
from node.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)
Settings = TypeVar("Settings", bound="NodeSettings")


def _require_networks(networks: list[str]) -> list[str]:
    AddressGuard(networks)  # its ValueError says what is wrong with which network
    return networks


Networks = Annotated[list[str], AfterValidator(_require_networks)]
"""Private networks that strangers may name an address in, as CIDR."""


class NodeSettings(BaseSettings):
    """Base of a node's settings; a subclass names its `env_prefix`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid")

    clock_offset_s: float = Field(
        default=0.0, description="added to this machine's clock, where that cannot be set right"
    )

    def now(self) -> float:
        """Unix seconds, by the clock that the node goes by."""
        return time.time() + self.clock_offset_s

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file."""
        if not cls.model_config.get("toml_file"):
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls: type[Settings], config: Path | None, **overrides: Any) -> Settings:
        """The settings of a TOML file under the environment; raises SettingsError.

        Relative paths in the file are taken from the file's own directory.
        """
        if config is not None and not config.is_file():
            raise SettingsError(f"{config} is not there: make it with `init`, or mend --config")
        try:
            if config is None:
                return cls(**overrides)
            _refuse_unknown(cls, config)
            from_file = SettingsConfigDict(toml_file=config)
            reader: type[Settings] = type(cls.__name__, (cls,), {"model_config": from_file})
            return anchor(reader(**overrides), config.resolve().parent)
        except ValidationError as error:
            raise SettingsError(_describe(error)) from None  # its text would show secrets
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{config} is not TOML: {error}") from None
        except SourceError as error:
            raise SettingsError(str(error)) from None


def _refuse_unknown(model: type[BaseModel], config: Path) -> None:
    """Refuse a file that sets what nothing reads: what was meant would be left at its default."""
    with config.open("rb") as file:
        document = tomllib.load(file)
    known = list(setting_names(model))
    for name in _unknown_names(model, document):
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"{name}: no such setting{meant}")


def setting_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, those of every section included."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield f"{prefix}{name}"
        else:
            yield from setting_names(section, f"{prefix}{name}.")


def _unknown_names(
    model: type[BaseModel], document: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for name, value in document.items():
        if name not in model.model_fields:
            yield f"{prefix}{name}"
            continue
        annotation, tables = model.model_fields[name].annotation, [value]
        if get_origin(annotation) is list and isinstance(value, list):
            (annotation,), tables = get_args(annotation), value
        section = _section(annotation)
        for table in tables:
            if section is not None and isinstance(table, dict):
                yield from _unknown_names(section, table, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model of a section; None for a value."""
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_section else None


def _describe(error: ValidationError) -> str:
    """Where and what, without the values: they may be secret."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())


def anchor(settings: Model, base: Path) -> Model:
    """The settings with every relative path, at any depth, taken from `base`."""
    return settings.model_copy(
        update={name: _anchored(value, base) for name, value in settings if value is not None}
    )


def _anchored(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return base / value
    if isinstance(value, BaseModel):
        return anchor(value, base)
    if isinstance(value, list):
        return [_anchored(each, base) for each in value]
    return value


def parse_hex(name: str, text: str, length: int) -> bytes:
    """The bytes of 0x hex text of exactly `length` bytes; raises SettingsError."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise SettingsError(f"{name} is not hexadecimal") from None  # the text may be a key
    if len(value) != length:
        raise SettingsError(f"{name} has {len(value)} bytes instead of {length}")
    return value

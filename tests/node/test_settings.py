"""Settings of both nodes: one way to load them, and errors that name the remedy, not the secret."""

from pathlib import Path

import pytest

from gateway.settings import Settings as GatewaySettings
from node.errors import SettingsError
from node.settings import NodeSettings, parse_hex
from supplier.settings import Settings as SupplierSettings

BOTH = pytest.mark.parametrize(
    ("settings", "prefix"), [(SupplierSettings, "SUPPLIER_"), (GatewaySettings, "GATEWAY_")]
)


def a_file(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


@BOTH
def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    settings: type[NodeSettings], prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path, "[chain]\nconfirmations = 7\npoll_s = 0.25\n")
    monkeypatch.setenv(prefix + "CHAIN__CONFIRMATIONS", "9")

    chain = settings.load(file).model_dump()["chain"]

    assert (chain["confirmations"], chain["poll_s"], chain["timeout_s"]) == (9, 0.25, 10.0)
    assert settings.load(file, chain={"confirmations": 11}).model_dump()["chain"][
        "confirmations"
    ] == 11  # fmt: skip


@BOTH
def test_paths_of_a_file_are_taken_from_its_directory(
    settings: type[NodeSettings], prefix: str, tmp_path: Path
) -> None:
    file = a_file(
        tmp_path,
        'data_dir = "data"\n[chain]\naddress_book = "/absolute/book.json"\n'
        '[keys]\nowner_keystore = "keys/owner.json"\n',
    )

    found = settings.load(file).model_dump()

    assert found["data_dir"] == tmp_path / "data"
    assert found["chain"]["address_book"] == Path("/absolute/book.json")
    assert found["keys"]["owner_keystore"] == tmp_path / "keys" / "owner.json"
    assert found["keys"]["owner_password_file"] is None


def test_lists_of_paths_and_model_directories_are_anchored_too(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    gateway = a_file(tmp_path, '[keys]\nformer_signing_keystores = ["old.json"]\n')
    assert GatewaySettings.load(gateway).keys.former_signing_keystores == [tmp_path / "old.json"]
    for name, expected in (("model", str(tmp_path / "model")), ("org/name", "org/name")):
        supplier = a_file(tmp_path, f'[engine]\nmodel = "{name}"\n')
        assert SupplierSettings.load(supplier).engine.model == expected


@BOTH
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[chain\n", "is not TOML"),
        ("\xff", "is not TOML"),
        ("[chain]\nconfirmations = -1\n", "chain.confirmations: "),
        ("[chain]\nrpc_urls = []\n", "chain.rpc_urls: "),
        ("[server]\nport = 65536\n", "server.port: "),
        ("unknown = 1\n", "unknown: no such setting$"),
        ("[chain]\nconfirmation = 4\n", "did you mean chain.confirmations"),
        ("[server.tsl]\nkey = 1\n", "server.tsl: no such setting"),
        ("[server.tls]\nkeys = 1\n", "did you mean server.tls.key"),
    ],
)
def test_what_is_wrong_is_named(
    settings: type[NodeSettings], prefix: str, text: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsError, match=says):
        settings.load(path)


@BOTH
def test_a_file_that_is_not_there_is_an_error(
    settings: type[NodeSettings], prefix: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml is not there: make it with `init`"):
        settings.load(tmp_path / "none.toml")


@BOTH
def test_values_stay_out_of_the_error(
    settings: type[NodeSettings], prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file(tmp_path, '[keys]\nowner_key = ["hunter2"]\n')
    with pytest.raises(SettingsError) as from_file:
        settings.load(file)
    monkeypatch.setenv(prefix + "CHAIN", "hunter2")
    with pytest.raises(SettingsError) as from_environment:
        settings.load(None)

    assert "keys.owner_key" in str(from_file.value)
    assert "chain" in str(from_environment.value)
    assert "hunter2" not in str(from_file.value) + str(from_environment.value)


@pytest.mark.parametrize("text", ["", "0x", "0x1", "0xzz", "0x" + "00" * 19, "00" * 21, "é"])
def test_hexadecimal_has_the_length_asked_for(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^it "):
        parse_hex("it", text, 20)


def test_hexadecimal_with_and_without_its_prefix() -> None:
    assert parse_hex("it", "0x" + "ab" * 20, 20) == parse_hex("it", "AB" * 20, 20) == b"\xab" * 20


def test_a_table_among_several_is_held_to_the_same_names(tmp_path: Path) -> None:
    file = a_file(tmp_path, '[[engines]]\nname = "a"\nmodel = "m"\n[[engines]]\nmodell = "m"\n')

    with pytest.raises(SettingsError, match=r"engines\.modell: no such setting"):
        SupplierSettings.load(file)

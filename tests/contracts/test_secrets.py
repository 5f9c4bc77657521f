"""Secrets have names everywhere and values nowhere."""

from __future__ import annotations

import pickle
import traceback

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from eventspine.contracts.errors import SettingsInvalid
from eventspine.contracts.secrets import (
    Secret,
    SecretReference,
    SecretSource,
    misplaced,
    references,
)
from eventspine.contracts.settings import Settings, load_settings

CANARY = "canary-5up3r-s3cret-value"


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    root: str = "."
    password: SecretReference = None


@pytest.fixture
def secret() -> Secret:
    return Secret("secret://db", CANARY.encode())


def test_a_secret_has_no_text(secret: Secret) -> None:
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr({"a": [secret]})]
    shown += [str(Secret.__slots__), repr((secret, Exception(secret)))]
    assert not any(CANARY in text for text in shown)
    assert repr(secret) == "Secret('secret://db')"
    assert secret.reveal() == CANARY.encode()


def test_a_secret_cannot_be_written_down(secret: Secret) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        orjson.dumps({"a": secret})


def test_two_secrets_are_the_same_by_value_and_equal_to_nothing(secret: Secret) -> None:
    assert secret.same(Secret("secret://other", CANARY.encode()))
    assert not secret.same(Secret("secret://db", b"another"))
    assert secret != CANARY.encode()  # type: ignore[comparison-overlap]


def test_a_traceback_with_a_secret_in_it_does_not_show_it(secret: Secret) -> None:
    with pytest.raises(ValueError, match="nothing") as caught:
        raise ValueError(f"nothing to do with {secret}")
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    text = "".join(line for line in lines if "CANARY" not in line)
    assert CANARY not in text
    assert "Secret('secret://db')" in text


@pytest.mark.parametrize("value", ["secret://db", "secret://a.b-c_1", None])
def test_a_field_that_is_for_a_secret_takes_a_reference(value: str | None) -> None:
    config = Config(password=value)
    assert list(references(config)) == ([] if value is None else [value])


@pytest.mark.parametrize(
    "value", [CANARY, "", "secret://", f"secret://{CANARY.upper()}", "secret://a/b", "SECRET://db"]
)
def test_a_field_that_is_for_a_secret_takes_no_value(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config(password=value)
    (error,) = caught.value.errors(include_input=False, include_context=False)
    assert "must be a reference, secret://name" in error["msg"]
    assert CANARY not in str(error)


def test_no_other_field_takes_a_reference() -> None:
    assert misplaced(Config, {"password": "secret://db", "root": "x"}) is None
    assert misplaced(Config, {"root": "secret://db"}) == "root"
    assert misplaced(Config, {"root": ["a", {"b": "secret://db"}]}) == "root"


@pytest.mark.parametrize("members", [{}, {"file": "a", "variable": "B"}, {"file": ""}])
def test_a_declared_secret_has_one_source(members: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SecretSource.model_validate(members)


@pytest.mark.parametrize(
    "text",
    [
        f'[secrets.db]\nvalue = "{CANARY}"\n',
        f'[secrets.db]\nfile = ["{CANARY}"]\n',
        f'[secrets]\ndb = "{CANARY}"\n',
        f'[backends.b]\nconfig = "{CANARY}"\n',
    ],
)
def test_settings_that_hold_a_value_are_refused_without_showing_it(tmp_path, text: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(tmp_path)
    lines = "".join(traceback.format_exception(caught.value))
    assert CANARY not in lines
    assert "settings.toml: " in str(caught.value)
    with pytest.raises(ValidationError) as direct:
        Settings.model_validate({"secrets": {"db": {"value": CANARY}}})
    assert CANARY not in str(direct.value)

from __future__ import annotations

import tomllib

from eventspine.contracts.settings import LabSettings, Settings
from eventspine.contracts.settings_text import settings_text


def test_the_file_as_written_is_the_lab_settings() -> None:
    settings = Settings.model_validate(tomllib.loads(settings_text()))
    assert settings.lab == LabSettings()
    assert settings.http.demo
    assert settings.model_copy(update={"lab": None, "http": Settings().http}) == Settings()


def test_what_is_commented_out_are_the_defaults_and_nothing_is_missing() -> None:
    lines = settings_text().splitlines()
    live = [line for line in lines if " = " in line or "[" in line]
    bare = [line.removeprefix("# ") for line in live]
    settings = Settings.model_validate(tomllib.loads("\n".join(bare)))
    assert settings.limits == Settings().limits
    assert settings.storage == Settings().storage
    for section in ("http", "storage", "routing", "limits"):
        for name in type(getattr(settings, section)).model_fields:
            assert any(line.split(" = ")[0] == name for line in bare), name

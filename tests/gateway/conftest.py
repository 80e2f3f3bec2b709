"""The settings module as it would be with other variables, without starting a process."""

import importlib.util
import os
from pathlib import Path

import pytest

SETTINGS = Path(__file__).resolve().parents[2] / "gateway" / "settings.py"


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """Read the settings again with the given variables alone; returns the module."""

    def read(**variables: str):
        for name in os.environ:
            if name not in {"PATH", "HOME", "LANG"} and not name.startswith(("PYTEST", "COV_")):
                monkeypatch.delenv(name)
        for name, value in ({"DATA_DIR": str(tmp_path / "data")} | variables).items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("settings_of_a_test", SETTINGS)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return read

"""A root that was made just before the power went is made."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from eventspine.bootstrap import init_root
from eventspine.contracts.settings import load_settings
from tests.faults.volume import Kind, volume

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_settings_of_a_new_root_survive_a_power_cut(kind: Kind, tmp_path: Path) -> None:
    with volume(tmp_path, kind) as disk:
        root = disk.path / "below" / "root"
        written = anyio.run(init_root, root)
        disk.cut_power()
        disk.restore_power()
        assert load_settings(root).lab is not None
        assert anyio.run(init_root, root) == [], written

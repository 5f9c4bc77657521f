"""Compiles eventspine/native where a C compiler and Python's headers are; else the package is pure.

Everything runs without the compiled module, slower; so a missing compiler is said and is no error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("eventspine/native")
FLAGS = ["-O3", "-g0", "-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"]


class CompileNative(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        module = self._compiled(Path(self.root))
        if module is not None:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"].append(str(NATIVE / module.name))

    def _compiled(self, root: Path) -> Path | None:
        from setuptools import Distribution, Extension  # type: ignore[import-untyped]
        from setuptools.errors import BaseError  # type: ignore[import-untyped]

        sources = sorted(str(path) for path in (root / NATIVE).glob("*.c"))
        extension = Extension("eventspine.native._core", sources, extra_compile_args=FLAGS)
        command = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(root), str(root / "build")
        command.force = True
        command.ensure_finalized()
        try:
            command.run()
        except BaseError as error:
            self.app.display_warning(f"eventspine/native is not compiled: {error}")
            print(f"eventspine/native is not compiled: {error}", file=sys.stderr)  # noqa: T201
            return None
        return root / str(command.get_ext_filename("eventspine.native._core"))

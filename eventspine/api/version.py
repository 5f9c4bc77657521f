"""The version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("eventspine")
except PackageNotFoundError:  # run from a checkout that was not installed
    VERSION = "0+source"

"""The version of eventspine, the one place it stands in the code."""

VERSION = "0.1.0"

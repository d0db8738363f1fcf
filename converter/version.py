"""The version of the tool, as written into what it makes."""

VERSION = "0.1.0"

"""The version of this package: in every record, and part of what names a cached answer."""

__version__ = "0.1.0"

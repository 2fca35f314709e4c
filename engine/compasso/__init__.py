"""Compasso: sync-as-code for a Connectif account."""

__version__ = "0.1.0"

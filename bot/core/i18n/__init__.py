"""Shared replies and formats in every language we speak. A command's own texts live in its file."""

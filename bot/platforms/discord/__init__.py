"""Discord: the settings are here; the platform itself joins as `platform.py` in its own change."""

"""Nets shared by two or more families. Torch; only model children and the trainer come here."""

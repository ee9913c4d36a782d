"""Inputs that several generators share, for their specs. No torch."""

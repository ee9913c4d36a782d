"""Figures for weights, each with its reference; called by objectives, importing none of them."""

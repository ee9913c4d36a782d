"""Datasets: folders with a `manifest.json`, the builders of the starter ones, and their checks.

A dataset is a folder of files and a manifest (`trainer.contract.DatasetManifest`); it may come from
a builder here or from a community's own pictures and texts.  A builder is one module
`starter_<name>.py` with `build(out, progress, **options)`: drop one in and
`python -m trainer dataset build <name>` knows it.
"""

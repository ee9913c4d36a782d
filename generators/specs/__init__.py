"""One file per generator: its `SPEC` and its `Params`. No torch; siblings are independent."""

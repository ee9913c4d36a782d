"""Figures for weights, each beside its reference; objectives may call this, it imports none.

`examination` runs it all: it loads the `subject` through its generator, picks the measures that fit
what it can do, and has the `card` rewritten. Pictures: `protocols` (what is asked), `gallery` (the
real ones), `recognition` and `variety` (of `drawings`), `reconstruction`; texts: `writings`,
`copying`, `ngram`; sounds: `sounds`, `pitch`. `picture_judge` and `audio_judge` are the independent
judges, their weights lie in `judges/`. `figures`, `protocols` and `card` need no torch.

To add a measure: append its `Figure` with a reference to the `Results` of its module; a measure of
a new kind of media is one more entry in `Examination._measures`.
"""

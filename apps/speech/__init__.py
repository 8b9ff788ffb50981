"""Speech: samples in, words out.

`app.py` is what the verbs ask, `model.py` preprocess, network and postprocess, `networks.py` the architectures,
`ctc.py` transcripts without alignment, `frames.py` how samples become frames, `augment.py` how sounds are varied.
`data.py` is where clips come from, `sounds.py` reads audio files, `report.py` scores (`transcripts.py` counts word
errors), `beam_search.py` and `language_model.py` decode better than the graph does, in Python (`decoding.py` brings
them together). `sample/` has spoken digits.
"""

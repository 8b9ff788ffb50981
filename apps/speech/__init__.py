"""Speech: samples in, words out.

`app.py` is what the verbs ask, `model.py` preprocess, network and postprocess, `networks.py` the architectures,
`ctc.py` transcripts without alignment, `frames.py` how samples become frames, `augment.py` how sounds are varied,
`speakers.py` a second head for training, `stream.py` a causal network chunk by chunk (`chunks.py` calls its file).
`data.py` is where clips come from (`joined.py` makes sentences of single words), `sounds.py` reads audio files
(`checks.py` says what is odd about them), `windows.py` cuts long ones, `microphone.py` listens. `report.py` scores
(`transcripts.py` counts word errors, `pictures.py` draws),
`beam_search.py` and `language_model.py` decode better than the graph does, in Python (`decoding.py` brings them
together), `ensemble.py` chooses among the sentences of several runs. `sample/` has spoken digits.
"""

"""Named entities: UTF-8 bytes in, spans with their types out.

`app.py` is what the verbs ask (no TensorFlow); `model.py` is preprocess (the tokenizer, characters and shapes of
words), network and postprocess (the CRF's best tags, and the spans they mean); `networks.py` has the architectures,
`pieces.py` how long texts are cut, `data.py` where sentences come from (`columns.py` and `json_lines.py` read their
files, `sentences.py` is what they give).
"""

"""Recommendation: what a person had, in order, goes in; a ranked list of what comes next, without what they had, out.

`app.py` is what the verbs ask (no TensorFlow); `model.py` is preprocess, network and postprocess; `networks.py` has
the convolutional architectures, `baselines.py` what they must beat; `data.py` makes histories of events, `report.py`
scores rankings. `rating_app.py` and its sisters are those of a second app of the same tables: ratings of pairs.
"""

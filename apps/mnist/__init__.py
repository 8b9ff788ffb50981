"""Image classification: digits, or any folder of classes.

`app.py` is what the verbs ask (no TensorFlow); `model.py` is preprocess, network and postprocess; `networks.py` has
the architectures, `augment.py` how images are varied while training, `data.py` where they come from.
"""

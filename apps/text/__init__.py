"""Classification of sentences and documents: UTF-8 bytes in, label and probabilities out.

`app.py` is what the verbs ask (no TensorFlow); `model.py` is preprocess (the tokenizer), network and postprocess;
`networks.py` has the architectures, `augment.py` how texts are varied while training, `data.py` where they come
from.
"""

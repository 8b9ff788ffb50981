"""The apps, by name. Nothing is imported here: help must not load TensorFlow."""

APPS = {"mnist": "apps.mnist.app:Mnist", "ner": "apps.ner.app:Ner", "rate": "apps.recommend.rating_app:Rate",
        "recommend": "apps.recommend.app:Recommend", "segment": "apps.segment.app:Segment",
        "speech": "apps.speech.app:Speech", "text": "apps.text.app:Text"}

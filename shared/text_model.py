"""What the models of all apps share whose raw input is a text."""

from typing import Any

import keras
import numpy as np

from shared.layers.character_ids import CharacterIds
from shared.layers.utf8_tokens import Utf8Tokens
from shared.model import Model
from shared.signature import Tensor


class TextModel(Model):
    """Facts: `max_bytes`, `tokens` (the tokenizer's configuration), `characters` (known ones)."""

    def __init__(self, settings: Any, facts: Any):
        super().__init__(settings, facts)
        self.tokens = Utf8Tokens.from_config(facts["tokens"])
        self.characters = CharacterIds(facts["characters"])

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"text": Tensor((self.facts["max_bytes"],), "int32")}

    def known(self) -> dict[str, tuple[list[str], int]]:
        """By the layer that has a vector of each: words or characters, and the row where they begin."""
        words = self.tokens.words, 1 + self.tokens.buckets
        return {"words": words, "fixed_words": words, "character_vectors": (list(self.characters.characters), 2)}

    def embeddings(self, network: keras.Model) -> dict[str, tuple[list[str], np.ndarray]]:
        known = self.known()
        return {layer.name: (known[layer.name][0], layer.get_weights()[0][known[layer.name][1]:])
                for layer in network.layers if layer.name in known}

    def carried(self, layer: keras.Layer, origin: keras.Layer, source: Model) -> list[np.ndarray] | None:
        """Vectors go with their words and characters."""
        assert isinstance(source, TextModel)
        own, others = ((model.known().get(layer.name)) for model in (self, source))
        if own is None or others is None:
            return super().carried(layer, origin, source)
        [table], [old] = layer.get_weights(), origin.get_weights()
        if table.shape[1] != old.shape[1]:
            return None
        place = {label: others[1] + row for row, label in enumerate(others[0])}
        for row, label in enumerate(own[0], own[1]):
            if label in place:
                table[row] = old[place[label]]
        return [table]

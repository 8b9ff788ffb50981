"""Which model answers for the settings."""

from typing import Any

from apps.recommend.baselines import DECAYS
from apps.recommend.model import Recommender
from apps.recommend.rated import Rated
from apps.recommend.towers import TwoTower
from apps.recommend.untrained import Untrained
from shared.facts import Facts


def build(settings: Any, facts: Facts) -> Recommender:
    if settings.model in DECAYS:
        return Untrained(settings, facts)
    if settings.rating_weight:
        return Rated(settings, facts)
    return (TwoTower if settings.model == "two_tower" else Recommender)(settings, facts)

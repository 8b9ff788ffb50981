"""Tables of made-up people, and what the recommender makes of them."""

import keras
import numpy as np

from apps.recommend.app import Recommend, Settings
from shared.data.dataset import Ragged

APP = Recommend()
TABLE = "user,item,time,title,rating\n"


def ragged(rows):
    return Ragged(np.array(sum(rows, []), np.int32), np.cumsum([0, *map(len, rows)]))


def written(path, rows, first=TABLE):
    path.write_text(first + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def loaded(path, **options):
    return APP.dataset(Settings(data=str(path), **options))


def some(people=12, items=9, seed=0):
    """Rows of a table: each person had 4 to 8 different items, by time."""
    rng = np.random.default_rng(seed)
    return [f"u{person},i{item},{time},Item {item},{1 + (person + item) % 5}" for person in range(people)
            for time, item in enumerate(rng.permutation(items)[:rng.integers(4, items)])]


def built(path, **options):
    keras.utils.set_random_seed(1)
    how = Settings(data=str(path), **{"dimension": 8, "dilations": "1,2", "length": 4, "top": 10, **options})
    dataset = APP.dataset(how)
    facts = APP.learn_facts(how, dataset.splits["train"], dataset)
    model = APP.build(how, facts)
    examples = model.examples(dataset.splits["train"])
    network = model.network()
    return model, network, model.trainer(network, examples), examples, dataset


def rows_of(column):
    return [column.row(row).tolist() for row in range(len(column))]

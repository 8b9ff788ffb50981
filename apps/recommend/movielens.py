"""MovieLens by TensorFlow Datasets: `tfds:movielens/1m-ratings` and its sisters."""

from typing import Any

import numpy as np

from apps.recommend.events import Events, Numbers
from shared.data.tfds import open_tfds
from shared.errors import UserError


def load(name: str, data_dir: str | None) -> Events:
    """Raises UserError where the set cannot be had, or has no users, items and times."""
    wanted = ("user_id", "movie_id", "timestamp", "user_rating", "movie_title")

    def fits(builder: Any) -> None:
        if lacking := [one for one in wanted if one not in builder.info.features]:
            raise UserError(f"tfds:{name} has no '{lacking[0]}': name a set of ratings, as movielens/1m-ratings.")

    builder = open_tfds(name, data_dir, fits)
    cells: dict[str, list[Any]] = {one: [] for one in wanted}
    rows = builder.as_dataset(split="train").map(lambda row: {one: row[one] for one in wanted})  # not genres: ragged
    for batch in rows.batch(4096).as_numpy_iterator():
        for one in wanted:
            cells[one].append(batch[one])
    column = {one: np.concatenate(parts) for one, parts in cells.items()}
    users, items, titles = Numbers(), Numbers(), {}
    for user, item, title in zip(column["user_id"], column["movie_id"], column["movie_title"], strict=True):
        users.add(user.decode())
        items.add(item.decode())
        titles[item.decode()] = title.decode()
    (user_column, user_names), (item_column, item_names) = users.taken(), items.taken()
    return Events(user_column, item_column, column["timestamp"].astype(np.float64),
                  column["user_rating"].astype(np.float32), user_names, item_names, titles)

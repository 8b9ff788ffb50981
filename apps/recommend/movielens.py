"""MovieLens by TensorFlow Datasets: `tfds:movielens/1m-ratings` and its sisters."""

from typing import Any

import numpy as np

from apps.recommend.events import Events, Numbers
from shared.data.tfds import open_tfds
from shared.errors import UserError

GENRES = "movie_genres"


def load(name: str, data_dir: str | None) -> Events:
    """Raises UserError where the set cannot be had, or has no users, items and times."""
    wanted = ("user_id", "movie_id", "timestamp", "user_rating", "movie_title")

    def fits(builder: Any) -> None:
        if lacking := [one for one in wanted if one not in builder.info.features]:
            raise UserError(f"tfds:{name} has no '{lacking[0]}': name a set of ratings, as movielens/1m-ratings.")

    builder = open_tfds(name, data_dir, fits)
    import tensorflow as tf
    genres = builder.info.features[GENRES].feature if GENRES in builder.info.features else None

    def flat(row: dict[str, Any]) -> dict[str, Any]:
        """Genres differ in number, and would not be batched."""
        own = tf.strings.as_string(row[GENRES]) if genres else tf.constant([], tf.string)
        return {**{one: row[one] for one in wanted}, GENRES: tf.strings.reduce_join(own, separator="|")}

    cells: dict[str, list[Any]] = {one: [] for one in (*wanted, GENRES)}
    for batch in builder.as_dataset(split="train").map(flat).batch(4096).as_numpy_iterator():
        for one, column in batch.items():
            cells[one].append(column)
    column = {one: np.concatenate(parts) for one, parts in cells.items()}
    named = {cell: "|".join(getattr(genres, "int2str", str)(int(one)) for one in cell.decode().split("|") if one)
             for cell in set(column[GENRES])}
    users, items, titles, of_item = Numbers(), Numbers(), {}, {}
    for user, item, title, cell in zip(*(column[one] for one in ("user_id", "movie_id", "movie_title", GENRES)),
                                       strict=True):
        users.add(user.decode())
        items.add(item.decode())
        titles[item.decode()] = title.decode()
        of_item[item.decode()] = named[cell]
    (user_column, user_names), (item_column, item_names) = users.taken(), items.taken()
    return Events(user_column, item_column, column["timestamp"].astype(np.float64),
                  column["user_rating"].astype(np.float32), user_names, item_names, titles,
                  {"genres": of_item} if genres else {})

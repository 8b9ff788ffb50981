"""What the tokenizer in the graph costs a model whose corpus brings its own tokens: F1 of the same sentences, once as
the corpus cuts them and once as raw text.

    python -m benchmarks.ner_raw ARTIFACT --data DATA [--split test]

The raw text has one space between the corpus' tokens (nothing in Chinese or Japanese). An entity is right where its
first and last byte and its type are; where the corpus parts a word that the tokenizer does not, it cannot be.
"""

import argparse

from apps import APPS
from apps.ner.app import Ner
from apps.ner.data import made
from apps.ner.sentences import Marked, Place, as_raw, joint
from shared.app import find_app
from shared.cli.evaluate import pick
from shared.data.dataset import Split
from shared.data.tag_schemes import entities, tag_names
from shared.data.text_bytes import decoded
from shared.evaluation.answering import answering
from shared.evaluation.predictors import open_artifact
from shared.evaluation.score import score
from shared.settings import DataSettings


def raw(split: Split, labels: list[str]) -> Split:
    """The sentences of a corpus with its own tokens as texts without."""
    names, rows = tag_names(labels), []
    for row in range(len(split)):
        tags = split.columns["tags"].row(row)
        rows.append(Marked(decoded(split.columns["text"].row(row)), entities([names[tag] for tag in tags]), len(tags),
                           Place(split.about(row)["file"])))
    between = joint(rows)
    return made("raw", {"test": [as_raw(row, between) for row in rows]}, [], labels).splits["test"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="test")
    args = parser.parse_args()
    app: Ner = find_app("ner", APPS)
    predictor = open_artifact(args.artifact, app)
    own = pick(app.dataset(DataSettings(data=args.data, **predictor.facts["splits"]), predictor.facts), args.split)
    answer = answering(app, predictor, predictor.inputs, predictor.facts)
    for name, split in (("own tokens", own), ("raw text", raw(own, predictor.facts["labels"]))):
        figures = score(answer, split, app.scorer(predictor.facts)).metrics
        print(f"{name}: " + ", ".join(f"{key} {100 * figures[key]:.2f}" for key in ("f1", "precision", "recall")),
              flush=True)


if __name__ == "__main__":
    main()

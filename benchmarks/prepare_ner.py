"""Makes the folders that apps/ner/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_ner conll2003 SOURCE FOLDER
        SOURCE: eng.train, eng.testa and eng.testb of https://github.com/synalp/NER, corpus/CoNLL-2003 (Tjong Kim Sang
        and De Meulder 2003; the annotation is free, the text is of the Reuters Corpus, which NIST gives for research
        only and which may not be passed on: https://trec.nist.gov/data/reuters/reuters.html).
    python -m benchmarks.prepare_ner resume SOURCE FOLDER
        SOURCE: train.char.bmes, dev.char.bmes and test.char.bmes of https://github.com/jiesutd/LatticeLSTM, ResumeNER
        (Zhang and Yang 2018; no licence stated: research use).
    python -m benchmarks.prepare_ner wnut17 SOURCE FOLDER
        SOURCE: wnut17train.conll, emerging.dev.conll and emerging.test.annotated of
        https://github.com/leondz/emerging_entities_17 (Derczynski et al. 2017; CC BY 4.0). Its emerging.test.conll is
        not the key.

The files are copied as they are, when their sentences are as many as published.
Word vectors: glove.6B.zip of https://nlp.stanford.edu/projects/glove/ (PDDL); `--embeddings` takes glove.6B.50d.txt.
"""

import argparse
import shutil
import sys
from pathlib import Path

SETS = {
    "conll2003": {"eng.train": 14041, "eng.testa": 3250, "eng.testb": 3453},  # without the lines of -DOCSTART-
    "resume": {"train.char.bmes": 3821, "dev.char.bmes": 463, "test.char.bmes": 477},
    "wnut17": {"wnut17train.conll": 3394, "emerging.dev.conll": 1009, "emerging.test.annotated": 1287}}


def sentences(path: Path) -> int:
    """How many there are: groups of lines between blank ones, without -DOCSTART-."""
    count, inside = 0, False
    for line in path.read_text("utf-8").split("\n"):
        is_token = bool(line.strip()) and not line.startswith("-DOCSTART-")
        count += is_token and not inside
        inside = is_token
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.folder.exists():
        sys.exit(f"{args.folder} exists already: name a new folder.")
    for name, published in SETS[args.set].items():
        if not (args.source / name).is_file():
            sys.exit(f"{args.source} has no {name}: see --help for where it comes from.")
        if (found := sentences(args.source / name)) != published:
            sys.exit(f"{args.source / name} has {found} sentences, not the {published} published: take the original.")
    args.folder.mkdir(parents=True)
    for name in SETS[args.set]:
        shutil.copyfile(args.source / name, args.folder / name)
    print(f"In {args.folder}: use it by --data {args.folder}")


if __name__ == "__main__":
    main()

"""Makes the folders that apps/text/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_text mr SOURCE FOLDER
        SOURCE: rt-polarity.pos and rt-polarity.neg of https://github.com/yoonkim/CNN_sentence (Pang and Lee 2005; no
        licence stated).
    python -m benchmarks.prepare_text trec SOURCE FOLDER
        SOURCE: train_5500.label and TREC_10.label of https://cogcomp.seas.upenn.edu/Data/QA/QC/ (Li and Roth 2002; no
        licence stated). Keeps the six coarse classes.
    python -m benchmarks.prepare_text imdb SOURCE FOLDER
        SOURCE: the folder aclImdb of https://ai.stanford.edu/~amaas/data/sentiment/ (Maas et al. 2011). The official
        halves; the unlabelled reviews are left out.
    python -m benchmarks.prepare_text chnsenticorp SOURCE FOLDER
        SOURCE: train.tsv, dev.tsv and test.tsv of https://github.com/ymcui/Chinese-BERT-wwm, data/chnsenticorp
        (research use). FOLDER/unseen has the test texts that do not stand in train.tsv.

Word vectors: glove.6B.zip of https://nlp.stanford.edu/projects/glove/ (PDDL); `--embeddings` takes glove.6B.50d.txt.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path


def mr(source: Path, folder: Path) -> None:
    for name in ("rt-polarity.neg", "rt-polarity.pos"):
        shutil.copyfile(source / name, folder / name)


def trec(source: Path, folder: Path) -> None:
    for name, split in (("train_5500.label", "train"), ("TREC_10.label", "test")):
        lines = (source / name).read_text("latin-1").split("\n")
        rows = (line.split(" ", 1) for line in lines if line)
        write(folder / f"{split}.jsonl", ({"text": text, "label": label.split(":")[0]} for label, text in rows))


def imdb(source: Path, folder: Path) -> None:
    for split in ("train", "test"):
        write(folder / f"{split}.jsonl", ({"text": path.read_text("utf-8"), "label": name}
                                          for name in ("neg", "pos")
                                          for path in sorted((source / split / name).glob("*.txt"))))


def chnsenticorp(source: Path, folder: Path) -> None:
    splits = {}
    for split in ("train", "dev", "test"):
        lines = (source / f"{split}.tsv").read_text("utf-8").split("\n")[1:]  # no quoting: some texts begin with one
        rows = (line.split("\t") for line in lines if line)
        splits[split] = [{"text": text, "label": label} for label, text in rows]
        write(folder / f"{split}.jsonl", splits[split])
    seen = {row["text"] for row in splits["train"]}
    (folder / "unseen").mkdir()
    write(folder / "unseen" / "test.jsonl", (row for row in splits["test"] if row["text"] not in seen))


def write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def main() -> None:
    makers = {maker.__name__: maker for maker in (mr, trec, imdb, chnsenticorp)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=makers)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.folder.exists():
        sys.exit(f"{args.folder} exists already: name a new folder.")
    args.folder.mkdir(parents=True)
    makers[args.set](args.source, args.folder)
    print(f"In {args.folder}: use it by --data {args.folder}")


if __name__ == "__main__":
    main()

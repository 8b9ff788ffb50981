"""Images and masks that are refused: each in one sentence that names what is wrong."""

import numpy as np
import pytest
from PIL import Image
from segment_folders import COLORS, HIGH, WIDE, fill, read, refused, same, simple, some, taken, truth, write

from shared.data.images import open_image
from shared.data.masks import read_classes


def test_a_missing_folder_is_refused(tmp_path):
    refused(tmp_path / "none", tmp_path / "none", "no folder")


def test_folders_without_images_or_masks_are_refused(tmp_path):
    refused(tmp_path, tmp_path, "images/")
    (tmp_path / "images").mkdir()
    refused(tmp_path, tmp_path, "masks/ or labels/")
    (tmp_path / "masks").mkdir()
    refused(tmp_path, tmp_path / "images", "no PNG")
    (tmp_path / "train").mkdir()
    refused(tmp_path, tmp_path / "train", "images/")


@pytest.mark.parametrize("lacking,what", [("masks", "image(s)"), ("images", "mask(s)")])
def test_images_without_masks_and_masks_without_images_are_counted(tmp_path, lacking, what):
    fill(tmp_path, simple(stems="abcdef"))
    for stem in "bcef":
        (tmp_path / lacking / f"{stem}.png").unlink()
    refused(tmp_path, f"4 {what}", "b.png, c.png, e.png, …", tmp_path / lacking)


def test_two_images_of_one_stem_are_refused(tmp_path):
    fill(tmp_path, simple())
    write(tmp_path / "images" / "b.jpg", some())
    refused(tmp_path, tmp_path / "images" / "b.jpg", tmp_path / "images" / "b.png")


def test_a_list_that_names_what_is_not_there_is_refused(tmp_path):
    fill(tmp_path, simple())
    (tmp_path / "train.txt").write_text("a\nnobody\n")
    refused(tmp_path, "train.txt", "nobody")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\xff")
    refused(tmp_path, "train.txt", "UTF-8")
    (tmp_path / "train.txt").write_text("\n")
    refused(tmp_path, tmp_path, "lists")


@pytest.mark.parametrize("high,wide", [(5, 9), (6, 8), (9, 6), (1, 1)])
def test_a_mask_of_another_size_is_refused(tmp_path, high, wide):
    fill(tmp_path, {**simple(), "d": (some(), truth([1], high, wide))})
    refused(tmp_path, tmp_path / "images" / "d.png", tmp_path / "masks" / "d.png", f"{wide} x {high}", "9 x 6")


def test_a_colour_mask_needs_a_list_of_colours(tmp_path):
    fill(tmp_path, {"a": (some(), COLORS[truth([0, 1])])})
    refused(tmp_path, tmp_path / "masks" / "a.png", "classes.txt", "R G B NAME")
    (tmp_path / "classes.txt").write_text("sky\nroad")
    refused(tmp_path, tmp_path / "masks" / "a.png", "R G B NAME")


def test_a_colour_that_is_not_in_the_list_is_named_with_its_place(tmp_path):
    mask = np.zeros((HIGH, WIDE), int)
    pixels = COLORS[mask]
    pixels[3, 4] = [1, 2, 3]
    fill(tmp_path, {"a": (some(), COLORS[truth([0, 1])]), "b": (some(), pixels)})
    (tmp_path / "classes.txt").write_text("0 0 0 sky\n128 64 128 road")
    refused(tmp_path, tmp_path / "masks" / "b.png", "1 2 3", "row 3, column 4")


def test_values_above_the_class_count_are_refused(tmp_path):
    fill(tmp_path, {**simple(values=(0, 1)), "d": (some(), truth([0, 1, 7]))})
    file = tmp_path / "masks" / "d.png"
    refused(tmp_path, file, "value 7", facts={"labels": ["x", "y"], "channels": 3})
    (tmp_path / "classes.txt").write_text("sky\nroad")
    refused(tmp_path, file, "value 7", "sky, road")
    assert read(tmp_path, void=7).labels == ["sky", "road"]
    refused(tmp_path, "road", "does not know", facts={"labels": ["sky", "car"], "channels": 3})
    (tmp_path / "classes.txt").unlink()
    assert len(read(tmp_path).labels) == 8
    (tmp_path / "train.txt").write_text("a\nb")
    (tmp_path / "test.txt").write_text("d")
    refused(tmp_path, file, "value 7")


def test_wide_values_of_class_masks_are_refused(tmp_path):
    fill(tmp_path, {"a": (some(), truth([0, 1, 300]))})
    refused(tmp_path, "300", "--objects true")
    np.testing.assert_array_equal(taken(read(tmp_path, void=300))["mask"][0].max(), 255)


def test_a_16_bit_mask_of_small_values_is_read(tmp_path):
    mask = truth([0, 1, 2])
    same(taken(read(fill(tmp_path, {"a": (some(), mask.astype(np.uint16))})))["mask"], [mask])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_mask_is_refused(tmp_path, channels):
    alpha = np.full((HIGH, WIDE, 1), 255, np.uint8)
    mask = np.concatenate([np.zeros((HIGH, WIDE, channels), np.uint8), alpha], -1)
    mask[2, 2, -1] = 254
    fill(tmp_path, {"a": (some(), mask)})
    refused(tmp_path, tmp_path / "masks" / "a.png", "alpha")


def test_an_opaque_alpha_channel_does_no_harm(tmp_path):
    mask = truth([0, 1, 2])
    fill(tmp_path, {"a": (some(), np.stack([mask, np.full_like(mask, 255)], -1))})
    same(taken(read(tmp_path))["mask"], [mask])


@pytest.mark.parametrize("folder", ["images", "masks"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animated_files_are_refused(tmp_path, folder, kind):
    fill(tmp_path, simple())
    frames = [Image.fromarray(some()) for _ in range(2)]
    write(tmp_path / folder / "b.png", frames[0], format=kind, save_all=True, append_images=frames[1:])
    refused(tmp_path, tmp_path / folder / "b.png", "animated", "2 frames")
    assert open_image(tmp_path / folder / "b.png").size == (WIDE, HIGH)


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_truncated_files_are_refused(tmp_path, folder):
    fill(tmp_path, simple())
    path = tmp_path / folder / "c.png"
    path.write_bytes(path.read_bytes()[:-30])
    refused(tmp_path, path, "truncated", "1 of 3")


def test_a_jpeg_mask_is_refused(tmp_path):
    fill(tmp_path, simple())
    write(tmp_path / "masks" / "b.png", truth([0, 1]), format="JPEG")
    refused(tmp_path, tmp_path / "masks" / "b.png", "JPEG", "PNG")


@pytest.mark.parametrize("text,word", [
    ("sky\nroad\nsky", "sky more than once"), ("", "0 classes"), ("\n".join(map(str, range(300))), "300 classes"),
    ("0 0 0 sky\n0 0 0 road", "0 0 0 twice"), ("0 0 0 sky\nroad", "'road' without a colour"),
    ("0 0 256 sky\n1 1 1 road", "above 255"), (b"\xff\xfe\xff", "UTF-8")])
def test_a_bad_list_of_classes_is_refused(tmp_path, text, word):
    fill(tmp_path, simple(values=(0, 1)))
    (tmp_path / "classes.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(tmp_path, tmp_path / "classes.txt", word)


def test_names_with_blanks_and_numbers_are_kept(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("\ufefffirst class\n2nd, small\n3\n")
    assert read_classes(path) == (["first class", "2nd, small", "3"], None)


@pytest.mark.parametrize("values", [[0], [1], [255], [2, 255]])
def test_one_class_is_refused(tmp_path, values):
    fill(tmp_path, {stem: (some(), truth(values)) for stem in "ab"})
    refused(tmp_path, tmp_path, "fewer than two classes")

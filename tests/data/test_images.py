"""Image files against NumPy: colour, depth, transparency, size, and whatever a folder may hold."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from shared.data.images import Files, common_size, fit_pixels, load_image_folders, open_image, read_image
from shared.errors import UserError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (12, 10), np.uint8)
COLOUR = RANDOM.integers(0, 256, (12, 10, 3), np.uint8)


def luma(rgb):
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def close(got, want):
    """Equal but for rounding to whole grey levels."""
    np.testing.assert_allclose(got.astype(float), want, atol=1.01)


def resized(pixels, size, axis):
    """A triangle filter as wide as the step between output pixels: antialiased bilinear resampling, by its formula."""
    step = pixels.shape[axis] / size
    at, source = (np.arange(size)[:, None] + 0.5) * step, np.arange(pixels.shape[axis]) + 0.5
    weights = np.maximum(1 - np.abs(source - at) / max(step, 1), 0)
    return np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), pixels.astype(float), (1, axis)), 0, axis)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)
    return path


# Colour and depth

def test_what_fits_already_is_kept():
    np.testing.assert_array_equal(fit_pixels(GREY[..., None], 12, 10, 1), GREY[..., None])
    np.testing.assert_array_equal(fit_pixels(COLOUR, 12, 10, 3), COLOUR)
    np.testing.assert_array_equal(fit_pixels(Image.fromarray(COLOUR), 12, 10, 3), COLOUR)


def test_colour_becomes_grey_by_its_luma():
    got = fit_pixels(COLOUR, 12, 10, 1)
    assert got.shape == (12, 10, 1) and got.dtype == np.uint8
    close(got[..., 0], luma(COLOUR))


def test_grey_becomes_colour_of_three_equal_channels():
    np.testing.assert_array_equal(fit_pixels(GREY[..., None], 12, 10, 3), np.repeat(GREY[..., None], 3, -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_white_by_its_share(channels):
    alpha = RANDOM.integers(0, 256, (12, 10, 1), np.uint8)
    alpha[0], alpha[1] = 0, 255
    share = alpha / 255
    got = fit_pixels(np.concatenate([COLOUR, alpha], -1), 12, 10, channels)
    want = share * COLOUR + (1 - share) * 255
    close(got, luma(want)[..., None] if channels == 1 else want)
    grey = fit_pixels(np.concatenate([GREY[..., None], alpha], -1), 12, 10, channels)
    close(grey, np.repeat(share * GREY[..., None] + (1 - share) * 255, channels, -1))


def test_transparent_palette_entries_are_white(tmp_path):
    palette = RANDOM.integers(0, 200, (4, 3), np.uint8)
    numbers = RANDOM.integers(0, 4, (12, 10), np.uint8)
    image = Image.fromarray(numbers, "L")
    image.putpalette(palette.tobytes())
    for transparency, share in ((2, [1, 1, 0, 1]), (bytes([255, 128, 0, 255]), [1, 128 / 255, 0, 1])):
        path = write(tmp_path / "a.png", image, transparency=transparency)
        shares = np.array(share)[numbers][..., None]
        close(read_image(path, 12, 10, 3), shares * palette[numbers] + (1 - shares) * 255)
    close(read_image(write(tmp_path / "opaque.png", image), 12, 10, 3), palette[numbers])


@pytest.mark.parametrize("pixels,key", [(GREY, int(GREY[3, 4])), (COLOUR, tuple(map(int, COLOUR[3, 4])))])
def test_one_transparent_colour_is_white(tmp_path, pixels, key):
    path = write(tmp_path / "a.png", pixels, transparency=key)
    wanted = np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels
    hidden = (wanted == np.broadcast_to(key, 3)).all(-1, keepdims=True)
    assert hidden[3, 4]
    close(read_image(path, 12, 10, 3), np.where(hidden, 255, wanted))


@pytest.mark.parametrize("most", [65535, 30000, 256, 255, 90])
def test_16_bits_become_8_whatever_the_brightest_pixel(tmp_path, most):
    wide = RANDOM.integers(0, most + 1, (12, 10), np.uint16)
    wide[0, 0] = most
    for got in (read_image(write(tmp_path / "a.png", wide), 12, 10, 1), fit_pixels(wide[..., None], 12, 10, 1)):
        close(got[..., 0], wide / 65535 * 255)


def test_bits_are_black_and_white(tmp_path):
    path = write(tmp_path / "a.png", Image.fromarray(GREY > 127))
    np.testing.assert_array_equal(read_image(path, 12, 10, 1)[..., 0], np.where(GREY > 127, 255, 0))


def test_inks_become_light(tmp_path):
    flat = np.broadcast_to(np.array([200, 40, 90], np.uint8), (16, 16, 3))
    path = write(tmp_path / "a.jpg", Image.fromarray(flat).convert("CMYK"), quality=100)
    np.testing.assert_allclose(read_image(path, 16, 16, 3), flat, atol=4)
    np.testing.assert_allclose(read_image(path, 16, 16, 1)[..., 0], luma(flat), atol=4)


@pytest.mark.parametrize("height,width", [(6, 5), (5, 7), (12, 3), (1, 1), (31, 20), (8, 25)])
def test_size_changes_by_an_antialiased_filter_over_the_whole_image(height, width):
    want = resized(resized(COLOUR, width, 1), height, 0)
    close(fit_pixels(COLOUR, height, width, 3), want)
    close(fit_pixels(GREY[..., None], height, width, 1)[..., 0], resized(resized(GREY, width, 1), height, 0))


# Files

@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp"])
def test_lossless_files_are_read_as_they_are(tmp_path, name):
    path = write(tmp_path / name, COLOUR, **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(read_image(path, 12, 10, 3), COLOUR)


def test_what_the_file_holds_counts_and_not_its_name(tmp_path):
    path = write(tmp_path / "a.jpg", COLOUR, format="PNG")
    np.testing.assert_array_equal(read_image(path, 12, 10, 3), COLOUR)


TURNED = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
          5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
          8: lambda a: np.rot90(a)}


@pytest.mark.parametrize("orientation", TURNED)
def test_images_are_turned_as_their_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "a.png", COLOUR, exif=exif)
    want = TURNED[orientation](COLOUR)
    np.testing.assert_array_equal(read_image(path, *want.shape[:2], 3), want)


def entry(tag, kind, value):
    return struct.pack("<HHI4s", tag, kind, 1, value)


@pytest.mark.parametrize("odd", [entry(0x0128, 2, b"1"), entry(0x0131, 5, b"\1\0\0\0"), entry(0x010F, 12, b"\1\0\0\0"),
                                 entry(0x011A, 7, b"1")], ids=["unit", "software", "make", "resolution"])
def test_an_odd_exif_entry_does_not_spoil_the_image(tmp_path, odd):
    """Cameras write entries of the wrong type; only the orientation matters here."""
    entries = sorted([entry(0x0112, 3, struct.pack("<HH", 6, 0)), odd])
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + bytes(4)
    path = write(tmp_path / "a.png", COLOUR, exif=exif)
    np.testing.assert_array_equal(read_image(path, 10, 12, 3), np.rot90(COLOUR, -1))


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (40, 30, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


SOUND = {kind: encoded(kind) for kind in ("PNG", "JPEG", "BMP", "WEBP")}


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path, kind, share):
    path = tmp_path / "cut.png"
    path.write_bytes(SOUND[kind][:int(share * len(SOUND[kind]))])
    with pytest.raises(UserError, match="cut.png"):
        read_image(path, 8, 8, 3)


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 20, b"GIF89a" + bytes(99), b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "notes.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match="notes.png"):
        open_image(path)


def test_other_formats_are_not_read(tmp_path):
    for kind in ("GIF", "TIFF", "PPM"):
        with pytest.raises(UserError, match="other.png"):
            open_image(write(tmp_path / "other.png", COLOUR, format=kind))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(UserError, match=path.name):
            open_image(path)


def claiming(width, height):
    """A PNG of a few bytes whose header promises `width` x `height` pixels."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 12_000, 100_000])
def test_a_huge_claim_is_refused_before_decoding(tmp_path, monkeypatch, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(claiming(side, side))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(UserError, match="bomb.png"):
        open_image(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "damaged.png"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.data())
def test_damaged_bytes_give_an_image_or_a_user_error(scratch, kind, data):
    content = bytearray(SOUND[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content[:data.draw(st.integers(0, len(content)))])
    try:
        assert read_image(scratch, 9, 8, 1).shape == (9, 8, 1)
    except UserError as error:
        assert "damaged.png" in str(error)


# Folders

def test_common_size_is_the_one_of_half_of_all():
    assert common_size([(28, 20)] * 2 + [(30, 40), (50, 60)]) == (28, 20)
    assert common_size([(28, 20)] * 5) == (28, 20)


@pytest.mark.parametrize("sizes,side", [([(10, 50), (60, 33), (90, 100)], 32), ([(3, 9), (4, 5), (2, 2)], 16),
                                        ([(1000, 800)] * 3, 224), ([(500, 900), (700, 701), (800, 300)], 224),
                                        ([(40, 60), (50, 70), (90, 62), (200, 64)], 56)])
def test_common_size_else_is_a_square_of_the_median_side(sizes, side):
    height, width = common_size(sizes)
    assert height == width == side


@pytest.fixture
def top(tmp_path):
    return tmp_path / "photos"


def fill(top, folders, pixels=COLOUR):
    """Images 0.png, 1.png, … below the top: so many in each folder."""
    for folder, count in folders.items():
        for number in range(count):
            write(top / folder / f"{number}.png", np.roll(pixels, number + len(folder), 0))


def pixels_of(path):
    return np.asarray(Image.open(path))


def test_a_folder_is_a_class(top):
    fill(top, {"dog": 3, "cat": 2, "ant": 1})
    dataset = load_image_folders(top, None, None, 0)
    train = dataset.splits["train"]
    assert dataset.labels == ["ant", "cat", "dog"] and list(dataset.splits) == ["train"]
    assert train.columns["label"].tolist() == [0, 1, 1, 2, 2, 2]
    assert train.meta["file"] == [str(top / name) for name in (
        "ant/0.png", "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/2.png")]
    for index in (4, 0):
        image = train.take(np.array([index]))["image"]
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image[0], pixels_of(train.meta["file"][index]))


def test_images_come_in_the_order_asked_for(top):
    fill(top, {"a": 5, "b": 5})
    train = load_image_folders(top, None, None, 0).splits["train"]
    order = np.array([7, 0, 3, 3, 9])
    for image, index in zip(train.take(order)["image"], order, strict=True):
        np.testing.assert_array_equal(image, pixels_of(train.meta["file"][index]))


def test_deeper_folders_belong_to_their_class_and_other_files_do_not_count(top):
    fill(top, {"a/one/two": 1, "a": 1, "b": 1, ".hidden": 1, "empty": 0})
    (top / "b" / "notes.txt").write_text("no image")
    (top / "README.md").write_text("no image")
    write(top / "c" / "UPPER.PNG", COLOUR, format="PNG")
    dataset = load_image_folders(top, None, None, 0)
    assert dataset.labels == ["a", "b", "c"]
    assert dataset.splits["train"].columns["label"].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("name", ["val", "validation", "Val"])
def test_splits_may_stand_on_top(top, name):
    fill(top, {"train/cat": 3, "train/dog": 2, f"{name}/cat": 1, "test/dog": 1, "other/bird": 1})
    dataset = load_image_folders(top, None, None, 0)
    assert dataset.labels == ["cat", "dog"]
    assert {key: split.columns["label"].tolist() for key, split in dataset.splits.items()} == {
        "train": [0, 0, 0, 1, 1], "validation": [0], "test": [1]}
    assert dataset.splits["test"].meta["file"] == [str(top / "test" / "dog" / "0.png")]


def test_without_a_train_folder_all_folders_are_classes(top):
    fill(top, {"test": 2, "blank": 1})
    dataset = load_image_folders(top, None, None, 0)
    assert dataset.labels == ["blank", "test"] and list(dataset.splits) == ["train"]


def test_all_images_come_in_one_size_and_colour(top):
    fill(top, {"a": 3})
    write(top / "b" / "grey.png", GREY)
    write(top / "b" / "wide.jpg", RANDOM.integers(0, 256, (20, 40, 3), np.uint8))
    write(top / "b" / "clear.webp", RANDOM.integers(0, 256, (7, 5, 4), np.uint8))
    dataset = load_image_folders(top, None, None, 0)
    images = dataset.splits["train"].take(np.arange(6))["image"]
    assert images.shape == (6, 12, 10, 3)
    assert any("10 x 12" in note for note in dataset.notes)
    files = [name.rsplit("/", 1)[-1] for name in dataset.splits["train"].meta["file"]]
    np.testing.assert_array_equal(images[files.index("grey.png")], np.repeat(GREY[..., None], 3, -1))


def test_asked_size_and_channels_are_given(top):
    fill(top, {"a": 2, "b": 2})
    dataset = load_image_folders(top, (6, 5), 1, 0)
    image = dataset.splits["train"].take(np.array([3]))["image"][0]
    close(image[..., 0], resized(resized(luma(pixels_of(top / "b" / "1.png")), 5, 1), 6, 0))


def test_grey_images_have_one_channel_however_they_are_stored(top):
    fill(top, {"a": 2}, GREY)
    fill(top, {"b": 2}, np.repeat(GREY[..., None], 3, -1))
    write(top / "b" / "bits.png", Image.fromarray(GREY > 127))
    write(top / "b" / "palette.png", Image.fromarray(GREY).convert("P"))
    write(top / "b" / "wide.png", GREY.astype(np.uint16) * 257)
    write(top / "b" / "photo.jpg", GREY)
    split = load_image_folders(top, None, None, 0).splits["train"]
    images = split.take(np.arange(len(split)))["image"]
    assert images.shape == (8, 12, 10, 1)
    for image in images[:2]:
        assert any((image[..., 0] == np.roll(GREY, 1 + n, 0)).all() for n in range(2))


def test_one_coloured_image_makes_three_channels(top):
    fill(top, {"a": 3, "b": 3}, GREY)
    write(top / "b" / "z.png", COLOUR)
    assert load_image_folders(top, None, None, 0).splits["train"].take(np.arange(7))["image"].shape[-1] == 3


@pytest.mark.parametrize("folders,said", [({"cat": 3}, "cat"), ({"train/cat": 3, "test/cat": 1}, "cat"),
                                          ({}, "no class folders"), ({"empty": 0, "": 2}, "no class folders")])
def test_a_folder_without_two_classes_is_refused(top, folders, said):
    top.mkdir()
    fill(top, folders)
    with pytest.raises(UserError, match=said) as error:
        load_image_folders(top, None, None, 0)
    assert str(top) in str(error.value)


def test_a_missing_folder_is_named(top):
    with pytest.raises(UserError, match=str(top)):
        load_image_folders(top, None, None, 0)


def test_unreadable_images_are_counted_and_left_out_up_to_the_share_allowed(top):
    fill(top, {"a": 4, "b": 4})
    (top / "a" / "2.png").write_bytes(SOUND["PNG"][:100])
    (top / "b" / "0.png").write_bytes(b"no image")
    dataset = load_image_folders(top, None, None, 0.25)
    train = dataset.splits["train"]
    assert train.columns["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert len(train.take(np.arange(6))["image"]) == 6
    assert [name[-7:] for name in train.meta["file"]] == ["a/0.png", "a/1.png", "a/3.png", "b/1.png", "b/2.png",
                                                           "b/3.png"]
    assert any("2 unreadable" in note and str(top / "a" / "2.png") in note for note in dataset.notes)
    with pytest.raises(UserError, match="2 of 8 .*--max-bad") as error:
        load_image_folders(top, None, None, 0.24)
    assert str(top / "a" / "2.png") in str(error.value)


def test_a_folder_with_no_readable_image_is_refused_whatever_is_allowed(top):
    for name in ("a/0.png", "b/0.png"):
        (top / name).parent.mkdir(parents=True)
        (top / name).write_bytes(b"no image")
    with pytest.raises(UserError):
        load_image_folders(top, None, None, 1.0)


def test_a_class_that_the_model_does_not_know_is_refused_by_its_folder(top):
    fill(top, {"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/zebra": 1})
    with pytest.raises(UserError, match="zebra") as error:
        load_image_folders(top, None, None, 0, ["cat", "dog"])
    assert str(top / "test" / "zebra") in str(error.value)


def test_the_order_of_given_labels_is_kept(top):
    fill(top, {"cat": 2, "dog": 1})
    dataset = load_image_folders(top, None, None, 0, ["dog", "bird", "cat"])
    assert dataset.labels == ["dog", "bird", "cat"]
    train = dataset.splits["train"]
    assert {name.split("/")[-2]: int(number) for name, number in zip(
        train.meta["file"], train.columns["label"], strict=True)} == {"cat": 2, "dog": 0}


def test_one_class_is_enough_for_a_model_that_knows_more(top):
    fill(top, {"cat": 2})
    assert load_image_folders(top, None, None, 0, ["bird", "cat"]).splits["train"].columns["label"].tolist() == [1, 1]


def test_nothing_is_written(top):
    fill(top, {"train/a": 2, "train/b": 2, "test/a": 1})
    before = {path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in top.rglob("*")}
    split = load_image_folders(top, None, None, 0).splits["train"]
    split.take(np.arange(4))
    assert {path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in top.rglob("*")} == before


def test_a_selection_is_still_read_several_at_once(top):
    fill(top, {"a": 2, "b": 2})
    assert isinstance(load_image_folders(top, None, None, 0).splits["train"].select(np.array([0, 3])).columns["image"],
                      Files)


def test_warnings_of_others_are_still_shown_after_reading(top):
    fill(top, {"a": 150, "b": 150}, GREY)
    before = list(warnings.filters)
    for _ in range(6):
        load_image_folders(top, None, None, 0)
        assert warnings.filters == before

import hashlib
import os
import threading

import numpy as np
import pytest

from shared.files import arrays_to_bytes, bytes_to_arrays, sha256, write_atomically


@pytest.mark.parametrize("content, found", [("grün", "grün".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_content_arrives_as_it_is_in_folders_made_for_it(content, found, tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == found
    assert os.listdir(path.parent) == ["file"]


def broken(error):
    def raises(*_):
        raise error
    return raises


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_an_error_leaves_the_old_file_and_nothing_beside(step, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(os, step, broken(error))
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_text_that_cannot_be_encoded_leaves_the_old_file_and_nothing_beside(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    try:
        write_atomically(path, "half of a pair: \udce9")
    except UnicodeError:
        assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_place_is_not_replaced(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").is_dir()


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, contents = tmp_path / "file", [b"a" * 200_000, b"b" * 10]
    write_atomically(path, contents[0])
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(30):
            write_atomically(path, contents[turn % 2])
    finally:
        done.set()
        reader.join()
    assert seen and seen <= set(contents)


def test_sha256_is_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "large").write_bytes(large)
    assert sha256(tmp_path / "large") == hashlib.sha256(large).hexdigest()


def test_arrays_come_back_with_dtype_and_shape():
    arrays = {"a": np.zeros((0, 3), "uint8"), "b/c": np.array(1.5, "float32"), "words": np.array(["ä", "longer"])}
    back = bytes_to_arrays(arrays_to_bytes(arrays))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)

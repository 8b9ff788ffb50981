import numpy as np
import pytest

from shared.errors import UserError
from shared.training.checkpoints import Checkpoints


def save(checkpoints, number):
    checkpoints.save([np.full(3, number), np.array(number)], {"step": number})


def test_newest_is_loaded_and_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load() is None
    for number in range(4):
        save(checkpoints, number)
    arrays, state = checkpoints.load()
    assert state == {"step": 3} and arrays[0].tolist() == [3, 3, 3] and arrays[1] == 3
    assert len(list(tmp_path.glob("*.npz"))) == 2


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1), save(checkpoints, 2)
    newest = max(tmp_path.glob("*.npz"))
    content = newest.read_bytes()
    {"truncate": lambda: newest.write_bytes(content[:-20]),
     "flip": lambda: newest.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:]),
     "delete": newest.unlink}[damage]()
    assert checkpoints.load()[1] == {"step": 1}


def test_all_damaged_is_said(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    next(tmp_path.glob("*.npz")).write_bytes(b"")
    with pytest.raises(UserError, match="start anew"):
        checkpoints.load()
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        checkpoints.load()


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shared.files.os.fsync", full)
    with pytest.raises(OSError):
        save(checkpoints, 2)
    monkeypatch.undo()
    assert checkpoints.load()[1] == {"step": 1}
    assert not list(tmp_path.glob("*.tmp"))

"""What tests ask of the notes on sounds."""


def one_note(notes, count, first, *words):
    assert len(notes) == 1 and notes[0].startswith(f"{count} clip(s)") and notes[0].endswith(f"the first: {first}.")
    assert all(word in notes[0] for word in words), notes[0]

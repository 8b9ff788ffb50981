"""What a person should know of clips: that they are silent, clipped, damaged or of odd lengths. NumPy only."""

import numpy as np

FULL = 32_767
# A clip brought to full scale reaches it once or twice, and the shortest words have a thousand samples; of Speech
# Commands' clips one in a hundred is above, and sounds like it.
CLIPPED = 0.001
QUIET = 32.8  # -60 dBFS: under the noise of any microphone's room
OFFSET = 0.01 * 32_768  # -40 dBFS: as loud as soft speech
OUTLIER = 4  # times longer or shorter than the median: words of one recording session differ by 2 or 3


def oddities(samples: np.ndarray, broken: bool = False) -> list[str]:
    """What is the matter with a clip, in a few words each.

    Args:
        samples: int16 `[samples]`, at least one, as `read_sound` gives them.
        broken: the file ended before its header says.
    """
    mean, low, high = float(samples.mean()), int(samples.min()), int(samples.max())
    found = {
        "fewer samples than the header says, cut off or damaged": broken,
        "digital silence, all samples are equal": low == high,
        "nearly silent, all samples are below -60 dBFS": low < high and max(high - mean, mean - low) < QUIET,
        f"clipped, more than {CLIPPED:.1%} of the samples are at full scale":
            np.count_nonzero(samples >= FULL) + np.count_nonzero(samples <= -FULL) > CLIPPED * len(samples),
        "a DC offset of more than 1% of full scale": abs(mean) > OFFSET}
    return [what for what, there in found.items() if there]


class Checks:
    """Gathers what a person should know of a set of clips.

    Args:
        rate: samples a second that the clips were brought to.
    """

    def __init__(self, rate: int):
        self.rate = rate
        self.names: list[str] = []
        self.lengths: list[int] = []
        self.found: dict[str, list[str]] = {}  # names of clips by what is the matter with them

    def add(self, name: str, samples: np.ndarray, rate: int | None = None, channels: int = 1,
            broken: bool = False) -> None:
        """Looks at one clip.

        Args:
            name: for the notes.
            samples: int16 `[samples]`, at least one, as `read_sound` gives them.
            rate: of the file, where it may differ.
            channels: of the file.
            broken: the file ended before its header says.
        """
        self.names.append(name)
        self.lengths.append(len(samples))
        if rate not in (None, self.rate):
            lacking = f": nothing is above {rate / 2:g} Hz" if rate < self.rate else ""
            self._note(f"{rate} Hz, brought to {self.rate}{lacking}", name)
        if channels > 1:
            self._note(f"{channels} channels, of which the mean was taken", name)
        for what in oddities(samples, broken):
            self._note(what, name)

    def _note(self, what: str, name: str) -> None:
        self.found.setdefault(what, []).append(name)

    def notes(self) -> list[str]:
        """A line for each thing that was found, with the number of clips and the first of them."""
        found = dict(self.found)
        lengths = np.array(self.lengths)
        median = float(np.median(lengths)) if len(lengths) else 0.0
        for what, odd in (("longer", lengths > OUTLIER * median), ("shorter", lengths < median / OUTLIER)):
            if odd.any():
                found[f"more than {OUTLIER} times {what} than the median of {median / self.rate:.2f} s"] = [
                    self.names[at] for at in np.flatnonzero(odd)]
        return [f"{len(names)} clip(s): {what}; the first: {names[0]}." for what, names in found.items()]

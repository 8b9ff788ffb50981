"""How samples become the frames of an answer: what the graph, and those who read its answers, must agree on."""

MARGIN = 0.1  # seconds of silence before and behind each clip: what is cut tightly would lose its last letter
CHUNK = 10  # windows that a stream hears at once; a multiple of what is halved
HALVED = 1  # how often each network halves the steps of the features


def step(hop: float) -> float:
    """Seconds from a frame to the next, of features that are `hop` seconds apart."""
    return hop * (1 << HALVED)


def second(frame: float, hop: float) -> float:
    """When a frame begins, counted from the clip's own begin."""
    return max(0.0, frame * step(hop) - MARGIN)


def chunk_size(hop: int) -> int:
    """Samples that a stream hears at once, where windows are `hop` samples apart."""
    return CHUNK * hop

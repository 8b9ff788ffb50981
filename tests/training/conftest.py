import pytest
from matplotlib.figure import Figure

import shared.evaluation.figures


@pytest.fixture(scope="module", autouse=True)
def figures_left_blank():
    """Drawing them is half the time of a tiny training, and what is drawn is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.evaluation.figures, "draw", lambda figure: Figure((2, 2)))
        yield

"""A linear classifier of words and pairs of neighbours, beside the network: each has a vote for each class."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0)  # inverse of the penalty on large weights
FOLDS = 3


def fit_votes(counts: sparse.csr_array, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of one class against the others, on features weighed by naive Bayes' log-count ratios.

    Fitted whole by scikit-learn: by small steps beside the network, rare features (whose one text gave the ratio
    away) outvote all others. How strongly large weights are punished is chosen by cross-validation.

    Args:
        counts: how often each feature stands in each text, `[texts, features]`; rows are divided by the root of their
            sum, so that long texts are not louder.
        labels: `[texts]`, from 0 to `classes - 1`.
        classes: how many there are.

    Returns:
        Votes, float32 `[features, classes]`, and one for each class, `[classes]`.

    Reference:
        [Wang and Manning 2012, Baselines and Bigrams](https://aclanthology.org/P12-2018/), NBSVM.
    """
    features = (sparse.diags_array(np.maximum(counts.sum(1), 1) ** -0.5) @ counts).tocsr()
    # liblinear takes no wider ones.
    features.indices, features.indptr = features.indices.astype(np.int32), features.indptr.astype(np.int32)
    return fitted(features, labels, classes, best_strength(features, labels, classes))


def best_strength(features: sparse.csr_array, labels: np.ndarray, classes: int) -> float:
    """The one whose votes are right most often on texts held out; the weakest of equals."""
    folds = min(FOLDS, *np.unique(labels, return_counts=True)[1])
    if folds < 2:
        return STRENGTHS[0]
    right = np.zeros(len(STRENGTHS))
    for rest, held in StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels):
        for number, strength in enumerate(STRENGTHS):
            votes, bias = fitted(features[rest], labels[rest], classes, strength)
            right[number] += ((features[held] @ votes + bias).argmax(1) == labels[held]).sum()
    return STRENGTHS[int(right.argmax())]


def fitted(features: sparse.csr_array, labels: np.ndarray, classes: int, strength: float
           ) -> tuple[np.ndarray, np.ndarray]:
    votes, bias = np.zeros((features.shape[1], classes), np.float32), np.zeros(classes, np.float32)
    for label in range(1 if classes == 2 else 0, classes):
        own = labels == label
        if own.all() or not own.any():
            continue
        inside, outside = (1 + (features[rows] > 0).sum(0) for rows in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        regression = LogisticRegression(C=strength, solver="liblinear", dual=True, max_iter=20, random_state=0)
        weighed = features.copy()
        weighed.data = features.data * ratio[features.indices]
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # near enough
            regression.fit(weighed, own)
        votes[:, label], bias[label] = ratio * regression.coef_[0], regression.intercept_[0]
    return votes, bias

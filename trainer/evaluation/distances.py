"""How far sets of pictures lie apart in a judge's feature space. Torch, torchmetrics.

Fréchet distance (Heusel et al., 2017, arXiv:1706.08500), kernel distance (Bińkowski et al., 2018,
arXiv:1801.01401) and Inception-style score (Salimans et al., 2016, arXiv:1606.03498), all three by
torchmetrics with our own judge as the network; diversity and nearest neighbours by plain distances.
Features are (N, D) float32; nothing here draws or decodes anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

KID_SUBSETS = 50


class Known(nn.Module):
    """Stands for the feature network where features were taken before: each picture is judged once,
    whatever number of metrics look at it."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """The features themselves: (N, D)."""
        return features


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """FID between two sets of features, (N, D) and (M, D); 0 for equal sets. Depends on the sizes:
    compare only values of equal N and M."""
    metric = FrechetInceptionDistance(Known(real.shape[1])).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return max(0.0, float(metric.compute()))


def kernel_distance(real: Tensor, made: Tensor, seed: int = 0) -> float:
    """KID between two sets of features, (N, D) and (M, D): unbiased, so near 0 (and at times below)
    for sets of one distribution."""
    size = min(len(real), len(made), 200)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`")
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(
            Known(real.shape[1]), subsets=KID_SUBSETS, subset_size=size
        )
        metric.update(real, real=True)
        metric.update(made, real=False)
        return float(metric.compute()[0])


def inception_score(logits: Tensor) -> float:
    """exp of the mean information (nats) between picture and class, from a judge's logits
    (N, classes); from 1 (always the same answer) to N."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `InceptionScore`")
        warnings.filterwarnings("ignore", r"std\(\)")  # of one split: nobody asks for it
        metric = InceptionScore(Known(logits.shape[1]), splits=1)
        metric.update(logits)
        return float(metric.compute()[0])


def mean_pairwise(features: Tensor) -> float:
    """Mean Euclidean distance of all pairs of (N, D), N at least 2."""
    return float(torch.pdist(features).mean())


def mean_spread(groups: Sequence[Tensor]) -> float:
    """`mean_pairwise` of each group, averaged over the groups."""
    return sum(mean_pairwise(group) for group in groups) / len(groups)


def nearest(made: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(distance, index) of the nearest of `known` (M, D) for each of `made` (N, D): (N,) twice."""
    found = torch.cdist(made, known).min(dim=1)
    return found.values, found.indices

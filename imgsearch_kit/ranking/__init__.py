"""Better rankings from the same vectors, without a label: PCA-whitening, expansion, augmentation, k-reciprocal sets."""

from imgsearch_kit.ranking.composing import Ranking
from imgsearch_kit.ranking.spelling import parse_rank

__all__ = ["Ranking", "parse_rank"]

"""Better rankings from the same vectors, without labels: PCA, RCA, expansion, augmentation, reciprocal sets."""

from imgsearch_kit.ranking.composing import Ranking
from imgsearch_kit.ranking.spelling import parse_rank

__all__ = ["Ranking", "parse_rank"]

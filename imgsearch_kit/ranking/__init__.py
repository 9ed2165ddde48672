"""Re-ranking from the same vectors, without labels: PCA, RCA, expansion, augmentation, reciprocal sets."""

from imgsearch_kit.ranking.chain import Ranking
from imgsearch_kit.ranking.spec import parse_rank

__all__ = ["Ranking", "parse_rank"]

"""The steps of a ranking, learned on one gallery and applied to its queries."""

from __future__ import annotations

from scipy.sparse import csr_array

from imgsearch_kit.ranking import rca
from imgsearch_kit.ranking.expansion import Augmentation, Expansion
from imgsearch_kit.ranking.pca import Pca
from imgsearch_kit.ranking.queries import Asked
from imgsearch_kit.ranking.reciprocal import Reciprocal
from imgsearch_kit.ranking.spec import DbaStep, PcaStep, QeStep, RcaStep, parse_rank
from imgsearch_kit.records import Vectors
from imgsearch_kit.vectors import Scores

Fitted = Pca | Augmentation | Expansion | Reciprocal


class Ranking:
    """A rank SPEC over one gallery: everything is learned from the gallery's vectors, nothing from queries or labels.

    What a query may use of gallery rows that are its own (itself, its copies): PCA and RCA have seen them, one among
    all rows. Augmented sums that contain them are replaced, for this query, by what they are without (exact for up to
    ``spare`` own rows, one unless told). Expansion passes over them. In k-reciprocal sets they stand for the query
    itself; the sets of rows after ``dba`` are those of the plain sums.
    """

    def __init__(self, spec: str, gallery: Vectors, *, spare: int = 1):
        """Learns each step on the gallery ``(n, d)`` as the step before left it.

        :raises BadQuery: when the spec is wrong, or the gallery is too small or too alike for ``pca`` or ``rca``.
        """
        self.spec = spec
        self._start = gallery
        self._steps: list[Fitted] = []
        for step in parse_rank(spec):
            fitted: Fitted
            if isinstance(step, PcaStep):
                fitted = Pca.fit(gallery, step.dims, step.power)
            elif isinstance(step, RcaStep):
                fitted = rca.fit(gallery, step.dims, step.n)
            elif isinstance(step, DbaStep):
                fitted = Augmentation.fit(gallery, step.n, step.alpha, spare)
            elif isinstance(step, QeStep):
                fitted = Expansion(step.n, step.alpha, gallery)
            else:
                fitted = Reciprocal.fit(gallery, step.k1, step.k2, step.weight)
            gallery = fitted.gallery
            self._steps.append(fitted)

    def scores(self, queries: Vectors, own: csr_array | None = None) -> Scores:
        """The scores of queries ``(b, d)`` against the gallery, ``(b, n)`` float32, higher is nearer.

        Cosines of the ranked vectors, or 1 minus the distance after ``krecip``; minus infinity at the rows that
        ``own``, sparse boolean ``(b, n)``, marks as the query's own.
        """
        shape = (len(queries), len(self._start))
        asked = Asked(queries, self._start, csr_array(shape, dtype=bool) if own is None else own)
        for step in self._steps:
            if isinstance(step, Reciprocal):
                return step.scores(asked)
            asked = step.apply(asked)
        return asked.scores()

"""With elasticsearch-py 9 installed (``make test-client9``): what a server 8 says to it, in the kit's words."""

from __future__ import annotations

import pytest

from imgsearch_kit.errors import VersionMismatch
from imgsearch_kit.index import open_index
from tests import elasticsearch_node
from tests.conftest import CLIENT, require


@pytest.mark.skipif(CLIENT < 9, reason="elasticsearch-py 8 speaks to servers 8 and 9 alike")
def test_a_server_8_does_not_understand_client_9():
    what, command = elasticsearch_node.missing()
    require(not what, what, command)
    words = r"does not understand elasticsearch-py 9.* Type: python -m pip install 'elasticsearch>=8\.19,<9'"
    with (
        elasticsearch_node.Node(elasticsearch_node.EIGHT) as node,
        pytest.raises(VersionMismatch, match=words),
    ):
        open_index(f"{node.url}/pictures")

"""The address of an index on a server: what is refused before anything is said to a server."""

from __future__ import annotations

import pytest

from imgsearch_kit.errors import BadQuery
from imgsearch_kit.index import Address, open_index


@pytest.mark.parametrize("host", ["h:0", "h:65536", f"h:{'9' * 5000}", "h:", "h:x", "h:-1", "one:9200,:9200", "a b"])
def test_a_host_or_port_that_cannot_be_is_refused(host):
    words = r"for a host\. Write HOST:PORT, the port from 1 to 65535\.$"
    with pytest.raises(BadQuery, match=words) as refused:
        open_index(f"http://joe:sekret@{host}/pictures")
    assert "sekret" not in str(refused.value)


def test_an_address_is_shown_with_its_port_and_without_the_login():
    assert str(Address.parse("http://joe:sekret@one,two:65535/x/pictures")) == "http://one:9200,two:65535/x/pictures"
    assert str(Address.parse("https://[::1]/pictures")) == "https://[::1]:443/pictures"
    assert str(Address.parse("local:pictures.db")) == "local:pictures.db"

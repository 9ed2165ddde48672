"""The server keeps few visits in memory, and a page whose visit it has forgotten goes on as before."""

from __future__ import annotations

import httpx

from imgsearch_kit.app import serve, serving
from tests.app.conftest import free_port
from tests.app.test_address import search_by_id
from tests.app.test_page import hits, wait_for_first
from tests.app.test_tabs import open_tab


def test_few_visits_are_kept_and_a_forgotten_page_goes_on(visit, gallery, monkeypatch):
    monkeypatch.setattr(serving, "VISITS_KEPT", 2)
    served = serve(gallery, port=free_port(), block=False)
    page = visit(served.url)
    search_by_id(page, "red/00.png")
    wait_for_first(page, "red/01.png")
    calls = httpx.Client(base_url=f"{served.url}gradio_api/call", trust_env=False)
    for _ in range(5):  # each is a visit of its own
        event = calls.post("search", json={"data": [None, 3, None, None, "red/00.png", None]}).json()["event_id"]
        assert '"id": "red/01.png"' in calls.get(f"search/{event}").text
    assert len(served.blocks.state_holder.session_data) == 2
    page.locator("#hits [data-id]").first.click()
    page.get_by_role("button", name="Search with this").click()
    wait_for_first(page, "red/02.png")
    assert hits(page) == [hit.id for hit in gallery.search(id="red/01.png").hits]
    open_tab(page, "Evaluate")
    page.get_by_role("button", name="Evaluate", exact=True).click()
    page.locator(".figure").first.wait_for()
    served.close()

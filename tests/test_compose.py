"""The compose files: sound by the schema, open to this machine alone, server and plugin of one version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
FILES = ("compose.yaml", "compose.secure.yaml")
OVERRIDDEN = {"command", "entrypoint", "test"}  # replaced, where other lists grow


def read(name: str) -> dict:
    return YAML(typ="safe").load(ROOT / name)


def merged(base: object, over: object, key: str = "") -> object:
    """Two compose files as one, by the rules of the Compose Specification (its section "Merge")."""
    if isinstance(base, dict) and isinstance(over, dict):
        both = {name: merged(base[name], over[name], name) for name in base.keys() & over.keys()}
        return base | over | both
    if isinstance(base, list) and isinstance(over, list) and key not in OVERRIDDEN:
        if key == "volumes":  # unique by the path inside the container
            return list({mount.split(":")[1]: mount for mount in [*base, *over]}.values())
        return list(dict.fromkeys([*base, *over]))
    return over


@pytest.fixture(params=["plain", "secure"])
def project(request) -> dict:
    """What compose runs: the first file alone, and both."""
    base = read(FILES[0])
    return merged(base, read(FILES[1])) if request.param == "secure" else base


@pytest.fixture
def secure() -> dict:
    return merged(read(FILES[0]), read(FILES[1]))


def check(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", FILES)
def test_each_file_keeps_to_the_compose_schema(name):
    done = check(ROOT / name)
    assert done.returncode == 0, done.stdout


def test_both_files_together_keep_to_the_schema(secure, tmp_path):
    YAML(typ="safe").dump(secure, tmp_path / "merged.yaml")
    done = check(tmp_path / "merged.yaml")
    assert done.returncode == 0, done.stdout


def test_the_schema_would_notice_a_slip(tmp_path):
    text = (ROOT / FILES[0]).read_text()
    (tmp_path / "slip.yaml").write_text(text.replace("ulimits:", "ulimit:"))
    assert check(tmp_path / "slip.yaml").returncode != 0


def test_the_plugin_is_made_for_the_server():
    versions = read(FILES[0])["services"]["elasticsearch"]["build"]["args"]
    server, plugin = versions["ELASTICSEARCH_VERSION"], versions["ELASTIKNN_VERSION"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", server)
    assert re.fullmatch(rf"{re.escape(server)}\.\d+", plugin)


def test_versions_stand_in_one_place():
    files = [*(ROOT / name for name in FILES), *(ROOT / "docker").rglob("*"), ROOT / ".env.example"]
    found = {f.name: re.findall(r"_VERSION: *(\S+)", f.read_text()) for f in files if f.is_file()}
    assert {name: values for name, values in found.items() if values} == {"compose.yaml": ["8.18.3", "8.18.3.0"]}


def test_the_image_takes_both_versions_from_its_arguments():
    text = (ROOT / "docker/elasticsearch/Dockerfile").read_text()
    assert "FROM docker.elastic.co/elasticsearch/elasticsearch:${ELASTICSEARCH_VERSION}\n" in text
    assert "/elastiknn/releases/download/${ELASTIKNN_VERSION}/elastiknn-${ELASTIKNN_VERSION}.zip" in text
    assert not re.search(r"\d+\.\d+\.\d+", text)


def test_ports_are_open_to_this_machine_alone(project):
    ports = [port for service in project["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service for service in project["services"].values())


def test_only_the_server_starts_unasked(project):
    unasked = [name for name, service in project["services"].items() if not service.get("profiles")]
    assert unasked == ["elasticsearch"]


def test_data_outlives_the_container(project):
    mounts = project["services"]["elasticsearch"]["volumes"]
    assert "elasticsearch:/usr/share/elasticsearch/data" in mounts
    named = {mount.split(":")[0] for service in project["services"].values() for mount in service["volumes"]}
    assert {name for name in named if re.fullmatch(r"\w+", name)} == set(project["volumes"])


def test_the_page_is_open_inside_of_its_container_and_its_port_to_this_machine_alone(project):
    app = project["services"]["app"]
    assert "--host 0.0.0.0 --open" in app["command"]
    assert [port.split(":")[0] for port in app["ports"]] == ["127.0.0.1"]


def test_the_server_has_a_fixed_heap_and_open_limits(project):
    server = project["services"]["elasticsearch"]
    least, most = re.fullmatch(r"-Xms(\S+) -Xmx(\S+)", server["environment"]["ES_JAVA_OPTS"]).groups()
    assert least == most == "${ELASTICSEARCH_HEAP:-1g}"
    assert server["ulimits"]["memlock"] == {"soft": -1, "hard": -1}
    assert server["ulimits"]["nofile"]["hard"] >= 65535
    assert server["environment"]["bootstrap.memory_lock"] == "true"


@pytest.mark.parametrize("name", ["app", "jupyter"])
def test_the_kit_waits_for_the_server_and_finds_it_by_name(project, name):
    service = project["services"][name]
    assert service["depends_on"]["elasticsearch"]["condition"] == "service_healthy"
    assert re.match(r"https?://elasticsearch:9200/", service["environment"]["IMGSEARCH_INDEX"])
    assert any(mount.endswith(":/pictures:ro") for mount in service["volumes"])


def test_without_security_nothing_is_encrypted_and_with_it_everything():
    plain = read(FILES[0])["services"]
    both = merged(read(FILES[0]), read(FILES[1]))["services"]
    for services, scheme, on in ((plain, "http", "false"), (both, "https", "true")):
        server = services["elasticsearch"]
        assert server["environment"]["xpack.security.enabled"] == on
        assert f"'{scheme}://localhost:9200/" in server["healthcheck"]["test"]
        for name in ("app", "jupyter"):
            assert services[name]["environment"]["IMGSEARCH_INDEX"].startswith(f"{scheme}://")


def test_security_covers_http_and_transport_and_insists_on_a_password(secure):
    server = secure["services"]["elasticsearch"]
    for layer in ("http", "transport"):
        assert server["environment"][f"xpack.security.{layer}.ssl.enabled"] == "true"
    for value in (
        server["environment"]["ELASTIC_PASSWORD"],
        secure["services"]["app"]["environment"]["ELASTICSEARCH_PASSWORD"],
    ):
        assert value.startswith("${ELASTIC_PASSWORD:?")
    assert "--insecure" not in server["healthcheck"]["test"]
    assert " -k " not in server["healthcheck"]["test"]
    assert "elastic:$$" not in server["healthcheck"]["test"]  # no password in a list of processes


def test_the_kit_sees_the_authority_and_never_the_servers_key(secure):
    for name in ("app", "jupyter"):
        mounts = secure["services"][name]["volumes"]
        assert "authority:/authority:ro" in mounts
        assert not any(mount.startswith("certificates:") for mount in mounts)
        assert secure["services"][name]["environment"]["ELASTICSEARCH_CA_CERTS"] == "/authority/ca.crt"


def test_the_entry_point_is_shell_that_parses_and_is_in_the_image(secure):
    script = ROOT / "docker/elasticsearch/with-certificates.sh"
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    assert secure["services"]["elasticsearch"]["entrypoint"][-1] == script.name
    assert f"COPY --chmod=755 {script.name} /usr/local/bin/" in (ROOT / "docker/elasticsearch/Dockerfile").read_text()


def test_the_example_environment_names_every_variable_with_its_default():
    used = {}
    for name in FILES:
        used |= dict(re.findall(r"\$\{(\w+):[-?]([^}]*)\}", (ROOT / name).read_text()))
    shown = dict(re.findall(r"^(?:# )?(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert shown.keys() == used.keys()
    assert {name: value for name, value in used.items() if value == shown[name]} == {
        name: value for name, value in used.items() if name != "ELASTIC_PASSWORD"
    }


def test_the_kit_image_gets_every_file_it_needs_and_no_more():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert {"pyproject.toml", "requirements.lock", "README.md", "LICENSE", "imgsearch_kit", "notebooks"} <= set(kept)
    assert not {".env", ".git", ".venv"} & set(kept)


def test_merging_follows_the_specification():
    base = {"a": {"x": 1, "test": "old"}, "volumes": ["v:/data", "w:/w"], "dns": ["1"], "command": ["a", "b"]}
    over = {"a": {"y": 2, "test": "new"}, "volumes": ["u:/data"], "dns": ["2"], "command": ["c"]}
    assert merged(base, over) == {
        "a": {"x": 1, "y": 2, "test": "new"},
        "volumes": ["u:/data", "w:/w"],
        "dns": ["1", "2"],
        "command": ["c"],
    }

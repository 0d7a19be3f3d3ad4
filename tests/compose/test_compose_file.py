"""`compose.yaml` keeps to the Compose Specification and to our own rules for services."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.compose.compose_file import SECRETS, NotSet, image_environment, load
from tests.service import ROOT

COMPOSE = load(SECRETS)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUNNING = sorted(name for name in SERVICES if "tools" not in SERVICES[name].get("profiles", ()))
OURS = ("api", "worker", "parser", "ui")
EVERY = pytest.mark.parametrize("name", sorted(SERVICES))
EVERY_RUNNING = pytest.mark.parametrize("name", RUNNING)


def test_the_file_keeps_to_the_compose_specification() -> None:
    _validate(COMPOSE)


def test_the_schema_would_notice_a_misspelt_key() -> None:
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["api"]["health_check"] = broken["services"]["api"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError):
        _validate(broken)


def test_it_is_seven_containers() -> None:
    assert set(RUNNING) == {*OURS, "qdrant", "postgres", "vllm"}


@EVERY
def test_a_service_runs_as_nobody_special_and_cannot_gain_more(name: str) -> None:
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108 (a mount)
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)


@EVERY
def test_a_service_is_bounded(name: str) -> None:
    assert _bytes(SERVICES[name]["mem_limit"]) > 0
    assert int(SERVICES[name]["pids_limit"]) > 0


def test_all_but_the_model_fit_into_eight_gigabytes() -> None:
    limits = [_bytes(SERVICES[name]["mem_limit"]) for name in RUNNING if name != "vllm"]
    assert sum(limits) <= 8 * 2**30


@EVERY_RUNNING
def test_a_service_says_whether_it_is_healthy_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["qdrant", "postgres", "vllm"])
def test_a_foreign_image_is_pinned_to_one_release(name: str) -> None:
    tag = SERVICES[name]["image"].partition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), tag
    assert "build" not in SERVICES[name]


def test_the_base_of_our_images_is_pinned_to_one_release() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [base for base in bases if base != "base"] == [bases[0], SERVICES["vllm"]["image"]]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_services_has_its_target_and_command_in_the_dockerfile(name: str) -> None:
    stage = (ROOT / "Dockerfile").read_text().partition(f"FROM base AS {name}\n")[2]
    command = re.search(r"^CMD (.+)$", stage.partition("\nFROM ")[0], re.MULTILINE)
    assert SERVICES[name]["build"]["target"] == name
    assert command is not None
    assert json.loads(command[1]) == SERVICES[name]["command"]


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_secret_has_a_default(name: str) -> None:
    with pytest.raises(NotSet):
        load({key: value for key, value in SECRETS.items() if key != name})


def test_nothing_that_looks_like_a_secret_is_written_into_the_file() -> None:
    text = (ROOT / "compose.yaml").read_text()
    secrets = re.findall(r"^\s*\w*(?:PASSWORD|API_KEY):\s*(.+)$", text, re.MULTILINE)
    assert len(secrets) >= 5
    assert all(value.startswith("${") for value in secrets)


def test_the_example_settings_leave_secrets_empty() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in SECRETS:
        assert re.search(rf"^{name}=$", example, re.MULTILINE)


def test_the_parser_has_no_network_no_secret_and_no_data() -> None:
    parser = SERVICES["parser"]
    assert parser["network_mode"] == "none"
    assert "networks" not in parser
    assert parser["volumes"] == ["parser:/run/parser"]
    assert not set(SECRETS.values()) & set(parser["environment"].values())


def test_networks_let_nobody_out_and_only_those_in_who_must() -> None:
    networks = COMPOSE["networks"]
    assert networks["data"]["internal"] is True
    assert networks["llm"]["internal"] is True
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert networks["edge"]["driver_opts"][masquerade] == "false"
    members = {
        network: {name for name in RUNNING if network in SERVICES[name].get("networks", [])}
        for network in networks
    }
    assert members == {
        "edge": {"api", "ui"},
        "data": {"api", "worker", "qdrant", "postgres"},
        "llm": {"api", "vllm"},
    }


def test_only_the_api_and_the_page_are_published_and_only_on_this_machine() -> None:
    published = {name: SERVICES[name]["ports"] for name in SERVICES if "ports" in SERVICES[name]}
    assert published == {"api": ["127.0.0.1:8765:8765"], "ui": ["127.0.0.1:8501:8501"]}


def test_the_api_demands_keys() -> None:
    assert SERVICES["api"]["environment"]["FOOTNOTE_API_KEYS_FILE"] == "/keys/keys.json"
    assert "keys:/keys:ro" in SERVICES["api"]["volumes"]


def test_a_service_waits_for_the_health_of_what_it_needs() -> None:
    waits = {name: set(SERVICES[name].get("depends_on", ())) for name in OURS}
    assert waits == {
        "api": {"postgres", "qdrant"},
        "worker": {"postgres", "qdrant", "parser"},
        "parser": set(),
        "ui": {"api"},
    }
    for name in OURS:
        for wait in SERVICES[name].get("depends_on", {}).values():
            assert wait == {"condition": "service_healthy"}


def test_every_named_volume_is_declared_and_used() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    named = {mount.partition(":")[0] for mount in mounts if not mount.startswith((".", "/"))}
    assert named == set(COMPOSE["volumes"])


def test_nobody_reports_to_a_vendor() -> None:
    ours = image_environment()
    assert ours["DO_NOT_TRACK"] == ours["SCARF_NO_ANALYTICS"] == "1"
    assert ours["HF_HUB_OFFLINE"] == ours["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert ours["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"
    assert SERVICES["qdrant"]["environment"]["QDRANT__TELEMETRY_DISABLED"] == "true"


@pytest.mark.parametrize("model", ["gpt-oss-20b", "gpt-oss-120b"])
def test_one_variable_chooses_the_model_for_both_sides(model: str) -> None:
    services = load(SECRETS | {"FOOTNOTE_MODEL_NAME": model})["services"]
    assert services["vllm"]["environment"]["FOOTNOTE_MODEL_NAME"] == model
    assert services["api"]["environment"]["FOOTNOTE_MODEL_NAME"] == model


def test_host_names_of_the_site_leave_the_page_its_way_to_the_api() -> None:
    services = load(SECRETS | {"FOOTNOTE_ALLOWED_HOSTS": "footnote.example.org"})["services"]
    assert services["api"]["environment"]["FOOTNOTE_ALLOWED_HOSTS"] == "api,footnote.example.org"
    assert SERVICES["api"]["environment"]["FOOTNOTE_ALLOWED_HOSTS"] == ""


def _validate(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "compose" / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(compose)


def _bytes(size: str) -> int:
    units = {"k": 2**10, "m": 2**20, "g": 2**30}
    return int(size[:-1]) * units[size[-1]]

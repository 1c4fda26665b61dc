"""Settings come from the environment, are checked once, and are all in the README."""

from pathlib import Path

import pytest

from deploy.settings_table import settings_table
from shared.errors import InvalidSettings
from shared.settings import Settings, load_settings

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_readme_lists_every_setting_as_it_is() -> None:
    assert settings_table() in README.read_text()


def test_values_come_from_the_environment_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("KC_PORT=7001\nKC_BATCH_MAX=3\nOTHER=x\n")
    monkeypatch.setenv("KC_PORT", "7002")
    settings = load_settings()
    assert (settings.port, settings.batch_max) == (7002, 3)


@pytest.mark.parametrize("where", ["environment", "file"])
def test_an_unknown_name_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    if where == "file":
        (tmp_path / ".env").write_text("KC_PROT=1\n")
    else:
        monkeypatch.setenv("KC_PROT", "1")
    with pytest.raises(InvalidSettings, match="KC_PROT"):
        load_settings()


def test_what_the_command_line_reads_may_be_set_beside_a_clusters_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KC_URL", "http://127.0.0.1:8880")
    monkeypatch.setenv("KC_API_KEY", "kc_x")
    assert load_settings().port == 8880


@pytest.mark.parametrize(
    ("name", "value"),
    [("KC_PORT", "many"), ("KC_PORT", "0"), ("KC_DEVICE", "gpu"), ("KC_PRECISION", "half")],
)
def test_a_bad_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=name):
        load_settings()


def test_segment_audio_must_outlive_every_job() -> None:
    with pytest.raises(InvalidSettings, match="KC_SEGMENT_TTL_S"):
        load_settings(segment_ttl_s=60)


def test_the_webhook_schedule_is_a_list_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KC_WEBHOOK_SCHEDULE_S", "1,2.5")
    assert load_settings().webhook_schedule_s == (1, 2.5)


def test_settings_travel_to_other_processes_as_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(port=7003, webhook_schedule_s=(1, 2), insecure=True)
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_the_webhook_secret_is_not_in_their_text() -> None:
    assert "whsec_abc" not in repr(Settings(webhook_secret="whsec_abc"))

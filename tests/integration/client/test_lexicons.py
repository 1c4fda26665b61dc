"""`lexicons`, run as a shell runs it, by a real cluster."""

import json

from client.cli.exits import Exit
from tests.integration.client.conftest import Shell


def test_a_lexicon_goes_its_way_through_all_commands(shell: Shell) -> None:
    (shell.folder / "names.txt").write_text("# ours\nSQL = sequel\nNguyen = /wˈɪn/\n", "utf-8")
    stored = shell.run("lexicons", "put", "ours", "names.txt", "--language", "en-us")
    assert stored.code == Exit.OK, stored.err
    name, _, version = stored.text.strip().partition("@")
    assert (name, version.isdigit()) == ("ours", True)
    listed = shell.run("lexicons", "list").text.splitlines()
    assert any(line.split()[:4] == ["ours", version, "en-us", "2"] for line in listed)
    shown = shell.run("lexicons", "show", "ours").text
    assert "/wˈɪn/" in shown
    assert "sequel" in shown
    # What is shown in JSON can be stored again, and the same makes no new version.
    as_json = shell.run("lexicons", "show", "ours", "--json")
    again = shell.run("lexicons", "put", "ours", "-", stdin=as_json.out)
    assert again.text == stored.text
    changed = shell.run("lexicons", "put", "ours", "-", "--json", stdin=b"SQL = S Q L")
    assert json.loads(changed.text)["version"] > int(version)
    first = json.loads(shell.run("lexicons", "show", "ours", "--version", version, "--json").text)
    assert len(first["entries"]) == 2
    said = shell.run("say", "SQL.", "--lexicon", f"ours@{version}", "-o", "a.wav")
    assert said.code == Exit.OK, said.err
    deleted = shell.run("lexicons", "delete", "nobodys", "ours")
    assert (deleted.code, deleted.text) == (Exit.REFUSED, "ours deleted\n")
    assert shell.run("lexicons", "show", "ours").code == Exit.REFUSED


def test_a_lexicon_that_is_none_is_named_by_its_place(shell: Shell) -> None:
    unread = shell.run("lexicons", "put", "ours", "-", stdin=b"SQL = sequel\nno mark\n")
    assert unread.code == Exit.USAGE
    assert "Line 2" in unread.err
    refused = shell.run("lexicons", "put", "ours", "-", stdin=b"SQL = /1234/\n")
    assert refused.code == Exit.REFUSED
    assert shell.run("lexicons").code == Exit.USAGE

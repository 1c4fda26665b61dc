import hashlib
import os
import stat
from pathlib import Path

import pytest

from client.answers import Job, Output
from client.errors import BrokenAudio
from client.speech import Download, Speech, whole_file

DATA = b"RIFF and what follows"


def finished(data: bytes = DATA) -> Job:
    digest = hashlib.sha256(data).hexdigest()
    output = Output(url="", format="wav", bytes=len(data), audio_s=1.0, sha256=digest)
    return Job(id="job_1", status="succeeded", output=output)


def test_speech_is_saved_whole(tmp_path: Path) -> None:
    path = Speech(finished(), "wav", DATA).save(tmp_path / "a.wav")
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_file_that_breaks_off_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_file_has_the_permissions_it_had_or_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "new") as file:
            file.write(DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o600)
    with whole_file(tmp_path / "new") as file:
        file.write(DATA)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_link_still_leads_to_the_file_afterwards(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with whole_file(tmp_path / "link") as file:
        file.write(DATA)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == DATA


def test_what_is_no_plain_file_is_written_to_as_it_is() -> None:
    with whole_file(Path("/dev/null")) as file:
        file.write(DATA)
    assert not Path("/dev/null").is_file()


def test_a_download_goes_on_where_it_broke_off_and_is_checked() -> None:
    download = Download(finished())
    assert "Range" not in download.headers()
    download.take(DATA[:5])
    assert download.headers()["Range"] == "bytes=5-"
    assert download.to_skip(206) == 0
    assert download.to_skip(200) == 5
    assert not download.whole
    download.take(DATA[5:])
    assert download.whole
    download.check()


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"!", DATA.swapcase(), b""])
def test_what_is_not_the_file_that_was_made_is_an_error(data: bytes) -> None:
    download = Download(finished())
    download.take(data)
    with pytest.raises(BrokenAudio):
        download.check()

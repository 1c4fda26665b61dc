"""What a gateway and its encoder say to one another."""

import pytest

from shared.frames import HEAD, MAX_FRAME_BYTES, Frame, pack, unpack_head


@pytest.mark.parametrize("kind", list(Frame))
def test_a_message_is_read_as_it_was_written(kind: Frame) -> None:
    message = pack(kind, 2**32 - 1, b"payload")
    assert unpack_head(message[: HEAD.size]) == (7, 2**32 - 1, kind)
    assert message[HEAD.size :] == b"payload"


@pytest.mark.parametrize("head", [HEAD.pack(MAX_FRAME_BYTES + 1, 1, 9), HEAD.pack(0, 1, 99)])
def test_what_is_no_message_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|Frame"):
        unpack_head(head)

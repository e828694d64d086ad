"""Files that travel by byte offset: nothing is lost and nothing doubled, whatever happens."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from nodes.staging.growth import grow


@given(
    data=st.binary(min_size=1, max_size=400),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 90)), max_size=60),
)
def test_any_order_any_repetition(tmp_path_factory, data, cuts) -> None:
    """Late, doubled, overlapping and reordered pieces: the file is always a true beginning."""
    path = tmp_path_factory.mktemp("grown") / "log"
    wanted = 0
    for offset, size in cuts:
        wanted = grow(path, offset, data[offset : offset + size])
        assert path.read_bytes() == data[:wanted]
    while wanted < len(data):
        wanted = grow(path, wanted, data[wanted : wanted + 37])
    assert grow(path, 0, data, seal=True) == len(data)
    assert path.read_bytes() == data


def test_a_hole_is_never_left(tmp_path) -> None:
    path = tmp_path / "log"
    assert grow(path, 5, b"later") == 0
    assert path.read_bytes() == b""
    assert grow(path, 0, b"first") == 5
    assert grow(path, 5, b"later") == 10
    assert path.read_bytes() == b"firstlater"


def test_a_shorter_file_asks_for_what_it_lost(tmp_path) -> None:
    """After a restored backup the control plane has less than was acknowledged."""
    path = tmp_path / "log"
    grow(path, 0, b"0123456789")
    path.write_bytes(b"0123")
    assert grow(path, 10, b"abc") == 4
    assert grow(path, 4, b"456789abc") == 13
    assert path.read_bytes() == b"0123456789abc"


def test_senders_at_the_same_time(tmp_path) -> None:
    """The same pieces from several at once, as after a time-out that was none."""
    path, data = tmp_path / "log", bytes(range(256)) * 400

    def send() -> None:
        wanted = 0
        while wanted < len(data):
            wanted = grow(path, wanted, data[wanted : wanted + 997])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == data

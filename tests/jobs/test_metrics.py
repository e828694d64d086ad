"""The metric file is taken in exactly once, whatever state it is caught in."""

import json

from jobs import services
from jobs.models import Metric
from jobs.services import reading
from tests.jobs.parts import begin, fresh, log, newest, write


def test_a_torn_line_waits_for_its_end(submit):
    job = submit()
    begin(job)
    path = newest(job).workload.metrics_path
    whole, torn = json.dumps(log(1)) + "\n", json.dumps(log(2))
    path.write_text(whole + torn[:20])
    assert services.metrics_take_in(newest(job).pk) == len(whole)
    assert services.metrics_take_in(newest(job).pk) == 0
    with path.open("a") as file:
        file.write(torn[20:] + "\n")
    services.metrics_take_in(newest(job).pk)
    assert list(job.metrics.values_list("step", flat=True)) == [1, 2]
    assert newest(job).metrics_offset == path.stat().st_size


def test_garbage_between_good_lines_is_left_out(submit):
    job = submit()
    begin(job)
    path = newest(job).workload.metrics_path
    bad = [b"\x00\xff garbage", b"[1]", b'{"kind":"log","step":-1,"values":{}}',
           b'{"kind":"log","step":3,"values":{"loss":NaN,"ok":1}}',
           b'{"kind":"checkpoint","step":3,"name":"../../etc"}', b"null", b""]  # fmt: skip
    path.write_bytes(b"\n".join([*bad, json.dumps(log(4)).encode()]) + b"\n")
    services.metrics_take_in(newest(job).pk)
    assert list(job.metrics.values_list("step", "values")) == [
        (3, {"ok": 1}),
        (4, log(4)["values"]),
    ]
    assert not job.checkpoints.exists()


def test_what_no_database_keeps_is_left_out(submit):
    """Numbers beyond all, texts that PostgreSQL refuses, and JSON that breaks its readers."""
    job = submit()
    begin(job)
    values = {"lo\0ss": 1, "half\ud800": 2, "huge": 10**400, "endless": float("inf"), "big": 1e22}
    write(
        job,
        {"kind": "log", "step": 1, "total": 10**400, "epoch": 10**400, "values": values},
        {"kind": "phase", "name": "load\0ing", "done": 10**400, "total": 9},
    )
    path = newest(job).workload.metrics_path
    with path.open("a") as file:
        file.write("[" * 100_000 + "\n")
    write(job, log(2))
    services.metrics_take_in(newest(job).pk)
    assert newest(job).metrics_offset == path.stat().st_size
    assert list(job.metrics.values_list("step", "epoch", "values")) == [
        (1, None, {"loss": 1, "half?": 2, "big": 1e22}),
        (2, 0.2, log(2)["values"]),
    ]
    assert fresh(job).phase == "loading"


def test_two_rows_of_a_step_become_one_point(submit):
    job = submit()
    begin(job)
    write(job, log(5, loss=1.0))
    services.metrics_take_in(newest(job).pk)
    write(job, log(5, eval_loss=2.0))
    services.metrics_take_in(newest(job).pk)
    assert job.metrics.get().values == {"loss": 1.0, "eval_loss": 2.0}
    points = reading.series(job, ["loss", "eval_loss"])
    assert [row["data"] for row in points["series"]] == [[1.0], [2.0]]
    assert points["series"][1]["kind"] == "points"


def test_many_rows_are_taken_in_quickly(submit):
    job = submit()
    begin(job)
    write(job, *[log(step, 20_000) for step in range(1, 5001)])
    services.metrics_take_in(newest(job).pk)
    assert Metric.objects.filter(job=job).count() == 5000
    assert fresh(job).step == 5000
    assert len(reading.series(job, ["loss"])["x"]) <= 5001


def test_the_time_left_follows_the_recent_pace(submit):
    job = submit()
    begin(job)
    rows = [
        log(step) | {"time": __import__("time").time() - 20 + 2 * step} for step in range(1, 11)
    ]
    write(job, *rows)
    services.metrics_take_in(newest(job).pk)
    left = reading.remaining(fresh(job))
    assert left is not None and 15 < left.seconds < 25

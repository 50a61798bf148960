import math

import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.files import jsonl


def keeps_all(record):
    return True


def test_every_float_comes_back_with_its_bits(tmp_path):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, size=2000, dtype=np.int64)
    doubles = [x for x in bits.view(np.float64).tolist() if math.isfinite(x)]
    singles = [np.float32(x) for x in rng.standard_normal(500)]
    with jsonl.JsonLines(tmp_path / "a.jsonl", keeps=keeps_all) as lines:
        lines.append({"doubles": doubles, "singles": singles, "minus_zero": -0.0})
    (record,) = jsonl.read(tmp_path / "a.jsonl")
    assert np.array(record["doubles"]).tobytes() == np.array(doubles).tobytes()
    assert np.array(record["singles"], np.float32).tobytes() == np.array(singles).tobytes()
    assert math.copysign(1, record["minus_zero"]) == -1


def test_numbers_that_json_lacks_are_strings_in_the_file_and_floats_again_when_read(tmp_path):
    path = tmp_path / "a.jsonl"
    with jsonl.JsonLines(path, keeps=keeps_all) as lines:
        lines.append({"loss": math.nan, "norm": [math.inf, -math.inf], "skipped": True, "x": None})
    assert (
        path.read_text()
        == '{"loss": "NaN", "norm": ["Infinity", "-Infinity"], "skipped": true, "x": null}\n'
    )
    (record,) = jsonl.read(path)
    assert math.isnan(record["loss"])
    assert record["norm"] == [math.inf, -math.inf]
    assert record["skipped"] is True


def test_device_scalars_are_numbers_and_other_things_are_refused():
    assert jsonl.encode({"a": jnp.float32(0.1), "b": np.int64(3)}) == (
        '{"a": 0.10000000149011612, "b": 3}'
    )
    with pytest.raises(TypeError, match="cannot write set"):
        jsonl.encode({"a": {1, 2}})


def test_opening_repairs_a_torn_last_line_and_keeps_the_rest_byte_for_byte(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step":1,"x":1.50}\n{"step": 2}\n{"step": 3, "lo')
    assert [r["step"] for r in jsonl.read(path)] == [1, 2]
    with jsonl.JsonLines(path, keeps=keeps_all) as lines:
        lines.append({"step": 3})
    assert path.read_bytes() == b'{"step":1,"x":1.50}\n{"step": 2}\n{"step": 3}\n'


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}')
    with jsonl.JsonLines(path, keeps=keeps_all) as lines:
        lines.append({"step": 3})
    assert [r["step"] for r in jsonl.read(path)] == [1, 2, 3]


@pytest.mark.parametrize("damage", [b"\0\0\0", b'{"step": 1', b"[1]", b"\xff\xfe"])
def test_damage_before_the_end_names_file_and_line(tmp_path, damage):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"a\.jsonl line 2 is damaged"):
        jsonl.JsonLines(path, keeps=keeps_all)
    assert path.read_bytes().endswith(b'{"step": 2}\n')


def test_a_failed_replacement_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        jsonl.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_line_that_does_not_fit_on_the_disk_is_an_error(tmp_path):
    lines = jsonl.JsonLines(tmp_path / "a.jsonl", keeps=keeps_all)
    lines.close()
    with (
        open("/dev/full", "ab", buffering=0) as lines._file,
        pytest.raises(OSError, match="No space left"),
    ):
        lines.append({"step": 1})

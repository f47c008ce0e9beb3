"""Generated calls over varied schemas by a model of random weights, as bench/calls.py makes ten thousand: whatever the format, each is valid by
jsonschema, none is lost, and streamed they are the same."""

import asyncio
import sys

import pytest

from conftest import QWEN, ROOT, Server

sys.path.append(str(ROOT / "bench"))
import calls  # noqa: E402
from random_model import write_random_model  # noqa: E402

CALLS_A_FORMAT = 20
SEED = 7


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    return write_random_model(QWEN, tmp_path_factory.mktemp("random") / "random.gguf")


@pytest.mark.parametrize("tool_format", calls.QUICK_FORMATS)
def test_generated_calls_are_valid(tool_format, random_model, tmp_path):
    server = Server(tmp_path, "--tool-format", tool_format, "--memory", "1GB", "--ctx", "16384", model=random_model)
    records = []

    def take(record):
        records.append(record)
        return calls.total(records, "calls") < CALLS_A_FORMAT

    asyncio.run(calls.run_sets(server.url, calls.sets_of("random", tool_format, SEED), tool_format, take, streams=2))
    assert server.stop() == 0, server.log.read_text()
    assert [problem for record in records for problem in record["problems"]] == []
    assert calls.total(records, "calls") >= CALLS_A_FORMAT
    # A text that never ends would be a schema's bound that the grammar does not know.
    assert calls.total(records, "endless") == 0
    # Rows of valid calls that the random model goes on with: two of these sixteen requests at most, whichever kernels run.
    assert calls.total(records, "cut") <= 2

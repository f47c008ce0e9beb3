"""`kvasir chat`: its conversations are kept as the server's are."""

import re
import subprocess

import pytest

from conftest import BINARY, MODELS

SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
LINES = ["What is the capital of France?", "And of Italy?", "Name a river."]


def chat(folder, lines):
    """Prompt, cached, replayed and generated tokens of each turn, and what was printed."""
    command = [BINARY, "chat", "-m", str(SMOLLM2), "--cache-folder", str(folder), "--memory", "2GB"]
    command += ["--cache-loads", "always", "--temperature", "0", "--max-tokens", "24"]
    text = "".join(line + "\n" for line in lines)
    run = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    turns = re.findall(r"(\d+) prompt tokens \((\d+) cached, (\d+) replayed, .*?\), (\d+) tokens", run.stderr)
    return [tuple(map(int, turn)) for turn in turns], run.stdout


@pytest.mark.real
def test_a_conversation_is_found_again_with_its_answers_as_they_were_sampled(tmp_path):
    first, said = chat(tmp_path, LINES)
    assert len(first) == 3
    for before, turn in zip(first, first[1:]):
        # All that was computed of the last turn; the last token of an answer may not be.
        assert turn[1] >= before[0] + before[3] - 1
    assert first[1][2] > 0 and first[2][2] > first[1][2]
    again, said_again = chat(tmp_path, LINES)
    assert said_again == said
    assert [turn[1] for turn in again] == [turn[0] - 1 for turn in again]
    assert [turn[2] for turn in again] == [turn[2] for turn in first]

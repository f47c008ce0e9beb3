"""What guessing from the conversation saves (docs/decisions/0027-prompt-lookup.md), and what it costs where nothing repeats.

    bench/tools.sh lookup [--rounds 5] [--tokens 256] [--model qwen|smollm2] [--guess 32]

Two servers, the same but for --prompt-lookup, get the same requests by turns: a file to be written again with one change, a
file to be quoted (both greedy), and prose at temperature 1, in which little repeats. Times are the server's own, between
tokens. The answers must be the same.
"""

import argparse
import pathlib
import statistics
import sys

from bars import Bars, head, spread
from serving import QWEN, ROOT, SMOLLM2, Folder, Kvasir

COST_MOST = 0.97  # of the rate without guesses, where nothing repeats


def file_text(path):
    return (ROOT / path).read_text()


def tasks():
    code = file_text("src/engine/prompt_lookup.cpp")
    return {
        "edit": (0, f"Rename the variable `places` to `seen` in this file. Answer with the whole file only.\n\n```cpp\n{code}```"),
        "quote": (0, f"Print this file as it is, without a word before it.\n\n```python\n{file_text('bench/bars.py')}```"),
        "prose": (1, "Write a long story about a lighthouse keeper and a lost ship."),
    }


def ask(server, task, seed, tokens):
    """(answer, seconds a token, guessed tokens, kept ones)"""
    temperature, question = task
    before = server.metrics()
    reply = server.request({"messages": [{"role": "user", "content": question}], "max_tokens": tokens, "temperature": temperature, "seed": seed})
    after = server.metrics()
    name = "vllm:time_per_output_token_seconds"
    moved = {key: after[key] - before.get(key, 0) for key in after}
    return reply.message["content"], moved[f"{name}_sum"] / moved[f"{name}_count"], moved["vllm:spec_decode_num_draft_tokens"], moved["vllm:spec_decode_num_accepted_tokens"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--model", choices=["qwen", "smollm2"], default="qwen")
    parser.add_argument("--guess", type=int, default=32)
    arguments = parser.parse_args()
    model = pathlib.Path(QWEN if arguments.model == "qwen" else SMOLLM2)
    head("guesses from the conversation", model)
    bars = Bars()
    with Folder() as folder:
        common = ["--cache-disk", 0]
        with Kvasir(folder, model, "--prompt-lookup", 0, *common) as plain, Kvasir(folder, model, "--prompt-lookup", arguments.guess, *common) as guessing:
            for name, task in tasks().items():
                ratios, same, guessed, kept = [], True, 0, 0
                for attempt in range(arguments.rounds + 1):
                    without, with_guesses = (ask(server, task, attempt, arguments.tokens) for server in (plain, guessing))
                    same = same and without[0] == with_guesses[0]
                    if attempt > 0:  # the first reads the prompt
                        ratios.append(without[1] / with_guesses[1])
                        guessed, kept = guessed + with_guesses[2], kept + with_guesses[3]
                print(f"{name}: {spread(ratios)} of the rate without guesses ({without[1] * 1e3:.1f} ms a token); {kept:.0f} of {guessed:.0f} guessed tokens kept", flush=True)
                bars.check(f"{name}: the same answer", same, "same" if same else "not the same")
                bars.check(f"{name}: not slower", statistics.median(ratios) >= COST_MOST, f"{spread(ratios)}, bar {COST_MOST}")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())

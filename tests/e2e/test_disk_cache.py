"""What is kept on disk: over restarts and kills, between keys, within its budget, and by `kvasir cache`."""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

import httpx
import pytest

from conftest import BINARY, KEY, MODELS, ROOT, Server

SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
PAGE = 4096
SETTLED_SECONDS = 3.2
WORDS = "river stone cloud lantern harbour winter copper meadow signal thunder paper garden mirror bridge".split()
RULES = [
    {"reply": "I am a script."},
    {"when": "oddly", "reply": "\n I  answer   oddly.\n\n"},
    {"when": "slowly", "reply": " ".join(str(i) for i in range(400)), "delay_ms_per_step": 20},
]


def prompt(seed, words=300):
    """A user's turn that has no token run in common with one of another seed."""
    return f"{seed} " + " ".join(WORDS[(i * i + i * (hash_of(seed) % 97)) % len(WORDS)] + str(i % 7) for i in range(words))


def hash_of(seed):
    return sum(ord(c) * (i + 1) for i, c in enumerate(str(seed)))


def ask(text):
    return [{"role": "user", "content": text}]


class Answer:
    def __init__(self, raw):
        self.header = raw.headers.get("x-kvasir-cache")
        completion = raw.parse()
        self.text = completion.choices[0].message.content
        self.logprobs = completion.choices[0].logprobs
        self.prompt = completion.usage.prompt_tokens
        self.completion = completion.usage.completion_tokens
        self.cached = completion.usage.prompt_tokens_details.cached_tokens

    @property
    def computed(self):
        """Tokens that have KV after the answer at least. An answer's last one may have been sampled and not computed;
        idle time may compute a few that the next turn begins with."""
        return self.prompt + self.completion


IDLE_TOKENS_MOST = 16


def is_about(tokens, answer):
    return answer.computed <= tokens <= answer.computed + IDLE_TOKENS_MOST


def chat(server, messages, key="any", **options):
    client = server.openai(key, timeout=300)
    return Answer(
        client.chat.completions.with_raw_response.create(
            model="default", messages=messages, **{"temperature": 0, **options}
        )
    )


def next_turn(messages, answer, text="And now?"):
    return [*messages, {"role": "assistant", "content": answer.text}, {"role": "user", "content": text}]


def folder_bytes(folder):
    """What the folder takes of the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def cache(command, folder, *arguments):
    return subprocess.run(
        [BINARY, "cache", command, "--cache-folder", str(folder), *map(str, arguments)], capture_output=True, text=True
    )


def listed(folder):
    """Tokens of the conversations that `cache ls` lists."""
    shown = cache("ls", folder, "--most", "100000")
    assert shown.returncode == 0, shown.stderr
    if shown.stdout.startswith("nothing is kept"):
        return []
    return [int(line.split()[2]) for line in shown.stdout.splitlines()[1:]]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def serve(tmp_path, folder):
    """Starts servers on `folder`; those that still run at the end must stop cleanly."""
    started = []

    def start(*arguments, disk="256MB", place=None, **keywords):
        always = ["--cache-folder", str(place or folder), "--cache-disk", disk, "--cache-loads", "always", "--no-idle-prefill"]
        started.append(Server(tmp_path, *always, *arguments, **{"rules": RULES, "tokenizer": SMOLLM2, **keywords}))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log.read_text()


def stopped(server):
    assert server.stop() == 0, server.log.read_text()


# ---- restarts ----


def test_a_restarted_server_finds_the_whole_prompt(serve):
    messages = ask(prompt("whole"))
    first = serve()
    cold = chat(first, messages)
    assert (cold.cached, cold.header.split()[:3]) == (0, [f"prompt={cold.prompt}", "cached=0", "loaded=0"])
    stopped(first)

    second = serve()
    warm = chat(second, messages)
    assert warm.text == cold.text
    assert warm.cached == warm.prompt - 1
    assert warm.header == f"prompt={warm.prompt} cached={warm.cached} loaded={warm.cached} replayed=0"
    assert second.metric("kvasir:loaded_tokens_total") == warm.cached
    assert second.metric("kvasir:prefill_tokens_total") == 1
    # From memory now.
    again = chat(second, messages)
    assert again.header == f"prompt={warm.prompt} cached={warm.cached} loaded=0 replayed=0"
    assert second.metric("kvasir:loaded_tokens_total") == warm.cached


@pytest.mark.parametrize("words", [1, 10, 40, 63, 64, 65, 500, 3000])
def test_prompts_of_all_lengths_are_found_to_the_token(serve, words):
    messages = ask(prompt(f"length {words}", words))
    first = serve()
    chat(first, messages)
    stopped(first)
    warm = chat(serve(), messages)
    assert warm.cached == warm.prompt - 1


def test_the_next_turn_after_a_restart_reads_only_what_is_new(serve):
    messages = ask(prompt("turns"))
    for turn in range(4):
        server = serve()
        answer = chat(server, messages)
        if turn > 0:
            assert is_about(answer.cached, before)
        before = answer
        messages = next_turn(messages, answer, f"And now, {turn}?")
        stopped(server)


def test_a_sampled_turn_is_replayed_after_a_restart(serve):
    messages = ask(prompt("replayed") + " oddly")
    first = serve()
    cold = chat(first, messages)
    stopped(first)
    second = serve()
    trimmed = [*messages, {"role": "assistant", "content": cold.text.strip()}, {"role": "user", "content": "And now?"}]
    warm = chat(second, trimmed)
    assert is_about(warm.cached, cold)
    assert warm.header.endswith(f" replayed={cold.completion}") or f" replayed={cold.completion} " in warm.header
    assert second.metric("kvasir:replayed_tokens_total") == cold.completion


def test_a_streamed_answer_tells_what_was_found_in_its_headers(serve):
    messages = ask(prompt("streamed"))
    first = serve()
    cold = chat(first, messages)
    stopped(first)
    second = serve()
    body = {"model": "default", "messages": messages, "temperature": 0, "stream": True}
    with httpx.stream("POST", second.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        found = cold.prompt - 1
        assert reply.headers["x-kvasir-cache"] == f"prompt={cold.prompt} cached={found} loaded={found} replayed=0"
        reply.read()


def test_forks_share_what_they_begin_with(serve):
    shared = {"role": "system", "content": prompt("system", 1000)}
    first = serve()
    cold = [chat(first, [shared, *ask(f"fork {i}")]) for i in range(4)]
    stopped(first)
    second = serve()
    new = chat(second, [shared, *ask("a new fork")])
    assert new.cached >= cold[0].prompt - 20
    for i, before in enumerate(cold):
        assert chat(second, [shared, *ask(f"fork {i}")]).cached == before.prompt - 1


# ---- kills ----


def test_a_kill_well_after_an_answer_loses_nothing(serve):
    messages = ask(prompt("killed") + " oddly")
    first = serve()
    cold = chat(first, messages)
    time.sleep(SETTLED_SECONDS)
    first.kill()
    second = serve()
    warm = chat(second, next_turn(messages, cold))
    assert is_about(warm.cached, cold)
    assert f"replayed={cold.completion}" in warm.header
    assert chat(second, messages).cached == cold.prompt - 1


def test_a_kill_at_any_moment_loses_little_and_answers_stay_right(serve):
    messages = [{"role": "system", "content": prompt("base", 2000)}]
    server = serve()
    base = chat(server, [*messages, *ask("settle")])
    time.sleep(SETTLED_SECONDS)
    for i, pause in enumerate([0, 0.01, 0.05, 0.2, 0.6, 1.2]):
        turn = [*messages, *ask(prompt(f"moment {i}", 400))]
        chat(server, turn)
        time.sleep(pause)
        server.kill()
        server = serve()
        warm = chat(server, turn)
        assert warm.text == "I am a script."
        assert warm.cached >= (base.prompt - 20) // 64 * 64
    assert "unsound" not in server.log.read_text()


def test_random_kills_under_load_do_no_harm(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "kill_test.py"), "10", "--binary", BINARY, "--model", str(SMOLLM2)]
    command += ["--seconds-between", "0.2", "3.8", "--seed", "10", "--folder", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stdout + run.stderr
    assert ": 0 violations" in run.stdout


def until_text(reply):
    """Reads a stream's chunks up to the first with text in it: the prompt has been read whole by then. The chunk with
    the role comes before."""
    for line in reply.iter_lines():
        if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
            return
    raise AssertionError("the stream ended without text")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_prompt_of_a_cancelled_request_is_kept(serve, end):
    messages = ask(prompt("cancelled") + " slowly")
    first = serve()
    body = {"model": "default", "messages": messages, "temperature": 0, "stream": True}
    with httpx.stream("POST", first.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        until_text(reply)
    first.wait_metric("kvasir:requests_cancelled_total", lambda count: count == 1)
    if end == "kill":
        time.sleep(SETTLED_SECONDS)
        first.kill()
    else:
        stopped(first)
    warm = chat(serve(), messages, max_tokens=3)
    assert warm.cached == warm.prompt - 1


# ---- who sees what ----


def test_keys_do_not_see_what_others_cached(serve):
    keys = ["--api-key", KEY, "--api-key", "other-key"]
    messages = ask(prompt("keys"))
    first = serve(*keys)
    cold = chat(first, messages, key=KEY)
    assert chat(first, messages, key="other-key").cached == 0
    stopped(first)
    second = serve(*keys, "--api-key", "third-key")
    assert chat(second, messages, key="third-key").cached == 0
    assert chat(second, messages, key=KEY).cached == cold.prompt - 1
    assert chat(second, messages, key="other-key").cached == cold.prompt - 1


def test_keys_that_share_see_what_others_cached(serve):
    keys = ["--api-key", KEY, "--api-key", "other-key", "--share-cache"]
    messages = ask(prompt("shared keys"))
    first = serve(*keys)
    cold = chat(first, messages, key=KEY)
    stopped(first)
    assert chat(serve(*keys), messages, key="other-key").cached == cold.prompt - 1


def test_a_cache_salt_separates(serve):
    messages = ask(prompt("salt") + " oddly")
    salted = {"extra_body": {"cache_salt": "one"}}
    first = serve()
    cold = chat(first, messages, **salted)
    stopped(first)
    second = serve()
    turn = next_turn(messages, cold)
    for others in [{}, {"extra_body": {"cache_salt": "two"}}]:
        other = chat(second, turn, **others)
        assert other.cached == 0
        assert "replayed=0" in other.header
    assert is_about(chat(second, turn, **salted).cached, cold)


def test_an_uncached_request_reads_everything(serve):
    messages = ask(prompt("uncached"))
    first = serve()
    chat(first, messages)
    uncached = {"extra_body": {"cache_prompt": False}}
    assert chat(first, messages, **uncached).cached == 0
    stopped(first)
    second = serve()
    assert chat(second, messages, **uncached).cached == 0
    assert second.metric("kvasir:loaded_tokens_total") == 0


def test_a_folder_of_one_key_serves_no_keyless_server(serve):
    messages = ask(prompt("keyed"))
    first = serve("--api-key", KEY)
    chat(first, messages, key=KEY)
    stopped(first)
    assert chat(serve(), messages).cached == 0


def test_no_key_is_written_and_others_may_not_read(serve, folder):
    first = serve("--api-key", KEY)
    chat(first, ask(prompt("clear")), key=KEY)
    stopped(first)
    for path in folder.iterdir():
        assert KEY.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path
    assert folder.stat().st_mode & 0o077 == 0


# ---- two processes ----


def test_a_second_process_reads_only_and_does_no_harm(serve, folder):
    messages = ask(prompt("two"))
    first = serve()
    cold = chat(first, messages)
    time.sleep(SETTLED_SECONDS)
    second = serve()
    assert second.log.read_text().count("another process writes the KV cache") == 1
    assert second.metric("kvasir:disk_read_only") == 1
    warm = chat(second, next_turn(messages, cold))
    assert is_about(warm.cached, cold)
    chat(second, ask(prompt("of the second")))
    later = ask(prompt("later"))
    after = chat(first, later)
    second.kill()
    stopped(first)
    verified = cache("verify", folder)
    assert verified.returncode == 0, verified.stdout
    third = serve()
    assert chat(third, messages).cached == cold.prompt - 1
    assert chat(third, later).cached == after.prompt - 1
    assert chat(third, ask(prompt("of the second"))).cached < 64


# ---- full and closed disks ----


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, 256 << 10))


def test_a_disk_that_takes_no_more_is_told_once_and_the_server_goes_on(serve, folder):
    server = serve(popen={"preexec_fn": limit_files})
    answers = [(i, chat(server, ask(prompt(f"full {i}", 800)))) for i in range(8)]
    server.wait_metric("kvasir:disk_writes_stopped", lambda stopped: stopped == 1)
    for i, before in answers:
        again = chat(server, ask(prompt(f"full {i}", 800)))
        assert (again.text, again.cached) == ("I am a script.", before.prompt - 1)
    time.sleep(1.5)
    warnings = [line for line in server.log.read_text().splitlines() if re.search(r" (warning|error) ", line)]
    assert len(warnings) == 1, warnings
    stopped(server)
    assert cache("verify", folder).returncode == 0
    # There is room again: what was written is found, and writing goes on.
    second = serve()
    assert chat(second, ask(prompt("full 0", 800))).cached == answers[0][1].prompt - 1
    chat(second, ask(prompt("room again")))
    stopped(second)
    third = serve()
    warm = chat(third, ask(prompt("room again")))
    assert warm.cached == warm.prompt - 1


@pytest.mark.parametrize("disk", ["1KB", "9KB", "100KB"])
def test_a_tiny_budget_is_kept_and_nothing_fails(serve, folder, disk):
    server = serve(disk=disk)
    for i in range(6):
        assert chat(server, ask(prompt(f"tiny {i}", 800))).text == "I am a script."
    stopped(server)
    segments = sum(path.stat().st_blocks * 512 for path in folder.glob("seg-*"))
    assert segments <= max(int(disk[:-2]) << 10, PAGE)
    assert " error " not in server.log.read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_told_once_and_read(serve, folder):
    messages = ask(prompt("closed"))
    first = serve()
    cold = chat(first, messages)
    stopped(first)
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        second = serve()
        assert chat(second, messages).cached == cold.prompt - 1
        assert chat(second, ask(prompt("more"))).text == "I am a script."
        stopped(second)
    finally:
        folder.chmod(0o700)


def test_a_folder_that_is_a_file_is_told_and_the_server_goes_on(serve, folder):
    folder.write_text("not a folder")
    server = serve()
    assert chat(server, ask("Hello")).text == "I am a script."
    assert "warn" in server.log.read_text()


# ---- budget ----


def test_the_folder_stays_within_its_budget(serve, folder):
    budget = 64 << 20
    first = serve(disk="64MB")
    largest = 0
    # A block of 64 tokens takes two pages here, so that this is twice the budget.
    tokens = 0
    conversation = 0
    while tokens / 64 * 2 * PAGE < 2 * budget:
        tokens += chat(first, ask(prompt(f"budget {conversation}", 8000)), max_tokens=2).prompt
        conversation += 1
        largest = max(largest, folder_bytes(folder))
    stopped(first)
    largest = max(largest, folder_bytes(folder))
    assert budget / 2 < largest <= 1.05 * budget
    assert cache("verify", folder).returncode == 0
    second = serve(disk="64MB")
    assert folder_bytes(folder) <= 1.05 * budget
    last = chat(second, ask(prompt(f"budget {conversation - 1}", 8000)), max_tokens=2)
    assert last.cached == last.prompt - 1
    stopped(second)
    # A smaller budget is kept from its start on.
    third = serve(disk="16MB")
    assert folder_bytes(folder) <= 1.05 * (16 << 20)
    last = chat(third, ask(prompt(f"budget {conversation - 1}", 8000)), max_tokens=2)
    assert last.cached == last.prompt - 1


def test_the_number_of_conversations_is_bounded(serve, folder):
    first = serve("--cache-conversations", "3")
    for i in range(7):
        chat(first, ask(prompt(f"bounded {i}")))
        time.sleep(0.3)  # an idle engine saves the conversation's end
    assert first.metric("kvasir:disk_conversations") <= 3
    stopped(first)
    assert len(listed(folder)) == 3
    second = serve("--cache-conversations", "3")
    found = [chat(second, ask(prompt(f"bounded {i}"))) for i in (6, 5, 4)]
    assert all(answer.cached == answer.prompt - 1 for answer in found)
    assert chat(second, ask(prompt("bounded 0"))).cached < 64


def test_short_conversations_are_not_kept(serve, folder):
    first = serve("--cache-min-tokens", "400")
    chat(first, ask(prompt("short", 50)))
    long = chat(first, ask(prompt("long", 400)))
    stopped(first)
    (tokens,) = listed(folder)
    assert is_about(tokens, long)


class MlxTextgen(Server):
    """`mlx_textgen serve`, which has neither a scripted executor nor a folder's option."""

    def __init__(self, folder, model, *arguments):
        self.choose_port(folder)
        program = pathlib.Path(BINARY).with_name("mlx_textgen")
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
        self.launch([program, "serve", "-m", model, "-p", str(self.port), *arguments], {"env": environment})
        self.wait_ready()


@pytest.mark.real
def test_mlx_textgen_bounds_what_it_keeps(tmp_path):
    arguments = ["--max-capacity", "2", "--min-tokens", "200"]
    first = MlxTextgen(tmp_path, SMOLLM2, *arguments)
    chat(first, ask("Hello"), max_tokens=4)
    for i in range(4):
        last = chat(first, ask(prompt(f"mlx {i}", 150)), max_tokens=4)
        time.sleep(0.5)
    stopped(first)
    kept = listed(tmp_path / "kvasir" / "kv")
    assert len(kept) == 2
    assert min(kept) >= 200
    second = MlxTextgen(tmp_path, SMOLLM2, *arguments)
    assert chat(second, ask(prompt("mlx 3", 150)), max_tokens=4).cached == last.prompt - 1
    stopped(second)


# ---- kvasir cache ----


@pytest.fixture
def filled(serve, folder):
    """A folder with three conversations of a stopped server, and what they took."""
    server = serve()
    answers = [chat(server, ask(prompt(f"filled {i}", 200 * (i + 1)))) for i in range(3)]
    stopped(server)
    return answers


def test_ls_lists_every_conversation_with_its_tokens_newest_first(filled, folder):
    assert all(map(is_about, listed(folder), filled[::-1]))
    shown = cache("ls", folder, "--most", "1").stdout
    assert "and 2 more" in shown
    assert "smollm2" in shown


def test_stats_count_what_is_there(filled, folder):
    shown = cache("stats", folder)
    assert shown.returncode == 0
    records = sum(-(-tokens // 64) for tokens in listed(folder))
    assert f"{records} records, 3 conversations" in shown.stdout
    assert "not served" not in shown.stdout


def test_looking_at_a_folder_that_a_server_writes_is_allowed(serve, folder):
    server = serve()
    chat(server, ask(prompt("looked at")))
    time.sleep(SETTLED_SECONDS)
    assert len(listed(folder)) == 1
    assert cache("verify", folder).returncode == 0
    refused = cache("prune", folder, "--keep", "0")
    assert refused.returncode != 0
    assert "another process" in refused.stderr + refused.stdout
    assert len(listed(folder)) == 1


def record_pages(segment):
    data = segment.read_bytes()
    return [at for at in range(PAGE, len(data), PAGE) if data[at : at + 8] == b"KVASIRRC"]


def flip(segment, at):
    with segment.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("place", ["payload", "header", "segment header"])
def test_verify_finds_a_flipped_byte_and_the_server_does_not_serve_it(filled, serve, folder, place):
    assert cache("verify", folder).returncode == 0
    (segment,) = folder.glob("seg-*.kvs")
    record = record_pages(segment)[4]
    at = {"payload": record + PAGE + 100, "header": record + 130, "segment header": 60}[place]
    flip(segment, at)
    verified = cache("verify", folder)
    assert verified.returncode == 1, verified.stdout
    assert segment.name in verified.stdout
    server = serve()
    found = [chat(server, ask(prompt(f"filled {i}", 200 * (i + 1)))) for i in range(3)]
    assert all(answer.text == "I am a script." for answer in found)
    whole = [answer.cached == answer.prompt - 1 for answer in found]
    assert whole.count(False) == (3 if place == "segment header" else 1)
    stopped(server)
    # What was unsound has been read and written again.
    second = serve()
    for i in range(3):
        again = chat(second, ask(prompt(f"filled {i}", 200 * (i + 1))))
        assert again.cached == again.prompt - 1


def test_a_truncated_segment_serves_what_is_left(filled, serve, folder):
    (segment,) = folder.glob("seg-*.kvs")
    os.truncate(segment, record_pages(segment)[-3] + 1000)
    server = serve()
    found = [chat(server, ask(prompt(f"filled {i}", 200 * (i + 1)))) for i in range(3)]
    assert all(answer.text == "I am a script." for answer in found)
    assert [answer.cached == answer.prompt - 1 for answer in found] == [True, True, False]
    assert found[2].cached > 300


def test_prune_shrinks_to_what_may_stay(filled, serve, folder):
    before = folder_bytes(folder)
    keep = 80_000
    pruned = cache("prune", folder, "--keep", keep)
    assert pruned.returncode == 0, pruned.stderr
    assert "given back" in pruned.stdout
    after = sum(path.stat().st_blocks * 512 for path in folder.glob("seg-*"))
    assert after <= keep < before
    assert cache("verify", folder).returncode == 0
    assert chat(serve(), ask(prompt("filled 0", 200))).text == "I am a script."


def test_clear_removes_everything(filled, serve, folder):
    assert cache("clear", folder).returncode == 0
    assert listed(folder) == []
    assert not list(folder.glob("seg-*")) and not list(folder.glob("replay-*.log"))
    assert chat(serve(), ask(prompt("filled 2", 600))).cached == 0


def test_what_was_exported_is_found_where_it_is_imported(filled, serve, folder, tmp_path):
    exported = tmp_path / "exported.kvs"
    out = cache("export", folder, exported)
    assert out.returncode == 0, out.stderr
    records = sum(-(-tokens // 64) for tokens in listed(folder))
    assert f"{records} records written to" in out.stdout
    other = tmp_path / "other"
    into = cache("import", other, exported)
    assert into.returncode == 0, into.stderr
    assert f"{records} records taken from" in into.stdout
    assert "0 records taken from" in cache("import", other, exported).stdout
    assert cache("verify", other).returncode == 0
    server = serve(place=other)
    for i, before in enumerate(filled):
        assert chat(server, ask(prompt(f"filled {i}", 200 * (i + 1)))).cached == before.prompt - 1


def test_a_file_that_is_no_export_is_refused(filled, folder, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_bytes(os.urandom(100_000))
    before = listed(folder)
    refused = cache("import", folder, wrong)
    assert refused.returncode != 0
    assert refused.stderr
    assert cache("import", folder, tmp_path / "missing").returncode != 0
    assert listed(folder) == before


def test_an_empty_folder_is_no_error(folder):
    folder.mkdir()
    shown = cache("ls", folder).stdout
    assert shown.startswith("nothing is kept") and len(shown.splitlines()) == 1
    for command in ["stats", "verify", "clear"]:
        assert cache(command, folder).returncode == 0


# ---- a real model ----


@pytest.mark.real
@pytest.mark.parametrize("kv_type", ["f16", "q8"])
def test_answers_from_disk_are_the_cold_answers_bit_for_bit(serve, kv_type):
    arguments = ["--kv-type", kv_type, "--memory", "2GB", "--ctx", "4096"]
    messages = ask(prompt("real", 200) + " What is the capital of France?")
    options = {"max_tokens": 24, "logprobs": True, "top_logprobs": 5}
    first = serve(*arguments, model=SMOLLM2)
    cold = chat(first, messages, **options)
    turn = next_turn(messages, cold, "Name another city.")
    cold_turn = chat(first, turn, **options)
    stopped(first)
    second = serve(*arguments, model=SMOLLM2)
    warm = chat(second, messages, **options)
    assert warm.cached == warm.prompt - 1
    assert (warm.text, warm.logprobs) == (cold.text, cold.logprobs)
    stopped(second)
    third = serve(*arguments, model=SMOLLM2)
    warm_turn = chat(third, turn, **options)
    assert warm_turn.cached == warm_turn.prompt - 1
    assert (warm_turn.text, warm_turn.logprobs) == (cold_turn.text, cold_turn.logprobs)
    # Against a server that has never seen it.
    never = serve(*arguments, place=first.log.with_name("never"), model=SMOLLM2)
    fresh = chat(never, turn, **options)
    assert fresh.cached == 0
    assert (fresh.text, fresh.logprobs) == (cold_turn.text, cold_turn.logprobs)

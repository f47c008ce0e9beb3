"""Claude Code's sessions: the next one, a resumed one, one on another day, a compacted one, one that gets more tools. Only what
changed is read again, and the explanation names it."""

import json
import pathlib
import subprocess
import sys

from claude_code import CLOSING_TOKENS, bash, calls, needs_claude
from claude_code import claude, scripted  # noqa: F401

pytestmark = needs_claude
SUMMARY = "The user greeted, and was answered."
NOTES = pathlib.Path(__file__).with_name("mcp_notes.py")
RULES = [
    {"reply": "I can help with that."},
    {"when": "first question", "reply": "This is the first answer."},
    {"when": "run something", "reply": calls(bash("echo it ran"))},
    {"when": "it ran", "reply": "It did."},
    {"when": "fetch a page", "reply": calls(("ToolSearch", {"query": "select:WebFetch", "max_results": 5}))},
    {"when": "tool WebFetch can be called", "reply": "I have the tool now."},
    {"when": "read the note", "reply": calls(("ToolSearch", {"query": "select:mcp__notes__read_note", "max_results": 5}))},
    {"when": "tool mcp__notes__read_note can be called", "reply": calls(("mcp__notes__read_note", {"name": "today"}))},
    {"when": "buy milk", "reply": "Milk is to be bought."},
    {"when": "Your task is to create a detailed summary", "reply": f"<analysis>\nLittle.\n</analysis>\n<summary>\n{SUMMARY}\n</summary>"},
]


def test_the_next_session_reads_its_question(claude):
    claude.ask("first question")
    said, (asked,) = claude.ask("another question")
    assert said == "I can help with that."
    assert asked.read <= claude.count_from(asked, "another question")
    assert asked.new_from == "messages[0]"
    _, again = claude.ask("another question")
    assert again[0].read == 1, "the same question: a prompt's last token is read in any case"


def test_a_session_goes_on(claude):
    _, asked = claude.ask("first question")
    _, more = claude.ask("run something", "--continue", "--allowedTools", "Bash")
    _, last = claude.ask("thank you", "--resume", asked[0].session)
    asked += more + last
    assert [len(exchange.body["messages"]) for exchange in asked] == [2, 4, 6, 8]
    assert len({exchange.session for exchange in asked}) == 1
    claude.read_only_new(asked)


def test_one_process_and_several_questions(claude):
    streams = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    process = claude.start("", *streams, "--allowedTools", "Bash", stdin=subprocess.PIPE)
    results = []
    for question in ["first question", "run something", "thank you"]:
        print(json.dumps({"type": "user", "message": {"role": "user", "content": question}}), file=process.stdin, flush=True)
        while (event := json.loads(process.stdout.readline()))["type"] != "result":
            pass
        results.append(event["result"])
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    assert results == ["This is the first answer.", "It did.", "I can help with that."]
    claude.read_only_new(claude.recorder.exchanges)


def test_another_day(claude):
    # The furthest east and west are never on the same date.
    _, (today,) = claude.ask("first question", env={"TZ": "Etc/GMT-14"})
    _, (other_day,) = claude.ask("first question", env={"TZ": "Etc/GMT+12"})
    dates = [exchange.body["messages"][1]["content"][0]["text"].rpartition("Today's date is ")[2] for exchange in (today, other_day)]
    assert len(dates[0]) == len("2026-01-01.") and dates[0] != dates[1]
    # The date, the end of its turn and the opening of the next, and the question with what the client says in front of it.
    assert other_day.new_from == "messages[1]"
    question = other_day.body["messages"][0]["content"][0]["text"]
    assert other_day.read <= len("2026-01-01.") + CLOSING_TOKENS + claude.count_from(other_day, question)


def test_a_changed_git_status(claude):
    work = claude.make_folder("repository")
    git = "git init -q . && git config user.email a@b.c && git config user.name n && echo hi >a && git add a && git commit -qm one"
    subprocess.run(git, shell=True, cwd=work, check=True)
    (work / "CLAUDE.md").write_text("Be terse. " * 50)
    claude.ask("first question", work=work)
    (work / "another-file").touch()
    _, (asked,) = claude.ask("first question", work=work)
    assert "another-file" in json.dumps(asked.body["messages"][0])
    assert asked.new_from == "messages[0]"
    # Not CLAUDE.md, which stands in front of it.
    assert asked.read <= claude.count_from(asked, "another-file") + 3
    _, on = claude.ask("thank you", "--continue", work=work)
    claude.read_only_new([asked, *on])


def found_its_head(claude, exchange):
    """System prompt and tools, which is all that a compacted conversation has in common with the one before."""
    head = dict(exchange.body, messages=[{"role": "user", "content": ""}])
    return exchange.cached >= claude.count(head) - CLOSING_TOKENS - 3  # the opening of the user's turn is the summary's as well


def test_compaction(claude):
    claude.ask("first question")
    _, before = claude.ask("run something", "--continue", "--allowedTools", "Bash")
    _, (compacting,) = claude.ask("/compact", "--continue")
    claude.read_only_new(before)
    # The client leaves the last answer out, and asks for the summary in its place: new from "assistant\n" on.
    assert compacting.cached >= before[-1].prompt - 2
    _, after = claude.ask("another question", "--continue")
    assert SUMMARY in json.dumps(after[0].body["messages"])
    assert found_its_head(claude, after[0]) and after[0].new_from == "messages[0]"
    _, on = claude.ask("thank you", "--continue")
    claude.read_only_new([*after, *on])


def test_automatic_compaction(claude):
    small = {"CLAUDE_CODE_MAX_CONTEXT_TOKENS": "32000", "CLAUDE_AUTOCOMPACT_PCT_OVERRIDE": "10"}
    _, (asked, compacting, after) = claude.ask("run something", "--allowedTools", "Bash", env=small)
    assert [exchange.stop for exchange in (asked, compacting)] == ["tool_use", "end_turn"]
    claude.read_only_new([asked, compacting])
    assert SUMMARY in json.dumps(after.body["messages"])
    assert found_its_head(claude, after) and after.new_from.startswith("messages[")


def test_a_tool_that_is_searched_for(claude):
    said, asked = claude.ask("fetch a page", "--allowedTools", "ToolSearch")
    assert said == "I have the tool now."
    assert "WebFetch" not in asked[0].tools and "WebFetch" in asked[1].tools
    claude.read_only_new(asked)
    assert asked[1].new_from == "messages[3]", "where the tool is described, and not where the client lists it"
    _, more = claude.ask("thank you", "--continue")
    claude.read_only_new([*asked, *more])


def test_a_server_of_tools_added_in_mid_session(claude):
    config = claude.folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"notes": {"command": sys.executable, "args": [str(NOTES)]}}}))
    _, before = claude.ask("first question")
    arguments = ["--continue", "--mcp-config", str(config), "--allowedTools", "mcp__notes__read_note,ToolSearch"]
    said, asked = claude.ask("read the note", *arguments)
    assert said == "Milk is to be bought."
    assert [exchange.stop for exchange in asked] == ["tool_use", "tool_use", "end_turn"]
    claude.read_only_new(before + asked)


def test_fewer_tools_are_another_prompt(claude):
    _, (before,) = claude.ask("first question")
    _, (asked,) = claude.ask("thank you", "--continue", "--disallowedTools", "Read")
    at = before.tools.index("Read")
    assert asked.tools == before.tools[:at] + before.tools[at + 1 :]
    assert asked.new_from == f"tools[{at}]"

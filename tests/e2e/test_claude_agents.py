"""Claude Code's sub-agents: several of one session at once, and the parent that waits for them."""

from claude_code import CLOSING_TOKENS, calls, needs_claude
from claude_code import claude, scripted  # noqa: F401
from test_cache_admin import Admin

pytestmark = needs_claude
NAMES = ["one", "two", "three"]


def agent(name):
    return "Agent", {"description": name, "prompt": f"subtask {name}", "subagent_type": "general-purpose", "run_in_background": False}


RULES = [
    {"reply": "I can help with that."},
    {"when": "ask agents", "reply": calls(*map(agent, NAMES))},
    *[{"when": f"subtask {name}", "reply": calls(("Bash", {"command": f"echo ran {name}", "description": "Runs"}))} for name in NAMES],
    *[{"when": f"ran {name}", "reply": f"Sub {name} is done."} for name in NAMES],
    {"when": "Sub one is done", "reply": "All are done."},
]


def test_three_agents_at_once(claude):
    said, asked = claude.ask("ask agents", "--allowedTools", "Agent,Bash")
    assert said == "All are done."
    by_agent = {}
    for exchange in asked:
        by_agent.setdefault(exchange.agent, []).append(exchange)
    assert [len(own) for own in by_agent.values()] == [2] * (1 + len(NAMES))
    assert len({exchange.session for exchange in asked}) == 1
    # They begin at the same moment with the same system prompt and tools, which one of them reads.
    *others, most = sorted(own[0].read for agent, own in by_agent.items() if agent)
    assert max(others) <= CLOSING_TOKENS + 3, most
    for own in by_agent.values():
        claude.read_only_new(own)
    # Each is a family of its own, by which it is kept or let go.
    listed = Admin(claude.server).get("/conversations")["memory"]["data"]
    families = {one["prompt_cache_key"] for one in listed}
    session = asked[0].session
    assert {session} | {f"{session}/{agent}" for agent in by_agent if agent} <= families



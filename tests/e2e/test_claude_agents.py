"""Claude Code's sub-agents: several of one session at once, and the parent that waits for them."""

from claude_code import Claude, calls, needs_claude
from claude_code import claude as claude

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
        print(exchange.agent, exchange.prompt, exchange.read, exchange.cache, {k: v for k, v in exchange.headers.items() if k.startswith("x-claude")})
    assert len(by_agent) == 1 + len(NAMES)
    for own in by_agent.values():
        claude.read_only_new(own)

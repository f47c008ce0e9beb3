"""The agent session that is measured: a coding agent's system prompt, twelve tools, ten questions, what the tools answer.

Written for this benchmark, the same on every run. Fixed before anything was measured: the questions are one sentence, as
people type them; a tool's answer is a hit, a status or a few lines, as agents get them most of the time.
"""

import random

ROLE = """You are a careful programming agent. You work in a terminal on one repository, together with the person who owns it.

How you work:
- Read before you write. Look at the code around a change, at its tests and at who calls it.
- Say in one sentence what you are about to do, then do it. Do not announce what you will not do.
- Make the smallest change that solves the whole problem. Leave unrelated code as it is, even where it could be nicer.
- When a test fails, find the reason before you change anything. A test is right until you have shown that it is not.
- Run the tests of what you changed. If you could not run them, say so plainly.
- Answer questions about the code with the file and the line that shows it.
- Ask only when two readings of a request lead to different work and the repository does not decide between them.

How you write:
- Short sentences, no praise, no apologies, no emoji. Code in fences with the language named.
- Figures with their unit. Times in UTC. Paths relative to the root of the repository.
- When you are done, stop. A summary has at most three lines.

What you never do:
- Push, publish, delete branches or change the history, unless you were asked for exactly that.
- Write secrets into files, logs or answers. If you see one, say where it is and not what it is.
- Turn off a check, a warning or a test to make a run pass.
- Touch files under `third_party/` or generated files; change what they are made from.

About the repository: `harbour` collects the readings of weather buoys, checks them, keeps them and serves them. Buoys send
packets over a slow radio link, in bursts and often twice. The ingest service takes packets apart and drops what is damaged. The
store keeps readings in columns by buoy and day. The query service answers over HTTP. The alarm service watches thresholds. The
tools that people at sea use are in `cli/`. All services are C++20, the dashboards are TypeScript, the deployment is Python.
"""

HABITS = [
    ("Naming", "a {kind} is named after what it {verb}, not after how; the unit comes last, as in `{example}`"),
    ("Errors", "a {kind} that can fail returns a Result and says what it was given; it {verb} nothing before it has checked, as in `{example}`"),
    ("Tests", "every {kind} has a test that {verb} the odd case first; the test's name is a sentence, as in `{example}`"),
    ("Limits", "no {kind} grows without a bound; what it {verb} beyond it is counted and dropped, as in `{example}`"),
    ("Threads", "a {kind} belongs to one thread; others hand it messages and it {verb} them in order, as in `{example}`"),
    ("Logging", "a {kind} logs once what it {verb}, with the buoy and the sequence number, as in `{example}`"),
]
KINDS = ["parser", "queue", "reader", "writer", "cache", "timer", "index", "codec", "probe", "session"]
VERBS = ["keeps", "checks", "sends", "merges", "drops", "orders", "counts", "rounds", "signs", "repairs"]
PLACES = ["ingest", "store", "query", "alarm", "cli", "radio", "calibration", "export", "dashboard", "deploy"]
THINGS = ["packet", "reading", "column", "threshold", "checksum", "schedule", "station", "gap", "retry", "window", "batch", "header", "ledger", "cursor", "beacon"]
REASONS = [
    "since two buoys share a serial number",
    "because the radio link repeats bursts",
    "so that a restart loses nothing",
    "as the day ends at midnight UTC",
    "for stations that report in knots",
    "until the old dashboards are gone",
    "to keep the hot path free of locks",
    "because the sensor saturates in ice",
]


def habits(rng, count):
    lines = []
    for i in range(count):
        title, sentence = HABITS[i % len(HABITS)]
        example = f"{rng.choice(THINGS)}_{rng.choice(THINGS)}_{rng.choice(['ms', 'bytes', 'count', 'knots', 'hpa'])}"
        lines.append(f"{i + 1}. {title}: " + sentence.format(kind=rng.choice(KINDS), verb=rng.choice(VERBS), example=example) + ".")
    return lines


def repository_map(rng, count):
    lines = []
    for _ in range(count):
        place, thing, kind = rng.choice(PLACES), rng.choice(THINGS), rng.choice(KINDS)
        suffix = {"dashboard": "ts", "deploy": "py"}.get(place, rng.choice(["cpp", "h"]))
        lines.append(f"- `{place}/{thing}_{kind}.{suffix}` ({rng.randint(40, 480)} lines): {rng.choice(VERBS)} each {rng.choice(THINGS)} of a {rng.choice(THINGS)}, {rng.choice(REASONS)}.")
    return lines


def system_prompt(map_lines):
    rng = random.Random(20)
    parts = [ROLE, "# Habits of this repository\n", *habits(rng, 48), "\n# Map of the repository\n", *repository_map(rng, map_lines)]
    return "\n".join(parts) + "\n"


# 9,600 tokens of Qwen2.5's vocabulary with the tools, and without them.
SYSTEM_WITH_TOOLS = system_prompt(181)
SYSTEM_WITHOUT_TOOLS = system_prompt(264)


def text(description, **more):
    return {"type": "string", "description": description, **more}


def number(description, **more):
    return {"type": "integer", "description": description, **more}


def tool(name, description, required, **properties):
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


PATH = "Path of the file, relative to the root of the repository. Paths that leave the repository are refused."
TOOLS = [
    tool(
        "read_file",
        "Reads a text file of the repository and returns its lines with their numbers. Reads at most 2000 lines at a time; for a longer file give first_line and "
        "line_count and read it in parts. Files that are not text are refused with their size and type. Prefer this to showing files with run_command: it is "
        "faster, cannot change anything, and does not need the owner's consent.",
        ["path"],
        path=text(PATH),
        first_line=number("The first line to return, counted from 1. Default: 1.", minimum=1),
        line_count=number("How many lines to return at most. Default: 2000.", minimum=1, maximum=2000),
    ),
    tool(
        "write_file",
        "Writes a whole file, making folders that are missing. An existing file is replaced, so read it first. Use it for new files and for files that change nearly "
        "everywhere; for small changes use edit_file, which is easier to review. Files end with one newline; trailing spaces are removed.",
        ["path", "content"],
        path=text(PATH),
        content=text("The whole new content of the file."),
    ),
    tool(
        "edit_file",
        "Replaces a piece of text in a file by another. The old text must be found exactly once, spaces and line ends included; give enough lines around it to make "
        "it unique, or set every to replace each of its places. Returns the changed lines. The file must have been read in this conversation before.",
        ["path", "old_text", "new_text"],
        path=text(PATH),
        old_text=text("The text to replace, exactly as it stands in the file, without line numbers."),
        new_text=text("What stands there afterwards; empty to delete."),
        every={"type": "boolean", "description": "Replace every place instead of exactly one. Default: false."},
    ),
    tool(
        "find_text",
        "Searches the files of the repository for a regular expression and returns matching lines as path:line: text. Respects the ignore file. Returns at most 50 "
        "lines and says how many more there are; narrow the search by folder or file_pattern rather than asking for more. Searching for a name with word borders finds "
        "its uses faster than reading the files.",
        ["pattern"],
        pattern=text("A regular expression in RE2's syntax, matched line by line."),
        folder=text("Folder to search in, relative to the root. Default: the whole repository."),
        file_pattern=text("Only files whose name matches this glob, for example *.cpp or *_test.py."),
        ignore_case={"type": "boolean", "description": "Whether upper and lower case are the same. Default: false."},
    ),
    tool(
        "list_files",
        "Lists files and folders, folders first, with sizes. Goes as deep as asked and leaves out what the ignore file names. Use it to get to know a part of the "
        "repository; to find a file by its name, give name_pattern.",
        ["folder"],
        folder=text("Folder to list, relative to the root; a dot for the root itself."),
        name_pattern=text("Only names that match this glob."),
        depth=number("How many levels to go down. Default: 1.", minimum=1, maximum=8),
    ),
    tool(
        "run_command",
        "Runs a command in a shell at the root of the repository and returns its output and exit code. The command has no terminal and no network. Output beyond 30,000 "
        "characters is cut in the middle. Commands that write outside of the repository, or that run longer than the time limit, are stopped. Quote paths with spaces. "
        "Do not use it for reading, searching or editing files: there are tools for that, which the owner does not have to allow one by one.",
        ["command", "reason"],
        command=text("The command line, in the syntax of bash."),
        reason=text("One sentence for the owner: what the command does and why it is needed."),
        time_limit_seconds=number("After how many seconds it is stopped. Default: 120.", minimum=1, maximum=1800),
    ),
    tool(
        "run_tests",
        "Builds what has changed and runs tests. Without a filter all tests of the named service run. Returns the number of tests that passed and failed, and for each "
        "failed one its name, the place and the message. Sanitizers can be asked for; they take three times as long.",
        ["service"],
        service=text("Whose tests to run.", enum=["ingest", "store", "query", "alarm", "cli", "all"]),
        filter=text("Only tests whose names match this pattern; an asterisk stands for anything."),
        sanitizer=text("Build with this sanitizer. Default: none.", enum=["none", "address", "thread"]),
    ),
    tool(
        "git_status",
        "Shows the current branch, how far it is from its upstream, and the files that are changed, staged or not tracked. Changes nothing.",
        [],
        with_differences={"type": "boolean", "description": "Also return the differences of changed files. Default: false."},
    ),
    tool(
        "git_log",
        "Lists commits, newest first, with short hash, date, author and subject. Can be narrowed to a file or folder and to a time. Use it to learn why a line is as it is "
        "before changing it.",
        [],
        path=text("Only commits that touch this file or folder."),
        since=text("Only commits after this date, as YYYY-MM-DD."),
        count=number("How many commits to list at most. Default: 10.", minimum=1, maximum=200),
    ),
    tool(
        "query_readings",
        "Asks the staging store for readings of one buoy in a span of time and returns them as a table with time, sensor, value, unit and quality flag. At most 500 rows; "
        "a longer span is thinned evenly and the answer says so. Staging holds a copy of last week's data with the owners' names removed.",
        ["buoy", "sensor", "from", "to"],
        buoy=text("The buoy's identifier: three letters and four digits, like NOR0412."),
        sensor=text("Which sensor.", enum=["wind_speed", "wind_direction", "pressure", "water_temperature", "wave_height"]),
        **{"from": text("Start of the span, in UTC, as YYYY-MM-DDTHH:MM."), "to": text("End of the span, in UTC, as YYYY-MM-DDTHH:MM.")},
    ),
    tool(
        "service_state",
        "Tells how a service on staging is doing: version, time since start, queue lengths, packets per second, the last error. Reads only. For production figures ask the "
        "owner; this tool has no access to them.",
        ["service"],
        service=text("Which service.", enum=["ingest", "store", "query", "alarm"]),
    ),
    tool(
        "ask_owner",
        "Puts a question to the owner of the repository and waits for the answer. Use it rarely: only when the request can be read in two ways that lead to different work, "
        "or before something that cannot be undone. Offer the choices that you see; the owner can always answer in own words.",
        ["question"],
        question=text("The question, in one or two sentences, with what depends on it."),
        choices={"type": "array", "items": {"type": "string"}, "description": "Between two and four short answers to choose from."},
    ),
]

# The questions of a session; True: the client asks for a tool call first (tool_choice "required").
QUESTIONS = [
    ("What does the ingest service do with a packet that arrives twice?", False),
    ("Where is the checksum of a packet verified?", True),
    ("Is there a test for a packet with a wrong length?", True),
    ("Run the ingest tests, please.", True),
    ("Explain in two sentences why the gap test could fail only in winter.", False),
    ("Which files did I change since yesterday?", True),
    ("Show me the function that merges columns of two days.", True),
    ("Is the store on staging healthy?", True),
    ("Write a one-line commit message for the checksum fix.", False),
    ("Who changed the retry limit last, and when?", True),
]

QUESTIONS_WITHOUT_TOOLS = [
    ("What does the ingest service do with a packet that arrives twice?", False),
    ("Which part of it would you look at first if duplicates got through?", False),
    ("Write a C++ function that checks the length of a packet.", False),
    ("Add a limit of 512 bytes to it.", False),
    ("Explain in two sentences why the gap test could fail only in winter.", False),
    ("How would you test that without waiting for winter?", False),
    ("Sketch the struct of a column of readings.", False),
    ("What happens to it at midnight UTC?", False),
    ("Write a one-line commit message for the checksum fix.", False),
    ("Thanks. What should I look at tomorrow?", False),
]

# What a tool answers, whichever question it was called for.
TOOL_RESULTS = {
    "read_file": "88  if (!checksum_ok(frame)) {\n89    ++dropped_.bad_checksum;\n90    return Drop::kBadChecksum;\n91  }",
    "write_file": "written: 24 lines",
    "edit_file": "1 place changed, line 90",
    "find_text": "ingest/packet_parser.cpp:88: if (!checksum_ok(frame)) {\nno more matches",
    "list_files": "ingest/packet_parser.cpp 9.1 kB\ningest/packet_parser.h 2.2 kB",
    "run_command": "exit code 0, no output",
    "run_tests": "212 passed, 0 failed in 4.1 s",
    "git_status": "on main, 2 files changed: ingest/packet_parser.cpp, ingest/packet_parser_test.cpp",
    "git_log": "4f1c2aa 2026-10-30 R. Solheim: Retry a burst three times, not five",
    "query_readings": "2026-10-30T11:00 wind_speed 14.2 knots good",
    "service_state": "store 3.4.1, up 6 days, queue 0, 41 packets/s, no error",
    "ask_owner": "Yes, go on.",
}

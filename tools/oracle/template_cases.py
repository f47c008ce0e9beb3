"""Templates and conversations for make_text_golden.py: every construct that chat templates of current families use,
in templates written for this test."""

NOW = 1784109805  # 2026-07-15 10:03:25 UTC

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Wetter für \"Orte\" <b> & 'so' — 天气",
                                           "parameters": {"type": "object", "required": ["city"], "properties": {
                                               "city": {"type": "string", "enum": ["Oslo", "Málaga"]},
                                               "days": {"type": "integer", "default": 1, "maximum": 14.0}}}}},
         {"type": "function", "function": {"name": "noop", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Málaga", "days": 2, "x": 1.0}}},
    {"id": "c2", "type": "function", "function": {"name": "noop", "arguments": {}}}]}
U = {"role": "user", "content": "Hi <there> & \"you\"\n{{ not a template }}"}
A = {"role": "assistant", "content": "  Hello 🙂\n"}
S = {"role": "system", "content": "Be brief.\n"}
T = {"role": "tool", "tool_call_id": "c1", "content": "{\"t\": 21.50}"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]}

CONVERSATIONS = [
    {"messages": [U], "add_generation_prompt": True},
    {"messages": [S, U, A, U], "add_generation_prompt": True},
    {"messages": [S, U, A], "add_generation_prompt": False},
    {"messages": [S, U], "tools": TOOLS, "add_generation_prompt": True},
    {"messages": [U, CALL, T, T, A], "tools": TOOLS, "add_generation_prompt": False},
    {"messages": [S, U, CALL, T, U], "tools": TOOLS, "add_generation_prompt": True},
    {"messages": [U, S, A, S, U], "add_generation_prompt": True},
]

V = {"i": 3, "z": 0, "f": 1.0, "g": 0.1, "big": 1e22, "small": 1.5e-7, "n": None, "t": True, "s": "  Text with Words  ", "e": "",
     "l": [3, 1, 2], "d": {"b": 1, "a": {"c": [1, 2.0, None]}, "ü": "é\u2028\u007f\u0001"}, "o": [{"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "x"}],
     "messages": [S, U, CALL, T, PARTS, A], "tools": TOOLS, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}


def each(*sources):
    return [(s, V) for s in sources]


TEMPLATES = each(
    # Printing and numbers
    "{{ i }} {{ f }} {{ g }} {{ big }} {{ small }} {{ n }} {{ t }} [{{ e }}] [{{ missing }}]",
    "{{ l }} {{ d.a }}", "{{ i / 2 }} {{ i // 2 }} {{ i % 2 }} {{ i ** 2 }} {{ -i }} {{ f + 1 }} {{ i * 1.5 }}",
    "{{ 'a' ~ i ~ f ~ n ~ t }}", "{{ s + 'x' }} {{ 'ab' * 3 }}", "{{ i|string + 'x' }} {{ t|string }} {{ n|string }} {{ l|string }}",
    "{{ '7'|int + 1 }} {{ '2.5'|float }} {{ 'x'|int(5) }} {{ 2.7|round }} {{ 2.345|round(2) }} {{ (-3)|abs }}",
    # tojson
    "{{ d|tojson }}", "{{ d|tojson(indent=2) }}", "{{ tools|tojson(indent=4) }}", "{{ d|tojson(separators=(',', ':')) }}",
    "{{ d|tojson(sort_keys=true) }}", "{{ d|tojson(ensure_ascii=true) }}", "{{ [f, g, big, small, n, t, i, s] | tojson }}",
    "{{ {}|tojson(indent=2) }} {{ []|tojson(indent=2) }} {{ [[]]|tojson(indent=1) }}", "{{ \"<a href='x'>&\"|tojson }}", "{{ missing|tojson }}",
    "{{ messages[2].tool_calls[0].function.arguments|tojson }}", "{{ {'a': 1, 'b': [1.0, 2]}|tojson }} {{ (1, 2)|tojson }}",
    # Whitespace control
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if t -%}\n  b\n  {%- endif -%}\nc\n\n", "a {#- comment -#} b {# c #}\nd", "  {{ i }}  \n  {%+ if t %}x{% endif +%}\ny",
    "{% if t %}\n\nx{% endif %}\n\n", "x\n", "x\n\n", "{%- for x in l -%}\n {{ x }} \n{%- endfor -%}", "{% raw %}{{ x }} {% y %}{% endraw %}", "{{- ' a ' -}}  b",
    # Loops
    "{% for x in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.length }}{{ loop.first }}{{ loop.last }};{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}", "{% for x in l if x > 1 %}{{ x }},{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }};{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}", "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }}>{{ loop.nextitem.role if not loop.last }};{% endfor %}",
    "{% for m in messages[::-1] %}{{ m.role }} {% endfor %}{{ messages[-1].role }} {{ messages[1:3]|length }} {{ s[2:6] }} {{ s[-4:] }}",
    "{% for a in l %}{{ loop.cycle('x', 'y') }}{% for b in l %}{{ loop.depth }}{% endfor %}{% endfor %}", "{% for x in 'abc' %}{{ x }}-{% endfor %}",
    # Scope
    "{% set x = 1 %}{% for y in l %}{% set x = y %}{% endfor %}{{ x }}", "{% set ns = namespace(x=1, found=false) %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }} {{ ns.found }}",
    "{% set x %}block {{ i }}{% endset %}[{{ x }}]", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% if t %}{% set q = 5 %}{% endif %}{{ q }}",
    "{% macro m(a, b=2) %}[{{ a }}|{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b='x') }}", "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}in{% endcall %}",
    "{% with x = 5 %}{{ x }}{% endwith %}{{ x }}", "{% filter upper %}shout {{ s }}{% endfilter %}",
    # Tests
    "{{ s is string }} {{ d is mapping }} {{ l is iterable }} {{ l is sequence }} {{ i is number }} {{ n is none }} {{ missing is defined }} {{ missing is undefined }} {{ t is true }} {{ t is boolean }} {{ i is integer }} {{ f is float }} {{ i is odd }} {{ z is even }}",
    "{{ s is sequence }} {{ d is iterable }} {{ s is iterable }} {{ d is sequence }} {{ 'Text' in s }} {{ 1 in l }} {{ 'b' in d }} {{ 'q' not in d }} {{ i is eq 3 }} {{ i is divisibleby 3 }}",
    "{{ messages[4].content is string }} {{ messages[1].content is string }} {{ messages[0].tool_calls is defined }} {{ messages[0].tool_calls }}",
    "{{ i == 3.0 }} {{ f == 1 }} {{ t == 1 }} {{ n == false }} {{ '1' == 1 }} {{ l == [3, 1, 2] }} {{ 1 < 2 < 3 }}", "{{ n or 'x' }} {{ e or 'y' }} {{ z and 1 }} {{ not n }} {{ l and 'full' }}",
    # Filters
    "{{ s|trim }}|{{ s|lower }}|{{ s|upper }}|{{ s|title }}|{{ s|capitalize }}|{{ s|length }}", "{{ l|join(', ') }} {{ l|sort }} {{ l|first }} {{ l|last }} {{ l|sum }} {{ l|max }} {{ l|min }} {{ l|reverse|list }}",
    "{{ o|map(attribute='k')|list }} {{ o|selectattr('k', 'equalto', 'x')|list|length }} {{ o|rejectattr('k', 'equalto', 'x')|map(attribute='v')|list }}",
    "{{ o|selectattr('v', 'defined')|map(attribute='v')|list }}", "{{ messages|selectattr('role', 'equalto', 'user')|list|length }}", "{{ l|map('string')|join('-') }} {{ ['a', 'b']|map('upper')|list }}",
    "{{ missing|default('d') }} {{ e|default('d') }} {{ e|default('d', true) }} {{ n|default('d') }} {{ n|d('d', true) }}", "{{ s|replace('Text', 'Test') }} {{ 'a\nb'|indent(4) }} {{ 'a\nb'|indent(2, true) }}",
    "{{ 'a,b'.split(',') }} {{ 'a  b '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ 'a-b'.rsplit('-')[0] }}", "{{ [1, 1, 2]|unique|list }} {{ l|list + [9] }} {{ d|length }} {{ d.keys()|list }} {{ d.values()|list|length }}",
    "{{ o|groupby('k')|length }} {{ 'x'|e }} {{ '<'|escape }} {{ '<'|safe }} {{ '%s-%d'|format('a', 3) }}", "{{ l|batch(2)|list }} {{ 'abc'|list }} {{ l|tojson|length }} {{ d|items|list|length }}",
    # Python methods
    "[{{ s.strip() }}] [{{ s.lstrip() }}] [{{ s.rstrip() }}] {{ s.upper() }} {{ s.startswith('  T') }} {{ s.endswith('x') }} {{ s.find('W') }} {{ s.count('t') }}",
    "{{ 'xxaxx'.strip('x') }} {{ '\nab\n'.lstrip('\n') }}| {{ 'a'.join(['1', '2']) }} {{ s.replace('e', 'E') }} {{ s.title() }} {{ 'abc'.capitalize() }} {{ '12'.isdigit() }}",
    "{{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 'def') }} {{ messages[0].get('content', '')|trim }} {{ d['b'] }} {{ d['a']['c'][1] }} {{ d.a.c|length }}",
    "{{ 'a</think>b'.split('</think>')[-1] }} {{ 'a</think>b'.split('</think>')[0].rstrip('\n').split('<think>')[-1] }}", "{{ 'l1\nl2'.splitlines() }} {{ 'abc'.islower() }} {{ 'a b'.title() }} {{ 'abc'[0] }} {{ 'aXb'.lower() }}",
    "{{ 'a-b-c'.rsplit('-', 1) }} {{ ' a  b c '.rsplit() }} {{ ' a b  c'.rsplit(none, 1) }} {{ 'k=v=w'.partition('=')[2] }} {{ 'k=v=w'.rpartition('=')[0] }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x')|list }} {{ ' '.isspace() }}",
    "{{ '{} and {}'.format(1, 'x') }}", "{{ l.append(4) }}{{ l }}",
    # Functions
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%A, %B %d, %Y %H:%M:%S %j %y %I%p') }}", "{{ raise_exception('Conversation roles must alternate user/assistant') }}", "{{ range(3)|list }} {{ dict(a=1, b='x') }} {{ dict(a=1)|tojson }}",
    "{{ 'yes' if t else 'no' }}{{ 'never' if n }}", "{% if tools is defined and tools is not none and tools|length > 0 %}tools{% elif i %}i{% else %}none{% endif %}", "{% if strftime_now is defined %}clock{% endif %}",
    "{% generation %}x{% endgeneration %}y", "a\n{% generation %}\nb\n{% endgeneration %}\nc", "{{ missing.attr }}", "{{ messages[17] }}", "{{ messages[17].role }}", "{{ d.missing }}|{{ d['missing'] }}|{{ d.missing is defined }}", "{% do l %}", "{{ 1 / 0 }}",
    # Whole templates in the manners of the families
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' if message.content is string else message.content|selectattr('type', 'equalto', 'text')|map(attribute='text')|join }}{% elif message['role'] == 'assistant' and message.content %}{{ message['content']|trim + eos_token }}{% endif %}{% endfor %}",
    "{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n{{- \"<|sys|>\\n\\nToday Date: \" + strftime_now(\"%d %b %Y\") + \"\\n\\n\" }}\n{%- for t in tools %}\n    {{- t | tojson(indent=4) }}\n    {{- \"\\n\\n\" }}\n{%- endfor %}\n{{- system_message }}\n{%- for message in messages %}\n{%- if message.tool_calls %}\n{%- for c in message.tool_calls %}{\"name\": \"{{ c.function.name }}\", \"parameters\": {{ c.function.arguments | tojson }}}{% endfor %}\n{%- elif message.content is mapping or message.content is iterable and message.content is not string %}\n{{- message.content | tojson }}\n{%- else %}\n{{- message.role ~ ': ' ~ message.content }}\n{%- endif %}\n{%- endfor %}",
    "{%- set ns = namespace(last=messages|length - 1, multi=true) %}{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi and m.role == 'user' and m.content is string and not (m.content.startswith('<r>') and m.content.endswith('</r>')) %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}",
    "{%- macro props(p) -%}{%- for k, v in p.items() -%}{{ k }}: {{ v.type }}{% if v.default is defined %} = {{ v.default }}{% endif %}{% if v.enum %} {{ v.enum|join(' | ') }}{% endif %}{{ ', ' if not loop.last }}{%- endfor -%}{%- endmacro -%}{%- for t in tools %}type {{ t.function.name }} = ({{ props(t.function.parameters.properties) }});\n{% endfor %}",
)

"""Two clients, told apart by their keys: one's many requests and another's one."""

import threading

from conftest import KEY, RULES, Server

BATCH = 64  # sequences that run at once


def test_one_keys_hundred_requests_do_not_hold_up_anothers_one(tmp_path):
    rules = [{**rule, "delay_ms_per_step": 5} if rule.get("when") == "slowly" else rule for rule in RULES]
    server = Server(tmp_path, "--api-key", KEY, "--api-key", "quiet", rules=rules)
    try:
        busy, quiet = server.openai(api_key=KEY), server.openai(api_key="quiet")
        ended = []

        def ask(i):
            messages = [{"role": "user", "content": f"slowly {i}"}]
            answer = busy.chat.completions.create(model="default", messages=messages, temperature=0, max_tokens=150)
            ended.append(answer.choices[0].message.content)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(100)]
        for thread in threads:
            thread.start()
        server.wait_metric("vllm:num_requests_running", lambda n: n == BATCH, seconds=30)
        answer = quiet.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "Hello"}], temperature=0)
        before = len(ended)
        for thread in threads:
            thread.join()
        assert answer.choices[0].message.content == "I am a script."
        assert before < 20, "in order of coming, 37 of them end before it may begin"
        # Whoever made way says what it would have said.
        assert len(ended) == 100
        assert len(set(ended)) == 1
        assert server.metric("vllm:num_preemptions_total") > 0
    finally:
        assert server.stop() == 0

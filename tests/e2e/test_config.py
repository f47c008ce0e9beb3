"""`kvasir serve --config`, and MLX-Textgen's YAML: what they set, what goes before them, what is said to mistakes."""

import json
import os
import pathlib
import subprocess

import httpx
import pytest

from conftest import BINARY, MODELS, QWEN, RULES, Server

PROGRAM = pathlib.Path(BINARY).with_name("mlx_textgen")
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"


def run(*command, cwd=None, **environment):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, cwd=cwd,
                          env={**os.environ, **environment})


def script(folder):
    path = folder / "script.json"
    path.write_text(json.dumps({"rules": RULES}))
    return path


class Configured(Server):
    """A server that has nothing from its command line but where its file is."""

    def __init__(self, folder, text, *arguments, environment=None):
        self.choose_port(folder)
        file = folder / "kvasir" / "config.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'model = "{QWEN}"\nexecutor = "scripted"\nscript = "{script(folder)}"\nmemory = "450MB"\n'
                        f"port = {self.port}\n{text}")
        if environment is None:
            self.launch([BINARY, "serve", "--config", file, *arguments])
        else:
            self.launch([BINARY, "serve", *arguments], {"env": {**os.environ, **environment}})
        self.wait_ready()


def models(server, key=None):
    return httpx.get(server.url + "/v1/models", headers={"x-api-key": key} if key else {})


def test_a_file_holds_every_kind_of_option(tmp_path):
    server = Configured(tmp_path, 'api-key = ["one", "two"]\nmodel_name = "mine"\ntemperature = 0\n'
                                  'idle-prefill = false\n[cache]\ndisk = 0\n[log]\nformat = "json"\n')
    try:
        assert models(server).status_code == 401
        assert models(server, "one").json()["data"][0]["id"] == "mine"
        assert models(server, "two").status_code == 200
    finally:
        assert server.stop() == 0
    log = server.log.read_text()
    assert f"options from {tmp_path}/kvasir/config.toml" in log
    assert '"path":"/v1/models"' in log


def test_the_command_line_goes_before_the_file(tmp_path):
    server = Configured(tmp_path, 'model-name = "file"\ncache-disk = 0\n', "--model-name", "line")
    try:
        assert models(server).json()["data"][0]["id"] == "line"
    finally:
        assert server.stop() == 0


def test_the_default_file_is_in_the_users_config_folder(tmp_path):
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    environment["KVASIR_CONFIG"] = str(tmp_path / "kvasir" / "config.toml")
    server = Configured(tmp_path, 'model-name = "default-file"\ncache-disk = 0\n', environment=environment)
    try:
        assert models(server).json()["data"][0]["id"] == "default-file"
    finally:
        assert server.stop() == 0
    without = {k: v for k, v in os.environ.items() if k != "KVASIR_CONFIG"} | {"XDG_CONFIG_HOME": str(tmp_path)}
    helped = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, env=without, timeout=60)
    assert f"{tmp_path}/kvasir/config.toml" in "".join(line.strip() for line in helped.stdout.splitlines())
    ignored = run(BINARY, "serve", "--no-config", KVASIR_CONFIG=str(tmp_path / "kvasir" / "config.toml"))
    assert ignored.returncode == 2
    assert "no model is named" in ignored.stderr


@pytest.mark.parametrize("text, line, words", [
    ("model = \"x\"\nprot = 1\n", 2, "prot is no option of serve; did you mean port?"),
    ("\n\nport = 'many'\n", 3, "port"),
    ("port = 99999999\n", 1, "port"),
    ("[cache]\ndisk = 'much'\n", 2, "cache.disk"),
    ("log-level = 'loud'\n", 1, "log-level"),
    ("no-idle-prefill = true\n", 1, "idle-prefill = false"),
    ("model = [\"a\", \"b\"]\n", 1, "model"),
    ("port = 1\nport = 2\n", 2, ""),
    ("port = \n", 1, ""),
    ("temperature = 1979-05-27\n", 1, "temperature"),
    ("config = \"other.toml\"\n", 1, "no option"),
])
def test_a_mistake_is_told_with_its_file_and_line(tmp_path, text, line, words):
    file = tmp_path / "my.toml"
    file.write_text(text)
    told = run(BINARY, "serve", "--config", file)
    assert told.returncode == 2, told.stderr
    assert told.stderr.count("\n") == 1, told.stderr
    assert told.stderr.startswith(f"kvasir: {file}:{line}: "), told.stderr
    assert words in told.stderr


def test_no_such_file(tmp_path):
    told = run(BINARY, "serve", "--config", tmp_path / "none.toml")
    assert told.returncode == 2
    assert "none.toml" in told.stderr


def test_createconfig_writes_what_serve_reads(tmp_path):
    made = run(PROGRAM, "createconfig", "-n", "2", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "model_config.yaml").read_text()
    assert text.count("model_id_or_path: ") == 2
    again = run(PROGRAM, "createconfig", cwd=tmp_path)
    assert again.returncode == 1
    assert "already" in again.stderr
    served = run(PROGRAM, "serve", "-cf", "model_config.yaml", cwd=tmp_path)
    assert served.returncode == 1
    assert "/path/to/model_0" in served.stderr
    assert "not served: /path/to/model_1" in served.stderr
    assert run(PROGRAM, "createconfig", "-n", "many", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("text, line, words", [
    ("port: 1\n", 1, "model_configs is required"),
    ("model_configs:\n- model_id_or_path: x\nport: many\n", 3, "port must be a whole number"),
    ("model_configs:\n- model_name: x\n", 2, "needs a model_id_or_path"),
    ("model_configs:\n- model_id_or_path: x\nprot: 1\n", 3, "prot is no key"),
    ("model_configs:\n- model_id_or_path: x\n  color: red\n", 3, "color is no key"),
    ("model_configs: [\n", 2, ""),
])
def test_mistakes_in_the_yaml(tmp_path, text, line, words):
    file = tmp_path / "m.yaml"
    file.write_text(text)
    told = run(PROGRAM, "serve", "--config-file", file)
    assert told.returncode == 1
    assert told.stderr.startswith(f"kvasir: {file}:{line}: "), told.stderr
    assert words in told.stderr


class Textgen(Server):
    def __init__(self, folder, text, *arguments):
        self.choose_port(folder)
        file = folder / "model_config.yaml"
        file.write_text(text.replace("PORT", str(self.port)))
        self.launch([PROGRAM, "serve", "-cf", file, *arguments], {"env": {**os.environ, "XDG_CACHE_HOME": str(folder)}})
        self.wait_ready()


@pytest.mark.real
def test_mlx_textgen_serves_its_yaml(tmp_path):
    server = Textgen(tmp_path, f"""model_configs:
- model_id_or_path: {SMOLLM2}
  model_name: little
  enable_cache: false
  extra_stop_words: ["Paris"]
  model_kwargs: {{revision: main}}
host: 127.0.0.1
port: PORT
api_keys: [one, two]
""")
    try:
        assert models(server).status_code == 401
        assert models(server, "two").json()["data"][0]["id"] == "little"
        answer = server.openai(api_key="one", timeout=120).chat.completions.create(
            model="little", messages=[{"role": "user", "content": "What is the capital of France?"}], temperature=0,
            max_tokens=40)
        assert "Paris" not in answer.choices[0].message.content
        assert answer.choices[0].finish_reason == "stop"
    finally:
        assert server.stop() == 0
    assert "model_kwargs: accepted, without effect here" in server.log.read_text()
    assert not (tmp_path / "kvasir" / "kv").exists()

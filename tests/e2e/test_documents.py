"""Documents: the text of PDFs in both dialects by the official clients, and PDFs that were made to harm their reader."""

import base64
import contextlib
import subprocess
import threading
import time
import zlib

import anthropic
import httpx
import openai
import pytest

from anthropic_types import ask_both, valid_error
from conftest import ANTHROPIC_TOOLS, BINARY, ROOT, Server

FILES = ROOT / "tests" / "text" / "golden" / "pdf"
HELLO = b"BT /F 12 Tf 50 700 Td (hello there) Tj ET"
FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 1 1]/Resources<</XObject<</X 6 0 R>>>>"


def stream(data, extra=b""):
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (extra, len(data), data)


def pdf_of(*objects):
    out, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table, len(objects) + 1, len(out))


def page(content, *more, resources=b"<</Font<</F 5 0 R>>>>", box=b"/MediaBox[0 0 600 800]/Parent 2 0 R", kids=b"3 0 R"):
    return pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count 1>>" % kids,
                  b"<</Type/Page/Resources %s/Contents 4 0 R%s>>" % (resources, box), content,
                  b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", *more)


def zeros(mebibytes):
    """What unpacks to so many zeros, put together from equal pieces."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = ((mebibytes << 20) % 65521) << 16 | 1
    return b"\x78\xda" + piece * mebibytes + b"\x03\x00" + checksum.to_bytes(4, "big")


assert zlib.decompress(zeros(3)) == bytes(3 << 20)


FLATE = b"/Filter/FlateDecode"
MANY_PAGES = [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"] * 601
HOSTILE = {
    "unpacks-to-2-gigabytes": (page(stream(zeros(2000), FLATE)), "more than 512 MiB of memory"),
    "unpacks-twice": (page(stream(zlib.compress(zeros(20000)), b"/Filter[/FlateDecode/FlateDecode]")), "more than 512 MiB"),
    "calls-itself": (page(stream(b"/X Do"), stream(b"/X Do", FORM), resources=b"<</XObject<</X 6 0 R>>>>"), "nested too deeply"),
    "is-its-own-parent": (page(stream(HELLO), box=b"/Parent 3 0 R"), "more than 20 seconds"),
    "pages-in-a-circle": (page(stream(HELLO), kids=b"2 0 R"), "has no pages"),
    "deep-content": (page(stream(b"[" * 2000000)), "could be read"),
    "601-pages": (pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 601/Kids[%s]>>" % b" ".join(
        b"%d 0 R" % (i + 3) for i in range(601)), *MANY_PAGES), "A maximum of 600 PDF pages may be provided."),
    "no-end-of-text": (page(stream(zlib.compress(b"BT /F 12 Tf 50 700 Td " + b"(hello there hello there) Tj " * 400000 + b"ET"), FLATE)),
                       "could not process PDF"),
}


def encoded(data):
    return base64.b64encode(data).decode()


def document(data, **more):
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(data)}, **more}


def file_part(data, name="report.pdf"):
    return {"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64," + encoded(data)}}


def saying(words):
    return page(stream(b"BT /F 12 Tf 50 700 Td (%s) Tj ET" % words))


def body(*content, **more):
    return {"model": "default", "max_tokens": 50, "messages": [{"role": "user", "content": list(content)}], **more}


# The script answers "count" with numbers: the word stands in the file alone.
def test_the_sdk_sends_a_pdf_and_the_model_reads_it(server):
    message, _ = ask_both(server, body(document(saying(b"please count"), title="T", context="C"), temperature=0))
    assert message.content[0].text.startswith("one two three")
    again = server.anthropic().messages.create(**body(document(saying(b"please count"))))
    assert again.content[0].text.startswith("one two three")


def test_the_prompt_is_the_text_and_nothing_of_the_bytes(server, ant):
    data = (FILES / "report.pdf").read_bytes()
    tokens = ant.messages.count_tokens(model="default", messages=body(document(data))["messages"]).input_tokens
    assert 100 < tokens < 400
    shown = server.post("/apply-template", {"messages": [{"role": "user", "content": [file_part(data)]}]}).json()["prompt"]
    assert "report.pdf\n[Page 1 of 2]\nQuarterly report" in shown and "Grüße aus Zürich, Привет мир" in shown


def test_a_pdf_that_comes_again_is_found_in_the_cache(server, ant):
    messages = body(document((FILES / "letter.pdf").read_bytes()))["messages"]
    first = ant.messages.create(model="default", max_tokens=5, messages=messages)
    messages += [{"role": "assistant", "content": first.content[0].text}, {"role": "user", "content": "Go on."}]
    second = ant.messages.create(model="default", max_tokens=5, messages=messages)
    assert second.usage.cache_read_input_tokens >= first.usage.input_tokens


def test_openai_clients_send_files(oai):
    for data in (saying(b"please count"), b"please count"):
        part = file_part(data) if data.startswith(b"%PDF") else {
            "type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64," + encoded(data)}}
        answer = oai.chat.completions.create(model="default", temperature=0, messages=[{"role": "user", "content": [part]}])
        assert answer.choices[0].message.content.startswith("one two three")
    given = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64," + encoded(saying(b"please count"))}
    first = oai.responses.create(model="default", temperature=0, input=[{"role": "user", "content": [given]}])
    assert first.output_text.startswith("one two three")
    after = oai.responses.create(model="default", temperature=0, previous_response_id=first.id, input="And now?")
    assert after.usage.input_tokens > first.usage.input_tokens


@pytest.mark.parametrize(
    ("name", "words"),
    [("locked", "The PDF specified is password protected."), ("cut", "The PDF specified was not valid"), ("empty", "PDF cannot be empty"),
     ("scan", "could not process PDF: it has no text")],
)
def test_files_without_text_are_refused_in_one_line(server, oai, ant, name, words):
    data = {"cut": (FILES / "report.pdf").read_bytes()[:500], "empty": b"", "scan": page(stream(b"q Q"))}.get(name)
    data = (FILES / f"{name}.pdf").read_bytes() if data is None else data
    reply = server.post("/v1/messages", body(document(data)))
    error = valid_error(reply)
    assert reply.status_code == 400 and error.type == "invalid_request_error"
    assert error.message.startswith("messages[0].content[0]: " + words) and "\n" not in error.message
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        ant.messages.create(**body(document(data)))
    with pytest.raises(openai.BadRequestError, match=words[:20]):
        oai.chat.completions.create(model="default", messages=[{"role": "user", "content": [file_part(data)]}])


def test_a_session_goes_on_with_a_bad_pdf_in_a_result(server):
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [document(b"%PDF-nonsense")]}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    reply = server.post("/v1/messages", {**body(), "messages": messages, "tools": ANTHROPIC_TOOLS})
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pdf_ends_its_own_reader_only(server, name):
    data, words = HOSTILE[name]
    message = valid_error(server.post("/v1/messages", body(document(data)))).message
    assert words in message, message
    begun = time.monotonic()
    assert words in valid_error(server.post("/v1/messages", body(document(data)))).message
    assert time.monotonic() - begun < 5  # remembered
    assert server.post("/v1/messages", body({"type": "text", "text": "count"})).status_code == 200


def answer_of(server, data, replies):
    with contextlib.suppress(httpx.TransportError):
        replies.append(server.post("/v1/messages", body(document(data))))


def test_others_are_answered_while_pdfs_are_read_and_a_stop_does_not_wait_for_them(tmp_path):
    server = Server(tmp_path)
    slow = [page(stream(HELLO + b"%%%d" % i), box=b"/Parent 3 0 R") for i in range(4)]
    replies = []
    readers = [threading.Thread(target=lambda data=data: answer_of(server, data, replies)) for data in slow]
    for reader in readers:
        reader.start()
    for _ in range(5):
        assert server.post("/v1/messages", body({"type": "text", "text": "count"})).status_code == 200
    assert not replies
    server.process.terminate()
    assert server.process.wait(timeout=60) == 0
    for reader in readers:
        reader.join()
    # Two were read by then, and two waited: each is told why, or finds the connection closed.
    assert all(reply.status_code in (400, 500, 503, 529) for reply in replies)


def test_the_reader_is_a_process_that_says_whose_fault_it_is():
    done = subprocess.run([BINARY, "--pdf-worker"], input=saying(b"hi"), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"hi")
    done = subprocess.run([BINARY, "--pdf-worker"], input=b"no", capture_output=True, timeout=60)
    assert done.returncode == 10 and done.stdout.startswith(b"The PDF specified was not valid")

"""A transcription that is priced by time is charged what was measured in the file, whatever its header declares and
whatever the reply reports (known failure 39, black box)."""
import base64
import json
import random
import struct
import uuid
from fractions import Fraction

import pytest

from harness import Serve, http, running
from pricing_oracle import Card, half_even

CARD = Card.newest_openai()


@pytest.fixture(scope="module")
def proxy(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as serve:
        yield serve


def little(value, size=4):
    return value.to_bytes(size, "little")


def wav(seconds, declared):
    """16 kHz, mono, 16 bits: the size of the sound is declared for another length."""
    sound = random.Random(seconds).randbytes(32_000 * seconds)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return b"RIFF" + little(36 + 32_000 * declared) + b"WAVE" + form + b"data" + little(32_000 * declared) + sound


def mp3(seconds, declared):
    """MPEG 1 layer III, 32 kHz, 64 kbit/s: frames of 36 ms and 288 bytes, behind a Xing header that declares others."""
    header = b"\xff\xfb\x58\xc0"
    frames = -(-declared * 1000 // 36)
    xing = header + bytes(17) + b"Xing" + (3).to_bytes(4, "big") + frames.to_bytes(4, "big")
    xing = xing + (288 * frames).to_bytes(4, "big")
    frame = header + b"\x55" * 284
    # What fits into the seconds; the last frame does not fill up the last one.
    return xing.ljust(288, b"\0") + frame * (seconds * 1000 // 36)


def ogg(seconds, declared):
    """Opus in packets of 20 ms; the granule positions, by which players show a length, are those of another one."""
    def page(packets, flags, granule, number):
        lacing = b"".join(bytes([255] * (len(packet) // 255) + [len(packet) % 255]) for packet in packets)
        head = b"OggS\0" + bytes([flags]) + struct.pack("<qIIIB", granule, 7, number, 0, len(lacing)) + lacing
        whole = bytearray(head + b"".join(packets))
        whole[22:26] = little(crc(whole))
        return bytes(whole)

    opus_head = b"OpusHead\x01\x01" + little(0, 2) + little(48_000) + b"\0\0\0"
    tags = b"OpusTags" + little(4) + b"test" + little(0)
    packets = [b"\x08" + b"\x55" * 30] * (50 * seconds)
    pages = [page([opus_head], 2, 0, 0), page([tags], 0, 0, 1)]
    for start in range(0, len(packets), 50):
        last = start + 50 >= len(packets)
        granule = 48_000 * declared * (start + 50) // len(packets)
        pages.append(page(packets[start:start + 50], 4 if last else 0, granule, len(pages)))
    return b"".join(pages)


def crc(data):
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
            value &= 0xFFFFFFFF
    return value


def upload(proxy, key, sound, name, **fields):
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
             for field, value in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                 f"Content-Type: application/octet-stream\r\n\r\n".encode() + sound + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return http("POST", proxy.base + "/audio/transcriptions", body, {
        "Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={boundary}"}, 30)


def price(model, seconds):
    """Millicredits of so many seconds, by the card."""
    return half_even(Fraction(CARD.body["models"][model]["cost"]["second"]) * CARD.markup * 1_000_000 * seconds)


FILES = [(maker, seconds, declared) for maker in (wav, mp3, ogg) for seconds, declared in ((7, 2), (7, 90), (61, 1))]


@pytest.mark.parametrize("response_format", ["json", "text"])
@pytest.mark.parametrize("maker, seconds, declared", FILES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_the_measured_seconds_are_charged_not_the_declared(
        dev, proxy, mock, settled, sql, maker, seconds, declared, response_format):
    user = f"durations-{maker.__name__}-{seconds}-{declared}-{response_format}"
    key = dev.account(user, credits=1000)
    for model in ("whisper-1", "gpt-transcribe"):
        sound = maker(seconds, declared)
        status, headers, body = upload(
            proxy, key, sound, "sound." + maker.__name__, model=model, response_format=response_format)
        assert status == 200, body
        # The mock goes by the size of the file: what it reports is another length, too.
        reported = mock.log()[-1]["units"]["seconds"]
        assert reported != seconds
        if response_format == "json":
            assert json.loads(body)["usage"] == {"type": "duration", "seconds": reported}
            # A reply that is no JSON is passed on as it comes, so its head tells no charge.
            assert headers["x-tollgate-charged-millicredits"] == str(price(model, seconds))
        assert headers["x-tollgate-held-millicredits"] == str(price(model, seconds))
    rows = settled(user, 2)
    assert [row["charged"] for row in rows] == [price("whisper-1", seconds), price("gpt-transcribe", seconds)]
    for row in rows:
        ((parts, cost),) = sql("SELECT usage_parts, cost_picousd FROM usage_events WHERE hold_id = %s", row["hold"])
        assert parts == {"input_milliseconds": 1000 * seconds} and row["kind"] == "final"
        second = Fraction(CARD.body["models"][row["model"]]["cost"]["second"])
        assert cost == second * 10**12 * seconds


HIDDEN = {
    # Who takes it for a tag passes over the first 40 frames.
    "a tag that is none": b"ID3\xff\0\0\0\0\x5a\0" + mp3(7, 7),
    "a tag of a size that is none": b"ID3\x04\0\0\0\x80\x5a\0" + mp3(7, 7),
    "free format": b"\xff\xfb\x08\xc0" + (b"\x55" * 284 + b"\xff\xfb\x08\xc0") * 2000,
    "text": b"this is no sound at all " * 100,
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_file_that_cannot_be_measured_is_not_sent(dev, proxy, mock, settled, what):
    mock.reset()
    key = dev.account("durations-hidden-" + what.replace(" ", "-"), credits=1000)
    status, _, body = upload(proxy, key, HIDDEN[what], "sound.mp3", model="whisper-1")
    error = json.loads(body)["error"]
    assert status == 400 and error["param"] == "file" and "cannot be measured" in error["message"]
    assert mock.log() == []


def test_sound_in_a_message_is_held_for_by_its_length(dev, proxy, settled):
    """A byte of this WAV is a second: 8,000 bytes are 80,000 tokens at ten a second."""
    stretched = bytearray(wav(0, 0)) + bytes(3000)
    stretched[24:36] = little(1) + little(1) + little(1, 2) + little(8, 2)
    key = dev.account("durations-chat", credits=100_000)

    def ask(sound, **more):
        data = base64.b64encode(bytes(sound)).decode()
        part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        status, headers, body = http(
            "POST", proxy.base + "/chat/completions",
            {"model": "gpt-audio", "max_tokens": 16, **more,
             "messages": [{"role": "user", "content": [{"type": "text", "text": "Hear [[mock audio_in=9]]"}, part]}]},
            {"Authorization": f"Bearer {key}"}, 30)
        assert status == 200, body
        return int(headers["x-tollgate-held-millicredits"])

    second = price_of_audio_tokens("gpt-audio", 20)
    assert ask(stretched) >= 3000 * second / 2, "ten tokens for each second"
    # 20 s of ordinary sound are 853,000 bytes of base64; their length is what is held for.
    assert ask(wav(20, 20)) < 25 * second + price_of_audio_tokens("gpt-audio", 1000)


def price_of_audio_tokens(model, count):
    return CARD.prices(model, None)["audio_input"] * count


def test_tools_and_sound_land_in_usage_parts(dev, proxy, mock, settled, sql):
    mock.reset()
    user = "durations-parts"
    key = dev.account(user, credits=100_000)
    headers = {"Authorization": f"Bearer {key}"}
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav(3, 3)).decode(), "format": "wav"}}
    asked = [
        ("/chat/completions", {
            "model": "gpt-audio", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"},
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "Hear this [[mock tokens=9 audio_in=30]]"}, part]}]}),
        ("/responses", {
            "model": "gpt-4o", "input": "Look [[mock calls=3 opens=1]]", "tools": [{"type": "web_search"}],
            "max_tool_calls": 4}),
    ]
    for path, body in asked:
        assert http("POST", proxy.base + path, body, headers, 30)[0] == 200
    rows, lines = settled(user, 2), mock.log()
    stored = [sql("SELECT usage_parts FROM usage_events WHERE hold_id = %s", row["hold"])[0][0] for row in rows]
    heard = lines[0]["usage"]
    assert stored[0] == {
        "audio_input_tokens": 30,
        "audio_output_tokens": heard["completion_tokens_details"]["audio_tokens"]}
    assert heard["prompt_tokens_details"]["audio_tokens"] == 30
    assert stored[0]["audio_output_tokens"] > 0
    assert rows[0]["input"] == heard["prompt_tokens"] and rows[0]["output"] == heard["completion_tokens"]
    # Of three calls one only opens a page, which is free.
    assert stored[1] == {"web_search_calls": lines[1]["units"]["web_search"]} == {"web_search_calls": 2}
    for row, line in zip(rows, lines):
        assert row["charged"] == CARD.charge(
            line["model"], line["usage"], line["service_tier"], units=line.get("units"))
    dev.verify()

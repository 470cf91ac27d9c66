"""The official SDK as a client that asks again only when the hold store had no time for it."""
import asyncio
import time

import openai

from harness import BUSY_MAX, BUSY_PAUSE_SECONDS, is_busy


class Patient(openai.DefaultHttpxClient):
    def send(self, request, **more):
        for _ in range(BUSY_MAX):
            response = super().send(request, **more)
            if response.status_code != 503 or not is_busy(503, response.read()):
                break
            time.sleep(BUSY_PAUSE_SECONDS)
        return response


class AsyncPatient(openai.DefaultAsyncHttpxClient):
    async def send(self, request, **more):
        for _ in range(BUSY_MAX):
            response = await super().send(request, **more)
            if response.status_code != 503 or not is_busy(503, await response.aread()):
                break
            await asyncio.sleep(BUSY_PAUSE_SECONDS)
        return response


def patient_sdk(key, base, timeout=30, retries=0):
    """No other answer is asked for twice unless the test says so: a 5xx of its own is seen, and so is a 429."""
    return openai.OpenAI(
        api_key=key, base_url=base, max_retries=retries, timeout=timeout, http_client=Patient(timeout=timeout))


def patient_async_sdk(key, base, timeout=30):
    return openai.AsyncOpenAI(
        api_key=key, base_url=base, max_retries=0, timeout=timeout, http_client=AsyncPatient(timeout=timeout))

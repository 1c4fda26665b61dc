"""How many tasks a second bare Celery's `.delay` hands over: what the gateway is compared with.

In: a broker's URL, a text, seconds, threads. Out: one line of JSON. Run by `benchmarks.gateway`.
"""

import argparse
import json
import threading
import time

from celery import Celery


def main() -> None:
    """Call `.delay` from every thread for as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()

    app = Celery("bare", broker=options.url)
    app.conf.task_ignore_result = True

    @app.task(name="bare.speak")
    def speak(text: str, voice: str, response_format: str) -> None:
        """Never run: only handed over."""

    done = [0] * options.threads
    for _ in range(50):
        speak.delay(options.text, "af_heart", "mp3")
    began, cpu_began = time.perf_counter(), time.process_time()
    until = began + options.seconds

    def call(index: int) -> None:
        while time.perf_counter() < until:
            speak.delay(options.text, "af_heart", "mp3")
            done[index] += 1

    threads = [threading.Thread(target=call, args=(n,)) for n in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - began
    cpu_s = time.process_time() - cpu_began
    print(json.dumps({"tasks": sum(done), "took_s": took_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()

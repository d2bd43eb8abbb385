"""Pages of runs, and runs for them whose network grows from noise to the one set by hand, as if trained."""

import base64
import gzip
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import torch

from helpers.stored_runs import settings
from iterhead.measure.evaluate import evaluate
from iterhead.measure.records import SAMPLE, TEST, table
from iterhead.model.transformer import Transformer
from iterhead.runs.notes import STATUS, Status
from iterhead.runs.run import MEASUREMENTS, Run, checkpoint_name
from iterhead.runs.storage import CONFIG, RunFolder, table_bytes, tensor_bytes

ABSENT = "no Chromium found: apt-get install chromium (or let PATH find one), and pip install playwright"


NAMELESS = """() => {
  const kinds = "button, input, select, canvas:not([aria-hidden]), svg:not([aria-hidden]), meter, [role=region]";
  const named = (e) => e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim();
  return [...document.querySelectorAll(kinds)].filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 80));
}"""
"""What a screen reader has no name for: buttons, inputs and pictures."""


ATTACK = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)> {{data}} & \"x_1\" <img src=y>"
"""A name that tries to bring markup into a page."""


def data_of(page):
    """The header of a page's data, and the bytes of its arrays."""
    data = re.search(r'id="data">([^<]*)<', page.decode()).group(1)
    raw = gzip.decompress(base64.b64decode(data))
    end = 4 + int.from_bytes(raw[:4], "little")
    return json.loads(raw[4:end]), raw[end:]


def facts_of(page):
    return data_of(page)[0]["facts"]


def arrays_of(page):
    header, raw = data_of(page)
    return {
        name: np.frombuffer(raw, array["type"], math.prod(array["shape"]), array["start"]).reshape(array["shape"])
        for name, array in header["arrays"].items()
    }


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@torch.no_grad()
def grown(model: Transformer, share: float) -> Transformer:
    """A network between noise (share 0) and `model` (share 1)."""
    between = Transformer(model.config, model.context, [7]).eval()
    for weight, goal in zip(between.parameters(), model.parameters(), strict=True):
        weight.mul_(0.3 * (1 - share)).add_(goal, alpha=share)
    return between


def staged(path: Path, networks: list[Transformer], spec: str, *, evaluate_each: bool = True, **data) -> Run:
    """The finished run, in a new folder, whose network after epoch i was `networks[i]`.

    Without `evaluate_each` every evaluation is that of the last network, which takes less time.
    """
    config = settings(spec, networks[-1].config.model_dump(), **data)
    folder = RunFolder(path)
    with folder.lock():
        folder.write_json(CONFIG, config.model_dump(mode="json"))
        run = Run(folder)
        last = evaluated(networks[-1], run)
        records = [{"epoch": len(networks) - 1, "split": TEST, **row} for row in last]
        for epoch, model in enumerate(networks):
            rows = evaluated(model, run) if evaluate_each else last
            records += [{"epoch": epoch, "split": SAMPLE, **row} for row in rows]
            folder.write(checkpoint_name(epoch), tensor_bytes(model.state_dict()))
        folder.write(MEASUREMENTS, table_bytes(table(records)))
        folder.write_json(STATUS, vars(Status("finished", len(networks) - 1, config.data.cot, 1, 0.0, 0.0)))
    return run


def evaluated(model: Transformer, run: Run):
    """Records of the first test sequences."""
    few = {length: tokens[:8] for length, tokens in run.dataset.test.items()}
    return evaluate(model, run.config.iterative_task, few, cot=run.config.data.cot)

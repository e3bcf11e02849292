"""Turning configurations and numbers into what MLflow accepts: flat parameters and allowed names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PARAM_LENGTH = 6000
TAG_LENGTH = 5000
NAME_LENGTH = 250


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Returns `{"model.layers": "3", ...}`: keys joined by dots, values as text, cut at 6000 characters.

    Lists of plain values become JSON text; lists that hold mappings are flattened under their index.
    """
    flat: dict[str, str] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            flat |= flatten({str(i): item for i, item in enumerate(value)}, f"{name}.")
        else:
            flat[allowed_name(name)] = _text(value)
    return flat


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= PARAM_LENGTH else text[: PARAM_LENGTH - 1] + "…"


def allowed_name(name: str) -> str:
    """Returns `name` as MLflow takes it for a metric, parameter or image.

    Letters, digits and `/ . - _ :` and blanks stay. Closed brackets become a dot, `l3.h[60]` → `l3.h.60`; any other
    character becomes its number, `^c` → `_x5E_c`, and so does a slash that divides nothing, so that different tokens
    keep different names.
    """
    name = re.sub(r"[\[(]([^\[\]()]*)[\])]", r".\1", name)
    name = re.sub(r"[^\w/.\- :]", lambda match: f"_x{ord(match[0]):X}_", name)
    name = re.sub(r"/$", "_x2F_", re.sub(r"(^|/)/", r"\1_x2F_", name))
    parts = ["_x2E_" * len(part) if part in (".", "..") else part for part in name.split("/")]
    return "/".join(parts)[:NAME_LENGTH].rstrip("/") or "_"


def file_name(name: str) -> str:
    """Returns `name` with everything but letters, digits, dots and dashes as an underscore."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "_"

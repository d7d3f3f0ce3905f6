"""How a single value is written otherwise: digests, look-alikes, words, escapes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

SPOKEN = {
    "english": "zero one two three four five six seven eight nine",
    "spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "russian": "ноль один два три четыре пять шесть семь восемь девять",
    "vietnamese": "không một hai ba bốn năm sáu bảy tám chín",
}
CYRILLIC_DIGITS = str.maketrans({"0": "О", "3": "З", "6": "б"})
OCR_DIGITS = str.maketrans({"0": "O", "1": "l"})
OCR_TABLE = str.maketrans({"8": "B", "5": "S"})
CYRILLIC_LETTERS = str.maketrans("aeocpx", "аеосрх")


def _digest(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _spell_out(language: str) -> Callable[[str], str]:
    words = SPOKEN[language].split()
    return lambda text: " ".join(words[int(char)] if char.isdecimal() else char for char in text)


def protect_by_cloudflare(address: str) -> str:
    """Return the attribute `data-cfemail` of an address: a key, and each byte XOR the key, in
    hex.
    """
    key = 0x5A
    return bytes((key, *(byte ^ key for byte in address.encode()))).hex()


def hidden_among(text: str) -> str:
    """Return markup that shows `text` and hides other digits in it."""
    return "".join(
        f'{char}<span style="display:none">7</span>' if place % 3 == 2 else char
        for place, char in enumerate(text)
    )


FORMS: dict[str, Callable[[str], str]] = {
    "md5": _digest("md5"),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "line": lambda text: f"{text}\n",
    "crlf": lambda text: f"{text}\r\n",
    "salt": lambda text: f"{text}9f3c",
    "upper": str.upper,
    "lower": str.lower,
    "cyrillic_digits": lambda text: text.translate(CYRILLIC_DIGITS),
    "cyrillic_last": lambda text: text[:-4] + text[-4:].translate(CYRILLIC_DIGITS),
    "cyrillic_mail": lambda text: text.translate(CYRILLIC_LETTERS),
    "cyrillic_x": lambda text: text.replace("X", "Х"),
    "ocr_digits": lambda text: text[:3] + text[3:].translate(OCR_DIGITS),
    "ocr_table": lambda text: text.translate(OCR_TABLE),
    "ocr_mail": lambda text: text.replace("example", "examp1e").replace("l", "I"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64_bare": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64_url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "ascii85": lambda text: base64.a85encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "quoted": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "cfemail": protect_by_cloudflare,
    "hidden": hidden_among,
    "tex": lambda text: text.replace("_", r"\_").replace(".", "{.}"),
    "cells": "\t".join,
    "commas": ",".join,
    "spaces": " ".join,
    "bars": " | ".join,
    "lines": "\n".join,
    "english": _spell_out("english"),
    "spanish": _spell_out("spanish"),
    "russian": _spell_out("russian"),
    "vietnamese": _spell_out("vietnamese"),
}

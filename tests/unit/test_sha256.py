"""The engine's SHA-256 against hashlib's: the portable way, and the processor's own instructions where it has them."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DRIVER = r"""
#include "capwrap/engine/sha256.c"

#include <stdio.h>

static void print(const uint8_t digest[32])
{
	for (int i = 0; i < 32; i++)
		printf("%02x", digest[i]);
	puts("");
}

/* A line a length and a way: of lengths 0 to the input's. */
int main(void)
{
	static uint8_t input[65536];
	size_t size = fread(input, 1, sizeof(input), stdin);
	uint8_t out[32];

	for (size_t len = 0; len <= size; len++) {
		digest(blocks_plain, input, len, out);
		print(out);
		digest(has_sha() ? blocks_sha : blocks_plain, input, len, out);
		print(out);
	}
	return 0;
}
"""


def test_every_length_has_the_digest_that_hashlib_gives_it(tmp_path: Path) -> None:
    source, program = tmp_path / "driver.c", tmp_path / "driver"
    source.write_text(DRIVER)
    subprocess.run(["gcc", "-std=gnu11", "-O2", f"-I{ROOT}", source, "-o", program], check=True)
    data = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(10)) * 2
    done = subprocess.run([program], input=data, capture_output=True, check=True)
    true = [hashlib.sha256(data[:size]).hexdigest() for size in range(len(data) + 1)]
    assert done.stdout.decode().split() == [digest for digest in true for _ in range(2)]
